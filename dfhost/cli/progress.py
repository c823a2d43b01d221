"""How far a run is: a bar on a terminal, now and then a line elsewhere, nothing if asked to be quiet."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

from dfhost.cli.console import Console
from dfhost.cli.style import count, duration

_FIRST_LINE = 2.0  # seconds; each further line after twice the time, but at least every half minute
_SLOWEST = 30.0


class Progress(Protocol):
    def show(self, done: int, total: int | None, words: str) -> None:
        """`total`: None while it is unknown. `words`: what else there is to say, may be empty."""

    def close(self) -> None: ...


def progress(stream: TextIO, console: Console, quiet: bool) -> Progress:
    if quiet:
        return _Nothing()
    return _Bar(stream, console) if stream.isatty() else _Lines(console)


class _Nothing:
    def show(self, done: int, total: int | None, words: str) -> None:
        pass

    def close(self) -> None:
        pass


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._next = self._began + _FIRST_LINE
        self._shown: object = (0, None, "")

    def show(self, done: int, total: int | None, words: str) -> None:
        now = time.monotonic()
        if now < self._next or self._shown == (done, total, words):
            return
        self._shown = (done, total, words)
        self._next = now + min(_SLOWEST, now - self._began)
        told = count(done, "task") if total is None else f"{count(done)} of {count(total, 'task')}"
        self._console.say(
            "", f"{told} done after {duration(now - self._began)}" + (f", {words}" if words else "")
        )

    def close(self) -> None:
        pass


class _Bar:
    """Appears with the first thing it has to show; what ends at once needs none."""

    def __init__(self, stream: TextIO, console: Console) -> None:
        self._stream = stream
        self._console = console
        self._began = time.time()
        self._bar: Any = None

    def show(self, done: int, total: int | None, words: str) -> None:
        if self._bar is None:
            if total is None and not words:
                return
            self._open()
        self._bar.total = total
        self._bar.n = done
        self._bar.set_postfix_str(words, refresh=False)
        self._bar.refresh()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def _open(self) -> None:
        from tqdm import tqdm

        tqdm.monitor_interval = 0  # its thread would wake up every ten seconds for nothing
        wide = os.get_terminal_size(self._stream.fileno()).columns  # 0 where nobody has set it
        width: dict[str, Any] = {"dynamic_ncols": True} if wide else {"ncols": 80}
        self._bar = tqdm(file=self._stream, unit=" tasks", leave=False, **width)
        self._bar.start_t = self._began
        self._console.guard = self._hidden

    @contextmanager
    def _hidden(self) -> Iterator[None]:
        """Lines of the console appear above the bar."""
        with self._bar.external_write_mode(file=self._stream):
            yield
