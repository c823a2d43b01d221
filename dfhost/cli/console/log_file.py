"""The file beside the database in which the host's console is kept, for `dfhost logs`: written, rotated, read.

What is written is what stands at the terminal, without its colours. Its times are of a day, so a line with the date
stands above them where a host starts, where a day begins, and at the beginning of a file. Two files of `_LIMIT` bytes
are kept at most.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Protocol

_LIMIT = 5_000_000  # bytes
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
INDENTED = " " * 12  # a line that goes on with the one above has no time
DATE = re.compile(r"-- (\d{4}-\d\d-\d\d)\b")  # how a line with the date begins
_PAUSE = 0.2  # seconds between two looks at the file


def log_file(database: Path) -> Path:
    return database.with_name(f"{database.name}.log")


class LogFile:
    """Opened for appending. A file that cannot be written is left alone: the terminal has it all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._open()
        self._day = time.strftime("%Y-%m-%d")  # of the last line with the date; "" if this file has none yet
        self.write(f"-- {self._day} {time.strftime('%H:%M:%S')} dfhost start, process {os.getpid()}\n")

    def write(self, text: str) -> None:
        if self._descriptor is None:
            return
        if self._day != (today := time.strftime("%Y-%m-%d")):
            self._day = today
            text = f"-- {today}\n{text}"
        with suppress(OSError):
            os.write(self._descriptor, _COLOURS.sub("", text).encode("utf-8", "backslashreplace"))
            if os.fstat(self._descriptor).st_size > _LIMIT:
                self.close()
                with suppress(OSError):  # Windows, while somebody reads it: it grows
                    self._path.replace(_older(self._path))
                self._open()
                self._day = ""

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> None:
        with suppress(OSError):
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


# -- reading -----------------------------------------------------------------------------------------------------
def read_log(path: Path) -> list[str]:
    """All lines that are kept, the oldest first."""
    lines: list[str] = []
    for each in (_older(path), path):
        with suppress(OSError):
            lines += each.read_text("utf-8", "replace").splitlines()
    return lines


def follow_log(path: Path) -> Generator[str, None, None]:
    """The lines that are written from now on, for ever."""
    with ExitStack() as opened, suppress(OSError):
        stream = opened.enter_context(path.open(encoding="utf-8", errors="replace"))
        stream.seek(0, os.SEEK_END)
        while True:
            if line := stream.readline():
                yield line.rstrip("\n")
                continue
            with suppress(OSError):
                if path.stat().st_ino != os.fstat(stream.fileno()).st_ino:  # rotated
                    last = stream.readlines()  # written since the look above, before the rotation
                    new = path.open(encoding="utf-8", errors="replace")
                    opened.close()
                    stream = opened.enter_context(new)
                    yield from (line.rstrip("\n") for line in last)
                    continue
            time.sleep(_PAUSE)


class Searched(Protocol):
    """What lines are looked for with: a pattern, for example."""

    def search(self, line: str, /) -> object:
        """None if the line is not of what is looked for."""


def entries_with(lines: Iterable[str], pattern: Searched) -> Iterator[str]:
    """The lines of each entry that has `pattern` somewhere, and of each day the line with its date.

    An entry is a line and the indented ones below it.
    """
    date = ""  # the line with the date that has not been shown
    entry: list[str] = []  # the lines of the present one, none of which has the pattern
    is_shown = False
    for line in lines:
        if DATE.match(line):
            date, entry, is_shown = line, [], False
            continue
        if not line.startswith(INDENTED):
            entry, is_shown = [], False
        entry.append(line)
        if is_shown or pattern.search(line):
            if date:
                yield date
            yield from entry
            date, entry, is_shown = "", [], True


def _older(path: Path) -> Path:
    return path.with_name(f"{path.name}.1")
