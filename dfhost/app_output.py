"""What the app logs and prints, on its way to the console.

Owns the root logger's handler and, while entered, `sys.stdout` and `sys.stderr`. The levels are those of
host.json's `logging.logLevel`, read as Core Tools reads them: Information unless it says otherwise.
"""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TextIO

from dfhost.printable import printable, printable_lines
from dfhost.running_calls import CurrentCall, current_call
from dfhost.short_id import short_id

_REMEMBERED_KINDS = 1000
_WINDOW = 1.0  # seconds
_LINES_PER_WINDOW = 100  # of records alike; as many printed lines have a time and a name

# The app answers for its own records. These may quote what clients send.
_NOT_OF_THE_APP = ("dfhost", "aiohttp", "asyncio")


class _Silence(threading.local):
    is_on = False


_silence = _Silence()


@contextmanager
def silence() -> Iterator[None]:
    """What this thread logs and prints in the block is not shown."""
    _silence.is_on = True
    try:
        yield
    finally:
        _silence.is_on = False


class OutputSink(Protocol):
    """Where the output goes. Its methods are called from any thread and must not block."""

    @property
    def verbose(self) -> bool: ...

    def print(self, label: str, text: str) -> None:
        """A log record (`label`: its level) or a printed line ("")."""

    def count_records(self, level: str, logger: str, number: int = 1) -> None:
        """Log records that get no line of their own."""

    def write(self, text: str) -> None:
        """Text as it is, with whatever line ends it has."""

    def flush(self) -> None:
        """Wait until all that was put so far is written, but not for long."""


class AppLogLevels:
    """The lowest level of the app's log records that is shown, for each function. `levels`: `Settings.log_levels`.

    On the Functions host the app's record has the category Function.NAME.User, and the longest rule that is a
    prefix of the category wins.
    """

    def __init__(self, levels: Mapping[str, int], verbose: bool = False, quiet: bool = False) -> None:
        self._rules = {} if verbose else {category.lower(): level for category, level in levels.items()}
        self._default = logging.DEBUG if verbose else self._rules.get("default", logging.INFO)
        self._quiet = quiet
        self._by_function: dict[str | None, int] = {}
        elsewhere = self.of(None)
        self.lowest = min([elsewhere, *(self.of(name) for name in self._functions_with_rules())])

    def of(self, function: str | None) -> int:
        """None: outside of any function, as at import or in a thread of the app's own."""
        level = self._by_function.get(function)
        if level is None:
            category = "function.user" if function is None else f"function.{function.lower()}.user"
            fitting = [rule for rule in self._rules if category.startswith(rule)]
            level = self._rules[max(fitting, key=len)] if fitting else self._default
            level = self._by_function[function] = max(level, logging.WARNING) if self._quiet else level
        return level

    def _functions_with_rules(self) -> Iterator[str]:
        for category in self._rules:
            head, _, rest = category.partition(".")
            if head == "function" and rest:
                yield rest.removesuffix(".user")


def _minimum_level(logger: str) -> int:
    """Below these levels the SDK and asyncio log about themselves, not about the app."""
    if logger.startswith(("azure.functions", "azure.durable_functions")):
        return logging.WARNING
    return logging.INFO if logger == "asyncio" else 0


class LogHandling:
    """While entered, the app's log records go to `sink`. Owns the root logger's handler and level."""

    def __init__(self, sink: OutputSink, levels: AppLogLevels) -> None:
        self._handler = _SinkHandler(sink, levels)
        self._level = levels.lowest

    def __enter__(self) -> LogHandling:
        root = logging.getLogger()
        root.addHandler(self._handler)
        root.setLevel(self._level)
        logging.captureWarnings(True)
        return self

    def __exit__(self, *_: object) -> None:
        logging.captureWarnings(False)
        logging.getLogger().removeHandler(self._handler)


class AppOutput(LogHandling):
    """While entered, everything that user code logs or prints in this process goes to `sink`, in whole lines."""

    def __init__(self, sink: OutputSink, levels: AppLogLevels) -> None:
        super().__init__(sink, levels)
        self._sink = sink

    def __enter__(self) -> AppOutput:
        super().__enter__()
        self._streams = sys.stdout, sys.stderr
        sys.stdout = _SinkStream(self._sink, sys.stdout)
        sys.stderr = _SinkStream(self._sink, sys.stderr)
        return self

    def __exit__(self, *_: object) -> None:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, _SinkStream):
                stream.finish()
        sys.stdout, sys.stderr = self._streams
        super().__exit__()


