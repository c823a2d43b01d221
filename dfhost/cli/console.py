"""The terminal: one thread writes what all others have to say, in the order in which they said it.

Owns the queue, the thread and the stream. To speak costs the speaker an append and, when the thread
sleeps, a wake-up; it never waits for the terminal. What the lines look like is `teller`'s affair.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TextIO

from dfhost.cli.log_formatter import FailedCall, LogEvent, LogFormatter, Message
from dfhost.cli.style import Style

_PAUSE = 0.05  # seconds between two writes: a burst is written in few pieces, and nobody sees the delay


class Raw(str):
    """Text that is written as it is: listings, prompts, half lines."""


# An Event of `threading`: someone wants to know when it is his turn. None: tell what is folded.
_Item = LogEvent | Raw | threading.Event | None


class Console:
    """A `Journal` at the terminal; a context manager: leaving it writes what is left."""

    def __init__(
        self, stream: TextIO, *, verbose: bool = False, calls: bool = True, style: Style | None = None
    ) -> None:
        self.style = style or Style.of(stream)
        self.verbose = verbose
        self._teller = LogFormatter(self.style, fold=not verbose, calls=calls)
        self.guard: Callable[[], AbstractContextManager[None]] = nullcontext  # e.g. hides a progress bar
        self._stream = stream
        self._mid_line = False
        self._gone = False
        self._queue: deque[_Item] = deque()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="console", daemon=True)

    def __enter__(self) -> Console:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self, timeout: float = 5.0) -> None:
        """Write what is left, wait for it at most `timeout` seconds (a terminal may be stopped)."""
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout)

    # -- the journal -----------------------------------------------------------------------------------------
    def started(self, function: str, trigger: str, instance_id: str | None) -> None:
        self._put((time.time(), "started", function, trigger, instance_id, 0.0))

    def finished(self, function: str, trigger: str, instance_id: str | None, seconds: float) -> None:
        self._put((time.time(), "finished", function, trigger, instance_id, seconds))

    def failed(
        self, function: str, trigger: str, instance_id: str | None, seconds: float, error: str, stack: str
    ) -> None:
        self._put(FailedCall(time.time(), "failed", function, trigger, instance_id, seconds, error, stack))

    def refused(self, request: str, status: int, why: str) -> None:
        self.note(f"{request} was answered {status}: {why}")

    def note(self, sentence: str) -> None:
        # It may tell of what somebody sent: nothing in it is to steer the terminal.
        plain = "".join(each if each.isprintable() else repr(each)[1:-1] for each in sentence)
        self._put(Message(time.time(), "note", plain))

    # -- everybody else --------------------------------------------------------------------------------------
    def say(self, verb: str, text: str) -> None:
        """A log record (`verb`: its level) or a printed line (""), with the time before it."""
        self._put(Message(time.time(), verb, text))

    def one_more(self, verb: str, source: str) -> None:
        """A log record of `source` that is only to be counted."""
        self._put(Message(time.time(), verb, None, source))

    def write(self, text: str) -> None:
        """Text as it is, with whatever line ends it has."""
        self._put(Raw(text))

    def settle(self) -> None:
        """Tell now what has been folded so far."""
        self._put(None)

    def running(self) -> dict[str, int]:
        """Functions that are executing user code now, and how often. Waits until the thread has caught up."""
        caught_up = threading.Event()
        self._put(caught_up)
        caught_up.wait(1.0)
        return self._teller.running()

    def name_width(self, width: int) -> None:
        """How wide the column of function names is to be."""
        self._teller.name_width = min(width, 40)

    def _put(self, item: _Item) -> None:
        self._queue.append(item)
        if not self._wake.is_set():
            self._wake.set()

    # -- the thread ------------------------------------------------------------------------------------------
    def _serve(self) -> None:
        while True:
            due = self._teller.due()
            self._wake.wait(None if due is None else max(0.0, due - time.time()))
            # First of all: whoever appends, or says stop, from here on wakes us again.
            self._wake.clear()
            stopping = self._stop.is_set()
            pieces = self._read_queue()
            self._add(pieces, self._teller.settle(time.time(), everything=stopping))
            if pieces:
                with self.guard():
                    self._write("".join(pieces))
            if stopping:
                return
            self._stop.wait(_PAUSE)

    def _read_queue(self) -> list[str]:
        pieces: list[str] = []
        for _ in range(len(self._queue)):
            item = self._queue.popleft()
            if isinstance(item, Raw):
                pieces.append(item)
                self._mid_line = not item.endswith("\n")
            elif isinstance(item, threading.Event):
                item.set()
            elif item is None:
                self._add(pieces, self._teller.settle(time.time(), everything=True))
            else:
                self._add(pieces, self._teller.tell(item))
        return pieces

    def _add(self, pieces: list[str], lines: Iterable[str]) -> None:
        for line in lines:
            pieces.append(f"\n{line}\n" if self._mid_line else f"{line}\n")
            self._mid_line = False

    def _write(self, text: str) -> None:
        if self._gone:
            return
        try:
            encoding = self._stream.encoding or "utf-8"
            self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            self._stream.flush()
        except (OSError, ValueError):
            # Nobody reads any more (`dfhost start | head`): the app goes on, and Python's own last flush of
            # the stream at exit must not complain either.
            self._gone = True
            with suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())
                os.close(nowhere)
