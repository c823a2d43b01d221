"""Notices that source or settings files of the app have changed; files of tests do not count.

The operating system tells when something happens in the folders of the app (watchfiles). What counts is how the files
differ from those seen before: so a burst of saves is one change, an editor's temporary files are none, and no change
is missed that came before the watch began or where no events come (network drives, some containers).
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

SETTINGS_FILES = ("host.json", "local.settings.json")

# Folders; so are hidden ones and virtual environments. To save a test must not repeat what the app has begun.
_SKIPPED = ("__pycache__", "node_modules", "test", "tests")
_OF_ENVIRONMENT = (
    "bin",
    "include",
    "lib",
    "lib64",
    "Lib",
    "Scripts",
    "share",
)  # `python -m venv .` makes them
_TEST_FILE = re.compile(r"(test_.*|conftest)\.py")
_QUIET = 100  # milliseconds without an event that end a burst
_BURST = 1000  # milliseconds that a burst may take
_LOOK_EVERY = 1.0  # seconds, where no events come; or, in a large folder,
_TIMES_A_LOOK = 50  # so many times as long as one look takes

_Files = dict[str, tuple[int, int]]  # path below the app's folder -> time of its last change in ns, size


class SourceWatch:
    """Calls `on_change` on the running loop with the paths of what has changed since `since`, a `time.time()`."""

    def __init__(self, root: Path, since: float, on_change: Callable[[list[str]], None]) -> None:
        self._root = root
        self._since = int(since * 1e9)
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        threading.Thread(target=self._run, name="source-watch", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def _run(self) -> None:
        began = time.monotonic()
        files, folders = _look(self._root)
        pause = max(_LOOK_EVERY, _TIMES_A_LOOK * (time.monotonic() - began))
        self._report([path for path, (changed_at, _) in files.items() if changed_at > self._since])
        while not self._stop.is_set():
            for _ in self._events(folders, pause):
                before, watched = files, folders
                files, folders = _look(self._root)
                self._report([path for path in {**before, **files} if before.get(path) != files.get(path)])
                if folders != watched:
                    break

    def _report(self, changed: list[str]) -> None:
        if changed and not self._stop.is_set():
            with suppress(RuntimeError):  # the host has ended
                self._loop.call_soon_threadsafe(self._on_change, sorted(changed))

    def _events(self, folders: set[str], pause: float) -> Iterator[None]:
        """Yields when something may have changed, and at least every `pause` seconds."""
        from watchfiles import watch

        logging.getLogger("watchfiles").setLevel(logging.WARNING)
        try:
            for changes in watch(
                *folders,
                watch_filter=None,
                recursive=False,  # .dfhost and .venv are below the folder of many an app
                step=_QUIET,
                debounce=_BURST,
                rust_timeout=int(pause * 1000),
                yield_on_timeout=True,
                stop_event=self._stop,
                raise_interrupt=False,
            ):
                if not changes or any(_may_count(path) for _, path in changes):
                    yield
        except (OSError, RuntimeError):  # a folder has just gone, or the system's watches are used up
            self._stop.wait(pause)
            yield


def _may_count(path: str) -> bool:
    return (
        _is_source(os.path.basename(path)) or os.path.basename(path) in SETTINGS_FILES or os.path.isdir(path)
    )


def _is_source(name: str) -> bool:
    return name.endswith(".py") and not _TEST_FILE.fullmatch(name)


def _look(root: Path) -> tuple[_Files, set[str]]:
    """The files that count, and the folders that may hold such."""
    files: _Files = {}
    folders: set[str] = set()
    remaining = [str(root)]
    while remaining:
        folder = remaining.pop()
        try:
            with os.scandir(folder) as entries:
                found = list(entries)
        except OSError:  # it has just gone, or nobody may read it
            continue
        is_environment = any(entry.name == "pyvenv.cfg" for entry in found)
        if is_environment and folder != str(root):
            continue
        folders.add(folder)
        for entry in found:
            if entry.name.startswith(".") or entry.name in _SKIPPED:
                continue
            if is_environment and entry.name in _OF_ENVIRONMENT:
                continue
            if entry.is_dir(follow_symlinks=False):
                remaining.append(entry.path)
            elif _is_source(entry.name) or (folder == str(root) and entry.name in SETTINGS_FILES):
                try:
                    status = os.stat(entry.path)  # the entry's own may be out of date on Windows
                except OSError:
                    continue
                files[os.path.relpath(entry.path, root)] = status.st_mtime_ns, status.st_size
    return files, folders
