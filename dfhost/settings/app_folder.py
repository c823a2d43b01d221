"""The app's folder: reads its settings, and makes the environment and the working directory that they ask for."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dfhost.errors import AppError
from dfhost.settings import Settings, read_settings, set_environment_defaults
from dfhost.settings.app_files import missing_script_sentence, packages_folder, script_name
from dfhost.settings.app_settings import THREAD_COUNT_DEFAULT
from dfhost.settings.jsonc import read_document


def open_folder(folder: Path, *, replay_always: bool = False) -> tuple[Path, Settings]:
    """The app's folder and its settings. The process's environment is the app's from here on.

    AppError if there is no such folder or no app in it, SettingsError for a mistake in its settings files.
    """
    root = folder.resolve()
    if not root.is_dir():
        raise AppError(f"There is no folder {root}.")
    settings = replace(_read_settings(root), replay_always=replay_always)
    _set_environment(root, settings)
    os.environ["AZURE_FUNCTIONS_ENVIRONMENT"] = "Development"
    if (runtime := os.environ["FUNCTIONS_WORKER_RUNTIME"]).lower() != "python":
        raise AppError(f'FUNCTIONS_WORKER_RUNTIME is "{runtime}": dfhost runs Python apps only.')
    script = script_name()
    if not (root / script).is_file():  # checked here, before the slow imports
        raise AppError(missing_script_sentence(root, script))
    return root, settings


def reread_settings(root: Path, before: Settings) -> Settings:
    """The settings as the files have them now; what came from them in the environment follows. SettingsError."""
    # What dfhost has set for a setting that there was not may now be one of the file's.
    for name, text in {**_environment(root), **before.app_settings}.items():
        if os.environ.get(name) == text:
            del os.environ[name]
    settings = before
    try:
        settings = replace(_read_settings(root), replay_always=before.replay_always)
    finally:
        _set_environment(root, settings)
    return settings


def _read_settings(root: Path) -> Settings:
    # azure-functions-durable reads host.json with `json` when it is imported, and refuses what only .NET accepts.
    read_document(root / "host.json", strict=True)
    return read_settings(root)


def _set_environment(root: Path, settings: Settings) -> None:
    set_environment_defaults(settings.app_settings)
    set_environment_defaults(_environment(root))


def _environment(root: Path) -> dict[str, str]:
    """What Core Tools, the Functions host and the platform set for every function app.

    `AzureWebJobsStorage` is not among it: an app that needs one shall notice that it is missing.
    """
    version = sys.version_info
    return {
        "AzureWebJobsScriptRoot": str(root),
        "FUNCTIONS_APPLICATION_DIRECTORY": str(root),
        "FUNCTIONS_CORETOOLS_ENVIRONMENT": "True",
        "FUNCTIONS_EXTENSION_VERSION": "~4",
        "FUNCTIONS_WORKER_DIRECTORY": str(Path(__file__).resolve().parents[1]),
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "FUNCTIONS_WORKER_RUNTIME_VERSION": f"{version.major}.{version.minor}",
        "PYTHON_THREADPOOL_THREAD_COUNT": THREAD_COUNT_DEFAULT,
        # For the app's child processes: this one has read the variable already.
        "PYTHONPATH": str(packages_folder(root)),
    }


@contextmanager
def working_in(root: Path) -> Iterator[None]:
    """Make `root` the working directory, as in the real worker: apps open files by relative paths.

    Paths of the command line must be absolute before.
    """
    previous = Path.cwd()
    os.chdir(root)
    try:
        yield
    finally:
        os.chdir(previous)
