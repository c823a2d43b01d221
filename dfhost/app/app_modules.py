"""Finds the modules in the app's folder, and caches no bytecode of a file that was saved a moment ago.

Python compares a file's size and the second of its last change with what its cached bytecode says of them. A second
save within that second can leave both as they were, and then a reload would run the old code. `script_import`
decides when and from where something is imported.
"""

from __future__ import annotations

import os
import sys
import time
from importlib import machinery
from pathlib import Path
from typing import Any

_RECENT = 2.0  # seconds; the coarsest time stamps of a file system are two seconds apart (FAT)


class AppLoader(machinery.SourceFileLoader):
    """Loads one file of the app."""

    def set_data(self, path: str, data: Any, *, _mode: int = 0o666) -> None:
        """Write the bytecode, unless its source is recent."""
        if time.time() - os.stat(self.path).st_mtime > _RECENT:
            super().set_data(path, data, _mode=_mode)


class AppModules:
    """An entry of `sys.path_hooks` for the folder `root` and those below it, installed packages left out."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)

    def __call__(self, folder: str) -> machinery.FileFinder:
        if not self._owns(folder):
            raise ImportError(f"{folder} is not in {self._root}", path=folder)
        return machinery.FileFinder(
            folder,
            (machinery.ExtensionFileLoader, machinery.EXTENSION_SUFFIXES),
            (AppLoader, machinery.SOURCE_SUFFIXES),
            (machinery.SourcelessFileLoader, machinery.BYTECODE_SUFFIXES),
        )

    def install(self) -> None:
        sys.path_hooks.insert(0, self)
        self._forget_finders()

    def remove(self) -> None:
        sys.path_hooks.remove(self)
        self._forget_finders()

    def _owns(self, folder: str) -> bool:
        is_below = folder == self._root or folder.startswith(self._root + os.sep)
        return is_below and "site-packages" not in folder.split(os.sep) and os.path.isdir(folder)

    def _forget_finders(self) -> None:
        for folder in [each for each in sys.path_importer_cache if self._owns(each)]:
            del sys.path_importer_cache[folder]
