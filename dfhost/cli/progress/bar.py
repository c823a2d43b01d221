"""The progress of a run: a bar on a terminal, now and then a line elsewhere, nothing with --quiet."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

from dfhost.cli.console.console import Console
from dfhost.cli.style import count, printable
from dfhost.durations import duration

_FIRST_LINE = 2.0  # seconds; each further line comes after twice the time, but at least every half minute
_LONGEST_PAUSE = 30.0


class LineTimes:
    """When a run that goes on has a line again, where lines cannot be replaced."""

    def __init__(self) -> None:
        self._start_time = time.monotonic()
        self._next_line = self._start_time + _FIRST_LINE
        self._shown: object = None

    def is_due(self, state: object) -> bool:
        """Whether `state` has a line now. The line before was of another state."""
        now = time.monotonic()
        if now < self._next_line or state == self._shown:
            return False
        self._shown = state
        self._next_line = now + min(_LONGEST_PAUSE, now - self._start_time)
        return True


class Progress(Protocol):
    def show(self, done: int, total: int | None, phase: str) -> None:
        """`done` of `total` tasks (None: unknown). `phase`: what the app says it is doing, may be empty."""

    def close(self) -> None: ...


def progress(stream: TextIO, console: Console, quiet: bool) -> Progress:
    if quiet:
        return _NoProgress()
    return _ProgressBar(stream, console) if stream.isatty() else _ProgressLines(console)


class _NoProgress:
    def show(self, done: int, total: int | None, phase: str) -> None:
        pass

    def close(self) -> None:
        pass


class _ProgressLines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._start_time = time.monotonic()
        self._times = LineTimes()

    def show(self, done: int, total: int | None, phase: str) -> None:
        if (done, total, phase) == (0, None, "") or not self._times.is_due((done, total, phase)):
            return
        text = count(done, "task") if total is None else f"{count(done)} of {count(total, 'task')}"
        after = duration(time.monotonic() - self._start_time)
        self._console.print("", f"{text} done after {after}" + (f", {printable(phase)}" if phase else ""))

    def close(self) -> None:
        pass


class _ProgressBar:
    """Appears with the first progress: a run that ends at once shows no bar."""

    def __init__(self, stream: TextIO, console: Console) -> None:
        self._stream = stream
        self._console = console
        self._start_time = time.time()
        self._bar: Any = None

    def show(self, done: int, total: int | None, phase: str) -> None:
        if self._bar is None:
            if total is None and not phase:
                return
            self._open()
        self._bar.total = total
        self._bar.n = done
        self._bar.set_postfix_str(printable(phase), refresh=False)
        self._bar.refresh()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def _open(self) -> None:
        from tqdm import tqdm

        tqdm.monitor_interval = 0  # else its thread wakes up every ten seconds for nothing
        columns = os.get_terminal_size(self._stream.fileno()).columns  # 0 where nobody has set it
        width: dict[str, Any] = {"dynamic_ncols": True} if columns else {"ncols": 80}
        self._bar = tqdm(file=self._stream, unit=" tasks", leave=False, **width)
        self._bar.start_t = self._start_time
        self._console.write_context = self._hidden

    @contextmanager
    def _hidden(self) -> Iterator[None]:
        """Hides the bar while the console writes, so that lines appear above it."""
        with self._bar.external_write_mode(file=self._stream):
            yield
