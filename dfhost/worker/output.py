"""What a worker prints and logs: one pipe, which is its stdout and its stderr.

Whatever writes to these two descriptors is read by the host: Python, C code, child processes. Python's own output is
marked as such: a line that begins with a zero byte is JSON,

    {"log": "warning", "text": "text", "at": 1764.25}    a log record, or with "" a printed line; seconds of the epoch
    {"write": "text"}                         text that was flushed before its line had ended
    {"count": 990, "level": "warning", "logger": "name"}    log records that get no line of their own

Every other line is shown as it is, like that of a child process of a host without workers. In a flood, Python's
printed lines come so, too, indented. No line is buffered in the worker, so none is lost when it dies; counts come
twenty times a second. Whoever prints faster than the console writes has to wait, and the host has not.
"""

from __future__ import annotations

import io
import json
import os
import threading
import time
from collections import Counter, deque
from typing import Any, Protocol

from dfhost.app_output import OutputSink, WholeLines

_MARK = b"\0"
_MARKED_PER_SECOND = 100  # printed lines; a flood goes without marks, and so without work for the host
_INDENT = " " * 24  # before lines without a mark, so that they stand below those that have a time
_COUNT_SECONDS = 0.05  # between two counts: a write for each record would wake the host as often
_CHUNK = 1 << 16
_LAST_LINES = 5
_ON_SCREEN = 10  # what was put to the console last can still be seen
_RECENT = 10.0  # seconds


class Terminal(OutputSink, Protocol):
    """The console: an `OutputSink` that everybody shares."""

    def print(self, label: str, text: str, at: float | None = None) -> None:
        """`at`: seconds since the epoch, None for now."""

    @property
    def puts(self) -> int:
        """How much was put to it so far, by anybody; a line counts about one."""


