"""What a line of the console looks like: its columns, its colours, and time that never goes backwards.

Knows nothing of folding: `LogFormatter` decides which lines there are.
Names, ids and failures come out without control characters; what the app logs and prints stays as it is.
"""

from __future__ import annotations

import time

from dfhost.cli.style import Style, printable
from dfhost.short_id import short_id
from dfhost.timeline.sentences import brief

INDENT = " " * 24  # continuation lines stand below the text, right of time and label

_LOOKS = {
    "started": "dim",
    "finished": "green",
    "waiting": "cyan",
    "received": "cyan",
    "suspended": "yellow",
    "resumed": "cyan",
    "rewound": "cyan",
    "retrying": "yellow",
    "failed": "red",
    "ended": "yellow",
    "note": "yellow",
    "warning": "yellow",
    "error": "red",
    "critical": "red",
    "debug": "dim",
    "info": "cyan",
}
_DURATION_WIDTH = len("59 min 59 s")  # the longest that a duration of less than ten days can be
_READ_OF_ITEM = 1200  # characters
_LONGEST_ITEM, _LONGEST_BESIDE_ATTEMPT = 60, 40
_LONGEST_WORDS = 160  # where not the app says them, but dfhost or a person
_WORDS = frozenset(("waiting", "received", "suspended", "resumed", "rewound", "ended"))
_LABEL_WIDTH = len("suspended ")


class LogLines:
    """Makes lines, in the order in which they will stand. `name_width`: of the column of function names."""

    def __init__(self, style: Style) -> None:
        self.name_width = 0
        self._style = style
        self._last_at = 0.0  # of the newest line

    def call(
        self,
        at: float,
        verb: str,
        function: str,
        text: str,
        instance_id: str | None,
        item: str = "",
        attempt: str = "",
    ) -> str:
        """`text`: a duration, or what a summary says. `attempt`: a remark on the call, mostly which attempt it is."""
        longest = _LONGEST_BESIDE_ATTEMPT if attempt else _LONGEST_ITEM
        item = brief(item[:_READ_OF_ITEM], _LONGEST_WORDS if verb in _WORDS else longest)
        name = self._style(f"{printable(function):<{self.name_width}}", "bold")
        instance = self._style(printable(instance_id or ""), "dim")
        item = ", ".join(filter(None, (printable(item), attempt)))
        shown = "  ".join(filter(None, (instance, item)))
        return f"{self._head(at, verb)}{name}  {text:<{_DURATION_WIDTH}}  {shown}".rstrip()

    def message(self, at: float, label: str, text: str) -> list[str]:
        first, *rest = text.splitlines() or [""]
        look = _LOOKS.get(label)
        if look in ("red", "yellow"):
            first = self._style(first, look)
        return [self._head(at, label) + first, *(INDENT + line for line in rest)]

    def error(self, text: str) -> list[str]:
        """Below the line of a call that failed."""
        return [INDENT + self._style(line, "red") for line in text.splitlines()]

    def _head(self, at: float, label: str) -> str:
        """Threads report at almost the same time, and a summary comes after its calls: the clock never goes back."""
        self._last_at = at = max(at, self._last_at)
        clock = time.strftime("%H:%M:%S", time.localtime(at)) + f".{int(at * 1000) % 1000:03d}"
        column = self._style(label, _LOOKS.get(label, "dim")) if label else ""
        return f"{self._style(clock, 'dim')}  {column}{' ' * (_LABEL_WIDTH - len(label))}"


def shown_id(trigger: str, instance_id: str | None) -> str | None:
    """An orchestration's whole id; of an activity, whose line names its item, the beginning of a generated one."""
    return short_id(instance_id) if trigger == "activity" and instance_id else instance_id
