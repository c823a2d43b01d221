"""What `start` and `run` do alike before there is a host: the app's folder, its settings, its database file."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dfhost.app.load_hints import missing_script_sentence
from dfhost.errors import AppError, DatabaseError
from dfhost.settings import Settings, enter_environment, read_settings


def open_folder(folder: Path) -> tuple[Path, Settings]:
    """The app's folder and settings; from here on the environment is that of the app.

    AppError if there is no such folder or no app in it, SettingsError for what its files say.
    """
    root = folder.resolve()
    if not root.is_dir():
        raise AppError(f"There is no folder {root}.")
    settings = read_settings(root)
    enter_environment(settings.app_settings)
    # What Core Tools and the platform set for every function app.
    enter_environment({"FUNCTIONS_WORKER_RUNTIME": "python", "AzureWebJobsScriptRoot": str(root)})
    os.environ["AZURE_FUNCTIONS_ENVIRONMENT"] = "Development"
    if (runtime := os.environ["FUNCTIONS_WORKER_RUNTIME"]).lower() != "python":
        raise AppError(f'FUNCTIONS_WORKER_RUNTIME is "{runtime}": dfhost runs Python apps only.')
    script = os.environ.get("PYTHON_SCRIPT_FILE_NAME") or "function_app.py"
    if not (root / script).is_file():  # told here, before the imports that take their time
        raise AppError(missing_script_sentence(root, script))
    return root, settings


@contextmanager
def working_in(root: Path) -> Iterator[None]:
    """Meanwhile `root` is the working directory, as it is for the real worker: apps open files by relative paths.

    Paths of the command line are to be absolute by then.
    """
    before = Path.cwd()
    os.chdir(root)
    try:
        yield
    finally:
        os.chdir(before)


def database_file(options: argparse.Namespace, root: Path, settings: Settings) -> Path | None:
    """Where `start` keeps the task hub; None for memory. Makes `.dfhost` beside the app if need be."""
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
            f"{folder} cannot be made ({error.strerror}). Name a database file with --db, or use --memory."
        ) from None
    return folder / f"{settings.hub}.db"


def existing_parent(file: Path) -> Path:
    """`file` as an absolute path. DatabaseError if its folder does not exist: a slip, most likely."""
    file = file.absolute()
    if not file.parent.is_dir():
        raise DatabaseError(f"There is no folder {file.parent} for the database file.")
    return file
