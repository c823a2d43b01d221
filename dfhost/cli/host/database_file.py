"""Which file the database of `start` and `run` is: the options say so, or the app's folder and its task hub."""

from __future__ import annotations

import argparse
from pathlib import Path

from dfhost.errors import DatabaseError
from dfhost.settings import Settings


def database_file(options: argparse.Namespace, root: Path, settings: Settings) -> Path | None:
    """The database file of `start`, None for memory. Creates the folder `.dfhost` in the app's folder if needed."""
    if options.memory:
        return None
    if options.db:
        return existing_parent(options.db)
    folder = root / ".dfhost"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if not (ignore := folder / ".gitignore").exists():
            ignore.write_text("*\n", encoding="utf-8")
    except OSError as error:
        raise DatabaseError(
            f"{folder} cannot be created ({error.strerror}). Name a database file with --db, or use --memory."
        ) from None
    return folder / f"{settings.hub}.db"


def existing_parent(file: Path) -> Path:
    """`file` as an absolute path. DatabaseError if its folder does not exist, most likely a typo."""
    file = file.absolute()
    if not file.parent.is_dir():
        raise DatabaseError(f"There is no folder {file.parent} for the database file.")
    return file
