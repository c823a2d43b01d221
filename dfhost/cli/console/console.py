"""The terminal: one thread writes what all other threads and the workers log and print, in the order of time.

What a worker prints comes by another way than the news that its call has ended, and may be a little later than that.
So what is younger than `_SETTLES` is left for the next write.

Owns the queue, the thread and the stream. A caller pays for an append and, while the thread sleeps, a wake-up; it
never waits for the terminal. `LogFormatter` decides what the lines look like.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from math import inf
from typing import TextIO

from dfhost.cli.console.log_events import FailedCall, LogEvent, Message
from dfhost.cli.console.log_file import LogFile
from dfhost.cli.console.log_formatter import LogFormatter
from dfhost.cli.console.log_words import attempt_in_words, event_in_words, waits_in_words
from dfhost.cli.style import Style, printable
from dfhost.host_log import Attempt

# Seconds. Nobody sees these delays.
_PAUSE = 0.05  # between two writes: a burst becomes few of them
_SETTLES = 0.02
_LATEST = 1.0  # a worker's clock is believed so far: the app may have patched it


class RawText(str):
    """Text that is written as it is: listings, prompts, unfinished lines."""


# A threading.Event is set when what stands before it is written. None: write the summaries of all calls that got no
# line of their own.
_QueueItem = LogEvent | RawText | threading.Event | None


class Console:
    """A `HostLog` at the terminal. A context manager: leaving it writes what is left.

    `write_context` is entered around each write, for example to hide a progress bar. `log_file` gets the same text.
    `others_reach_host`: whether commands in another terminal find the host.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        verbose: bool = False,
        calls: bool = True,
        style: Style | None = None,
        log_file: LogFile | None = None,
        others_reach_host: bool = True,
    ) -> None:
        self.style = style or Style.of(stream)
        self.verbose = verbose
        self.puts = 0  # about: threads may lose a count
        self.write_context: Callable[[], AbstractContextManager[None]] = nullcontext
        self._live = stream.isatty() and calls and not verbose
        self._maps = ""  # see `show_progress`
        self._formatter = LogFormatter(
            self.style,
            summarise=not verbose,
            calls=calls,
            live=self._live,
            others_reach_host=others_reach_host,
        )
        self._progress = ""  # what stands in the last line, without a line end
        self._stream = stream
        self._log_file = log_file
        self._mid_line = False
        self._stream_broken = False
        self._queue: deque[_QueueItem] = deque()
        self._worker_lines: deque[Message] = deque()
        self._is_flushing = False
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._flushed: list[threading.Event] = []  # to be set after the next write
        self._thread = threading.Thread(target=self._run, name="console", daemon=True)
        self._is_in_child = False
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._write_at_once)

    def __enter__(self) -> Console:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self, timeout: float = 5.0) -> None:
        """Write what is left, and wait for that at most `timeout` seconds: a terminal may be suspended."""
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout)

    # -- HostLog ---------------------------------------------------------------------------------------------
    def started(self, function: str, trigger: str, instance_id: str | None, item: str = "") -> None:
        self._put((time.time(), "started", function, trigger, instance_id, 0.0, item))

    def started_again(self, function: str, instance_id: str, item: str) -> None:
        self._put((time.time(), "again", function, "activity", instance_id, 0.0, item))

    def finished(
        self, function: str, trigger: str, instance_id: str | None, seconds: float, item: str = ""
    ) -> None:
        self._put((time.time(), "finished", function, trigger, instance_id, seconds, item))

    def failed(
        self,
        function: str,
        trigger: str,
        instance_id: str | None,
        seconds: float,
        error: str,
        stack: str,
        item: str = "",
        attempt: Attempt | None = None,
    ) -> None:
        verb = "failed" if attempt is None or attempt.is_last else "retrying"
        words = attempt_in_words(attempt)
        self._put(
            FailedCall(time.time(), verb, function, trigger, instance_id, seconds, item, error, stack, words)
        )

    def waiting(
        self,
        function: str,
        instance_id: str,
        events: Sequence[str],
        timer_in: float | None,
        needs_all: bool,
    ) -> None:
        words = waits_in_words(events, timer_in, needs_all)
        self._put((time.time(), "waiting", function, "orchestrator", instance_id, 0.0, words))

    def steered(self, function: str, instance_id: str, verb: str, reason: str | None) -> None:
        self._put((time.time(), verb, function, "orchestrator", instance_id, 0.0, reason or ""))

    def ended(self, function: str, instance_id: str, seconds: float, how: str) -> None:
        self._put((time.time(), "ended", function, "orchestrator", instance_id, seconds, how))

    def received(self, function: str, instance_id: str, event: str, is_awaited: bool | None) -> None:
        words = event_in_words(event, is_awaited)
        self._put((time.time(), "received", function, "orchestrator", instance_id, 0.0, words))

    def refused(self, request: str, status: int, reason: str) -> None:
        self.note(f"{request} was answered {status}: {reason}")

    def note(self, sentence: str) -> None:
        self._put(Message(time.time(), "note", printable(sentence)))

    # -- for the command line --------------------------------------------------------------------------------
    def print(self, label: str, text: str, at: float | None = None) -> None:
        """A log record (`label`: its level) or a printed line (""), shown with the time. The text stays as it is."""
        now = time.time()
        if at is None:
            self._put(Message(now, label, text))
        else:
            self._worker_lines.append(Message(min(max(at, now - _LATEST), now), label, text))
            self._announce()

    def count_records(self, level: str, logger: str, number: int = 1) -> None:
        """Count log records that get no line of their own."""
        self._put(Message(time.time(), level, None, logger, number))

    def write(self, text: str) -> None:
        """Text as it is, with whatever line ends it has."""
        self._put(RawText(text))

    @property
    def shows_progress(self) -> bool:
        """Whether there is a last line that is written anew in place."""
        return self._live

    def show_progress(self, text: str) -> None:
        """What the last line says in place of the calls under load; "" for nothing."""
        if text != self._maps:
            self._maps = text
            self._wake.set()

    def flush_summaries(self) -> None:
        """Write the summaries of everything so far that got no line of its own."""
        self._is_flushing = True
        self._put(None)

    def running_calls(self) -> dict[str, int]:
        """Function -> calls that execute user code now, once all that was put so far is written."""
        self.flush()
        return self._formatter.running_calls()

    def flush(self, timeout: float = 1.0) -> None:
        """Wait until all that was put so far is written, at most `timeout` seconds."""
        written = threading.Event()
        self._is_flushing = True
        self._put(written)
        written.wait(timeout)

    def set_name_width(self, width: int) -> None:
        """How wide the column of function names is."""
        self._formatter.lines.name_width = min(width, 40)

    def instances_go_on(self, instance_ids: Iterable[str]) -> None:
        """An earlier host has started these orchestrations. To be called before they have lines."""
        self._formatter.orchestrations.update(instance_ids)

    def _put(self, item: _QueueItem) -> None:
        self._queue.append(item)
        self._announce()

    def _announce(self) -> None:
        self.puts += 1
        if self._is_in_child:
            self._write_in_child()
        elif not self._wake.is_set():
            self._wake.set()

    # -- in a child that the app forks: it has no such thread ------------------------------------------------
    def _write_at_once(self) -> None:
        self._is_in_child = True
        self._queue, self._worker_lines = deque(), deque()  # what is in them, its parent writes
        self._progress = ""

    def _write_in_child(self) -> None:
        text = "".join(self._read_queue(everything=True))
        while self._flushed:
            self._flushed.pop().set()
        if self._log_file is not None and text:
            self._log_file.write(text)
        with suppress(OSError, ValueError):
            # Not by the stream: what it holds of its parent's would be written twice.
            os.write(self._stream.fileno(), text.encode(self._stream.encoding or "utf-8", "backslashreplace"))

    # -- the thread ------------------------------------------------------------------------------------------
    def _run(self) -> None:
        while True:
            due = self._formatter.next_summary()
            self._wake.wait(None if due is None else max(0.0, due - time.time()))
            # Cleared before anything is read: an item put from here on, or a stop, wakes the thread again.
            self._wake.clear()
            stopping = self._stop.is_set()
            flushing, self._is_flushing = self._is_flushing, False
            pieces = self._read_queue(everything=stopping or flushing)
            self._add_lines(pieces, self._formatter.summaries(time.time(), everything=stopping))
            self._write_lines("".join(pieces), last=stopping)
            while self._flushed:
                self._flushed.pop().set()
            if stopping:
                if self._log_file is not None:
                    self._log_file.close()
                return
            if self._queue or self._worker_lines:
                self._wake.set()
            self._stop.wait(_PAUSE if pieces else _SETTLES)

    def _settled(self, everything: bool) -> Iterator[_QueueItem]:
        """What was put so far, but for what is too young. The lines of workers stand where their times belong."""
        queue, lines = self._queue, self._worker_lines
        now = time.time()

        def is_young(at: float) -> bool:
            # What is much later than now was put before somebody has set the clock back; a little, since `now`.
            return not everything and abs(now - at) < _SETTLES

        for _ in range(len(queue)):
            item = queue[0]
            at: float = item[0] if isinstance(item, tuple) else inf
            if is_young(at):
                break
            while lines and lines[0].at <= at:
                yield lines.popleft()
            yield queue.popleft()
        while lines and not is_young(lines[0].at):
            yield lines.popleft()

    def _read_queue(self, everything: bool) -> list[str]:
        pieces: list[str] = []
        for item in self._settled(everything):
            if isinstance(item, RawText):
                pieces.append(item)
                self._mid_line = not item.endswith("\n")
            elif isinstance(item, threading.Event):
                self._flushed.append(item)
            elif item is None:
                self._add_lines(pieces, self._formatter.summaries(time.time(), everything=True))
            else:
                self._add_lines(pieces, self._formatter.format(item))
        return pieces

    def _add_lines(self, pieces: list[str], lines: Iterable[str]) -> None:
        for line in lines:
            pieces.append(f"\n{line}\n" if self._mid_line else f"{line}\n")
            self._mid_line = False

    def _write_lines(self, text: str, last: bool) -> None:
        """Write `text`, and below it the progress in place of that which stands there."""
        progress = ""
        if self._live and not (last or self._mid_line):
            # Not both: what a map tries again counts there as a failed call, and its items end in batches.
            progress = self._maps or self._formatter.progress()
        if self._log_file is not None and text:
            self._log_file.write(text)
        if not text and progress == self._progress:
            return
        shown = self.style(progress[: shutil.get_terminal_size().columns - 1], "cyan")
        erased = "\r\x1b[K" if self._progress else ""
        self._progress = progress
        with self.write_context():
            self._write(f"{erased}{text}{shown}")

    def _write(self, text: str) -> None:
        if self._stream_broken:
            return
        try:
            encoding = self._stream.encoding or "utf-8"
            self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            self._stream.flush()
        except (OSError, ValueError):
            # Nobody reads any more (`dfhost start | head`). The app goes on, and Python's own flush of the
            # stream at exit must not complain either.
            self._stream_broken = True
            with suppress(OSError, ValueError):
                devnull = os.open(os.devnull, os.O_WRONLY)
                os.dup2(devnull, self._stream.fileno())
                os.close(devnull)