class _SinkHandler(logging.Handler):
    """Of records alike (logger, level, format) only the first in a second get a line; the others are counted.

    This is decided here and not by the formatter of the console, so that only shown records cost a format.
    """

    def __init__(self, sink: OutputSink, levels: AppLogLevels) -> None:
        super().__init__()
        self._sink = sink
        self._levels = levels
        self._windows: dict[tuple[str, int, int], _RecordWindow] = {}
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        call = current_call.get()
        of_function = self._levels.of(call.function if call else None)
        if record.levelno < max(_minimum_level(record.name), of_function) or _silence.is_on:
            return
        if not self._sink.verbose and not self._gets_a_line(record):
            self._sink.count_records(record.levelname.lower(), record.name)
            return
        try:
            text = self.format(record)
        except Exception as error:
            # logging.info("%d", "x"): the real worker drops it, but its author wants to know.
            text = f"{record.name}: {record.msg!r} cannot be formatted: {error}"
        if record.name.partition(".")[0] in _NOT_OF_THE_APP:
            text = printable_lines(text)
        self._sink.print(record.levelname.lower(), _with_origin(text.removeprefix("root: "), call))

    def _gets_a_line(self, record: logging.LogRecord) -> bool:
        """Called under the handler's lock."""
        # The hash, not the text: a thousand formats of their own may each be a megabyte.
        key = record.name, record.levelno, hash(str(record.msg))
        window = self._windows.get(key)
        if window is None or record.created >= window.start + _WINDOW:
            if len(self._windows) >= _REMEMBERED_KINDS:  # every record has a format of its own, f"item {n}"
                self._windows.clear()
            busy = window is not None and window.records > _LINES_PER_WINDOW
            self._windows[key] = window = _RecordWindow(record.created, busy)
        window.records += 1
        return not window.busy and window.records <= _LINES_PER_WINDOW


def _with_origin(text: str, call: CurrentCall | None) -> str:
    """The text, with the function that logs or prints it behind its first line: many run side by side."""
    if call is None:
        return text
    first, line_end, rest = text.partition("\n")
    instance = printable(short_id(call.instance_id or ""))
    return f"{first}  ({f'{call.function} {instance}'.rstrip()}){line_end}{rest}"


@dataclass(slots=True)
class _RecordWindow:
    """Records alike within one second. `busy`: the second before had more than got lines."""

    start: float
    busy: bool
    records: int = 0


class WholeLines:
    """The lines that are written to a stream, on their way to `sink`. Each thread writes lines of its own.

    What is flushed before its line ends goes out as it is. That keeps prompts (`breakpoint()`) and progress bars
    alive. A call's line ends with the call: what another one writes in its thread is no part of it.
    """

    def __init__(self, sink: OutputSink) -> None:
        self._sink = sink
        # thread -> a line without its end, and the call that writes it
        self._unfinished: dict[int, tuple[str, CurrentCall | None]] = {}

    def write(self, text: str) -> int:
        if _silence.is_on:
            return len(text)
        thread, call = threading.get_ident(), current_call.get()
        printed = text
        if (before := self._unfinished.pop(thread, None)) is not None:
            if before[1] is call:
                printed = before[0] + text
            else:
                self._print(*before)
        # print() writes its last line end separately: one call's lines stay together.
        if printed.endswith("\n"):
            self._print(printed[:-1], call)
        elif printed:
            self._unfinished[thread] = printed, call
        return len(text)

    def flush(self) -> None:
        unfinished, _ = self._unfinished.pop(threading.get_ident(), ("", None))
        if unfinished:
            self._sink.write(unfinished)

    def end_call(self) -> None:
        """Show the line that the current call has not ended. To be called in its thread or task, at its end."""
        if not self._unfinished:
            return
        thread = threading.get_ident()
        if (unfinished := self._unfinished.get(thread)) and unfinished[1] is current_call.get():
            del self._unfinished[thread]
            self._print(*unfinished)

    def finish(self) -> None:
        """Show the lines that never ended."""
        for unfinished in list(self._unfinished.values()):
            self._print(*unfinished)
        self._unfinished.clear()

    def _print(self, printed: str, call: CurrentCall | None) -> None:
        # Libraries print this prefix before lines for the Functions host's own log, which `func` shows only
        # with --verbose.
        text = printed.removeprefix("LanguageWorkerConsoleLog")
        if text == printed or self._sink.verbose:
            self._sink.print("", _with_origin(text, call))


class _SinkStream(io.TextIOBase):
    """A text stream whose lines go to the console."""

    def __init__(self, sink: OutputSink, stream: TextIO) -> None:
        self._lines = WholeLines(sink)
        self._stream = stream

    def write(self, text: str) -> int:
        return self._lines.write(text)

    def flush(self) -> None:
        self._lines.flush()

    def finish(self) -> None:
        self._lines.finish()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return self._stream.errors

    def __getattr__(self, name: str) -> Any:
        """`buffer`, `reconfigure` and whatever else a real stdout has."""
        return getattr(self._stream, name)
