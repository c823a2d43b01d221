"""What the app's own code says: its log records and what it prints, on their way to the console.

Owns the root logger's handler and, for as long as it is entered, `sys.stdout` and `sys.stderr`. Levels are
those of host.json's `logging.logLevel`, as Core Tools reads them: Information unless it says otherwise.
"""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TextIO

from dfhost.cli.console import Console
from dfhost.cli.log_formatter import SHOWN, WINDOW

# The category of a user's record is Function.<name>.User on the Functions host; the longest rule that begins
# it wins. Which function logged is not known here, so only the rules for all functions count.
_CATEGORY = "function.user"

_REMEMBERED = 1000  # kinds of records


def app_log_level(levels: Mapping[str, int], verbose: bool = False, quiet: bool = False) -> int:
    """The lowest level of user records that is shown. `levels`: as `Settings.log_levels`."""
    if verbose:
        return logging.DEBUG
    fitting = [category for category in levels if _CATEGORY.startswith(category)]
    level = levels[max(fitting, key=len)] if fitting else levels.get("default", logging.INFO)
    return max(level, logging.WARNING) if quiet else level


def _least_of(logger: str) -> int:
    """What the SDK and asyncio say to themselves below these levels is not what the app has to say."""
    if logger.startswith(("azure.functions", "azure.durable_functions")):
        return logging.WARNING
    return logging.INFO if logger == "asyncio" else 0


class AppOutput:
    """While entered, everything that user code logs or prints goes to `console`, whole lines at a time."""

    def __init__(self, console: Console, level: int) -> None:
        self._console = console
        self._handler = _LogHandler(console)
        self._level = level

    def __enter__(self) -> AppOutput:
        root = logging.getLogger()
        root.addHandler(self._handler)
        root.setLevel(self._level)
        logging.captureWarnings(True)
        self._streams = sys.stdout, sys.stderr
        sys.stdout = _Printed(self._console, sys.stdout)
        sys.stderr = _Printed(self._console, sys.stderr)
        return self

    def __exit__(self, *_: object) -> None:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, _Printed):
                stream.finish()
        sys.stdout, sys.stderr = self._streams
        logging.captureWarnings(False)
        logging.getLogger().removeHandler(self._handler)


class _LogHandler(logging.Handler):
    """Of records alike (logger, level, format), a second brings some lines and then a count.

    Decided here, not by the teller, so that what is not shown need not be formatted either.
    """

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._seen: dict[tuple[str, int, str], _Seen] = {}
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < _least_of(record.name):
            return
        if not self._console.verbose and not self._has_room(record):
            self._console.one_more(record.levelname.lower(), record.name)
            return
        try:
            text = self.format(record)
        except (
            Exception
        ) as error:  # logging.info("%d", "x"): the real worker loses it, a person wants to know
            text = f"{record.name}: {record.msg!r} cannot be formatted: {error}"
        self._console.say(record.levelname.lower(), text.removeprefix("root: "))

    def _has_room(self, record: logging.LogRecord) -> bool:
        """Called under the handler's lock."""
        key = record.name, record.levelno, str(record.msg)
        seen = self._seen.get(key)
        if seen is None or record.created >= seen.opened + WINDOW:
            if len(self._seen) >= _REMEMBERED:  # formats that are texts of their own, f"item {n}"
                self._seen.clear()
            self._seen[key] = seen = _Seen(record.created, busy=seen is not None and seen.number > SHOWN)
        seen.number += 1
        return not seen.busy and seen.number <= SHOWN


@dataclass(slots=True)
class _Seen:
    opened: float
    busy: bool
    number: int = 0


class _Printed(io.TextIOBase):
    """A text stream whose lines go to the console; what is flushed before its line ends goes there as it is.

    The latter keeps prompts (`breakpoint()`) and progress bars alive.
    """

    def __init__(self, console: Console, stream: TextIO) -> None:
        self._console = console
        self._stream = stream
        self._begun: dict[int, str] = {}  # thread -> the line it has begun

    def write(self, text: str) -> int:
        thread = threading.get_ident()
        printed = self._begun.pop(thread, "") + text
        # print() writes its last line end on its own: what it printed stays together.
        if printed.endswith("\n"):
            self._say(printed[:-1])
        elif printed:
            self._begun[thread] = printed
        return len(text)

    def flush(self) -> None:
        begun = self._begun.pop(threading.get_ident(), "")
        if begun:
            self._console.write(begun)

    def finish(self) -> None:
        """Show the lines that never ended."""
        for begun in self._begun.values():
            self._say(begun)
        self._begun.clear()

    def _say(self, printed: str) -> None:
        # So begins what libraries print for the Functions host's own log, which func shows with --verbose only.
        rest = printed.removeprefix("LanguageWorkerConsoleLog")
        if rest == printed or self._console.verbose:
            self._console.say("", rest)

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