class PipeSink:
    """The worker's end: an `OutputSink` that writes to the pipe."""

    def __init__(self, verbose: bool) -> None:
        self.verbose = verbose
        self._set_locks()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._set_locks)
        self._second, self._marked = 0, 0
        self._counting_process = 0  # that whose thread writes them: a fork has none of its parent's threads

    def _set_locks(self) -> None:
        """At first, and in each forked child: there a thread that the child does not have may hold them for ever."""
        self._lock = threading.RLock()  # a signal handler or a finalizer prints in the middle of anything
        self._unwritten: deque[bytes] = deque()  # under the lock
        self._is_writing = False  # likewise
        self._counts: Counter[tuple[str, str]] = Counter()  # by level and logger; likewise
        self._counting = threading.Event()

    def print(self, label: str, text: str) -> None:
        if label or self._may_mark():
            self._write_json({"log": label, "text": text, "at": time.time()})
        else:
            lines = "".join(f"{_INDENT}{line}\n" for line in text.split("\n"))
            self._write(lines.encode("utf-8", "backslashreplace"))

    def count_records(self, level: str, logger: str, number: int = 1) -> None:
        with self._lock:
            self._counts[level, logger] += number
        if self._counting_process != os.getpid():
            self._counting_process = os.getpid()
            threading.Thread(target=self._write_counts, name="log-counts", daemon=True).start()
        if not self._counting.is_set():
            self._counting.set()

    def _write_counts(self) -> None:
        while self._counting.wait():
            time.sleep(_COUNT_SECONDS)
            self._counting.clear()
            self.flush()

    def write(self, text: str) -> None:
        self._write_json({"write": text})

    def flush(self) -> None:
        with self._lock:
            counts = dict(self._counts)
            self._counts.clear()
        for (level, logger), number in counts.items():
            self._write_json({"count": number, "level": level, "logger": logger})

    def _may_mark(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._marked = second, 0
        self._marked += 1
        return self._marked <= _MARKED_PER_SECOND

    def _write_json(self, value: dict[str, Any]) -> None:
        self._write(_MARK + json.dumps(value).encode() + b"\n")

    def _write(self, data: bytes) -> None:
        with self._lock:  # the parts of one line must not be parted
            self._unwritten.append(data)
            if self._is_writing:  # this very thread is, further up its stack
                return
            self._is_writing = True
            try:
                while self._unwritten:
                    rest = memoryview(self._unwritten.popleft())  # its parts are no copies
                    while rest:
                        rest = rest[os.write(1, rest) :]
            except OSError:  # the app has closed its stdout
                self._unwritten.clear()
            finally:
                self._is_writing = False


class WorkerStream(io.TextIOWrapper):
    """`sys.stdout` and `sys.stderr` of a worker: real streams, whose lines go out by a sink."""

    def __init__(self, descriptor: int, sink: OutputSink) -> None:
        self._lines = WholeLines(sink)
        super().__init__(
            open(descriptor, "wb", buffering=0, closefd=False),
            encoding="utf-8",
            errors="backslashreplace",
            write_through=True,
        )

    def write(self, text: str) -> int:
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        return self._lines.write(text)

    def flush(self) -> None:
        self._lines.flush()

    def end_call(self) -> None:
        """See `WholeLines.end_call`."""
        self._lines.end_call()

    def finish(self) -> None:
        self._lines.finish()


class OutputReader:
    """The host's end of a worker's output: shows it until the pipe is closed, in a thread of its own."""

    def __init__(self, descriptor: int, sink: Terminal) -> None:
        self._descriptor = descriptor
        self._sink = sink
        self._unfinished: list[bytes] = []  # the parts of a line whose end has not come
        self._last_lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._last_put, self._last_at = 0, 0.0
        self._thread = threading.Thread(target=self._run, name="worker-output", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self, timeout: float) -> None:
        """Wait until all that was written is shown. A child process that has outlived the worker may still write."""
        self._thread.join(timeout)

    def unseen_lines(self) -> list[str]:
        """The last lines of the last seconds, if so much was shown after them that they cannot be seen any more."""
        is_recent = time.monotonic() - self._last_at < _RECENT
        return list(self._last_lines) if is_recent and self._sink.puts - self._last_put > _ON_SCREEN else []

    def _shown(self, text: str) -> None:
        self._last_lines.extend(line.removeprefix(_INDENT) for line in text.splitlines()[-_LAST_LINES:])
        self._last_put, self._last_at = self._sink.puts, time.monotonic()

    def _run(self) -> None:
        shown = 0
        while True:
            try:
                data = os.read(self._descriptor, _CHUNK)
            except OSError:
                data = b""
            if not data:
                break
            self._take(data)
            shown += len(data)
            if shown > 16 * _CHUNK:
                self._sink.flush()  # the console is slower than the app: that may wait, nobody else
                shown = 0
        if self._unfinished:
            self._show(b"".join((*self._unfinished, b"\n")))
        os.close(self._descriptor)

    def _take(self, data: bytes) -> None:
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        if end:
            self._show(b"".join((*self._unfinished, data[:end])))
            self._unfinished.clear()
        if end < len(data):
            self._unfinished.append(data[end:])

    def _show(self, data: bytes) -> None:
        """Whole lines; those that follow each other are shown at once."""
        start = end = 0
        while (mark := data.find(_MARK, end)) >= 0:
            end = data.find(b"\n", mark) + 1 or len(data)
            if (message := _message_in(data[mark + 1 : end])) is not None:
                self._show_plain(data[start:mark])
                self._show_message(message)
                start = end
        self._show_plain(data[start:])

    def _show_plain(self, data: bytes) -> None:
        if data:
            text = data.decode("utf-8", "backslashreplace")
            self._sink.write(text)
            self._shown(text)

    def _show_message(self, message: dict[str, Any]) -> None:
        match message:
            case {"write": str(text)}:
                self._sink.write(text)
            case {"log": str(level), "text": str(text), "at": float(at)}:
                self._sink.print(level, text, at)
                self._shown(text)
            case {"count": int(number), "level": str(level), "logger": str(logger)}:
                self._sink.count_records(level, logger, number)


def _message_in(data: bytes) -> dict[str, Any] | None:
    """None if the app itself has printed the zero byte."""
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None
