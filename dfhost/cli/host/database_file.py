"""The files of a host: its database, as the options say, or the app's folder and its task hub; and its URL."""

from __future__ import annotations

import argparse
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from dfhost.cli.client.host_address import url_file
from dfhost.errors import DatabaseError
from dfhost.settings import Settings

_STATE = ".dfhost"


def database_file(options: argparse.Namespace, root: Path, settings: Settings) -> Path | None:
    """The database file of `start`, None for memory. Creates the folder `.dfhost` in the app's folder if needed."""
    if options.memory:
        return None
    if options.db:
        return existing_parent(options.db)
    try:
        return _state_folder(root) / f"{settings.hub}.db"
    except OSError as error:
        raise DatabaseError(
            f"{root / _STATE} cannot be created ({error.strerror}). Name a database file with --db, or use --memory."
        ) from None


def url_files(root: Path, database: Path | None, url: str) -> list[Path]:
    """Where commands look for the URL of the host: in the app's folder, and beside a database that lies elsewhere."""
    beside = url_file(database) if database is not None else None
    with suppress(OSError):  # a folder that cannot be written: the commands have to be told the port
        own = _state_folder(root) / (
            beside.name if beside is not None else f"memory-{urlsplit(url).port}.url"
        )
        return [own, beside] if beside not in (None, own) else [own]
    return [beside] if beside is not None else []


def _state_folder(root: Path) -> Path:
    folder = root / _STATE
    folder.mkdir(mode=0o700, exist_ok=True)
    if not (ignore := folder / ".gitignore").exists():
        ignore.write_text("*\n", encoding="utf-8")
    return folder


def existing_parent(file: Path) -> Path:
    """`file` as an absolute path. DatabaseError if its folder does not exist, most likely a typo."""
    file = file.absolute()
    if not file.parent.is_dir():
        raise DatabaseError(f"There is no folder {file.parent} for the database file.")
    return file
