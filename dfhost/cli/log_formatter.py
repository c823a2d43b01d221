"""From what happens to lines worth reading: one a call, and under load one a second and function.

Pure: events and times go in, lines come out. `Console` owns the clock, the thread and the terminal.

Folding: of each function the first `SHOWN` starts and ends in a second get a line of their own; what goes
beyond is told once, when the second is over ("4,312 finished in 0.9 s"), and as long as a second brings
more than that, all of the next is told so. Failures are told in full: the first of a kind with its traceback,
two more with their text, the rest of a burst as a count with the latest text.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from dfhost.cli.failures import read_failure
from dfhost.cli.style import Style, count, duration

WINDOW = 1.0  # seconds
SHOWN = 10  # lines of a function and verb in a window
FAILURES_SHOWN = 3  # of one kind in one burst
BURST_ENDS = 10.0  # seconds without a failure of the kind


# A start or an end: (time.time(), "started" or "finished", function, trigger, instance id, seconds). A plain
# tuple, because two of them are made for each item of a fan-out: a class would cost the host 2 % of its time.
Call = tuple[float, str, str, str, "str | None", float]


class FailedCall(NamedTuple):
    """Begins as a `Call` does."""

    at: float
    verb: str
    function: str
    trigger: str
    instance_id: str | None
    seconds: float
    error: str
    stack: str


class Message(NamedTuple):
    """A log record, a printed line (`verb` ""), or a note of the host's.

    `text` None: one more record of `source`, which has had enough lines for now.
    """

    at: float
    verb: str
    text: str | None
    source: str = ""


LogEvent = Call | FailedCall | Message


@dataclass(slots=True)
class _Kind:
    """Failures of one function and type, raised at one place."""

    last: float = 0.0
    shown: int = 0
    stack: str = ""
    folded: int = 0
    text: str = ""


@dataclass(slots=True)
class _Tally:
    """One function: what runs, and what the present window holds."""

    trigger: str
    opened: float
    running: int = 0
    seen: dict[str, int] = field(default_factory=dict)  # verb -> events in this window
    folded: dict[str, int] = field(default_factory=dict)  # verb -> those without a line
    first: float = 0.0
    last: float = 0.0
    busy: bool = False


_LOOKS = {
    "started": "dim",
    "finished": "green",
    "failed": "red",
    "note": "yellow",
    "warning": "yellow",
    "error": "red",
    "critical": "red",
    "debug": "dim",
    "info": "cyan",
}


class LogFormatter:
    """`fold=False`: every start and end gets its line; `calls=False`: none does, only failures and words."""

    def __init__(self, style: Style, *, fold: bool = True, calls: bool = True) -> None:
        self._style = style
        self._fold = fold
        self._calls = calls
        self._tallies: dict[str, _Tally] = {}
        self._open: set[str] = set()  # functions with something folded
        self._kinds: dict[tuple[str, str, str], _Kind] = {}
        self.name_width = 0

    def tell(self, event: LogEvent) -> Sequence[str]:
        """The lines of one event, which may be none."""
        if isinstance(event, Message):
            return self._said(event)
        failure = event if isinstance(event, FailedCall) else None
        at, verb, function, trigger, instance_id, seconds = event[:6]
        tally = self._tallies.get(function)
        if tally is None:
            tally = self._tallies[function] = _Tally(trigger, at)
        lines: Sequence[str] = ()
        if at >= tally.opened + WINDOW:
            lines = self._close(function, tally, at)
        if verb == "started":
            tally.running += 1
        elif tally.running:
            tally.running -= 1
        if failure:
            return [*lines, *self._failed(failure, tally)]
        if not self._calls:
            return lines
        seen = tally.seen[verb] = tally.seen.get(verb, 0) + 1
        if self._fold and (tally.busy or seen > SHOWN):
            self._count(function, tally, verb, at)
            return lines
        if verb == "finished" and trigger == "orchestration":
            lines = [*lines, *self.settle(at, everything=True)]  # what led to its end stands above it
        told = duration(seconds) if verb == "finished" else ""
        return [*lines, self._line(at, verb, function, told, instance_id)]

    def due(self) -> float | None:
        """When `settle` next has something to say, None as long as nothing is folded."""
        return min((self._tallies[name].opened + WINDOW for name in self._open), default=None)

    def settle(self, now: float, everything: bool = False) -> list[str]:
        """The summaries whose second is over, or all."""
        lines: list[str] = []
        for name in sorted(self._open):
            tally = self._tallies[name]
            if everything or now >= tally.opened + WINDOW:
                lines += self._close(name, tally, now)
        return lines

    def running(self) -> dict[str, int]:
        """Functions that are executing user code now, and how often; waiting orchestrations are not."""
        tallies = list(self._tallies.items())  # asked from another thread than the one that tells
        return {
            name: each.running for name, each in tallies if each.running and each.trigger != "orchestration"
        }

    def _failed(self, event: FailedCall, tally: _Tally) -> list[str]:
        kind = self._kinds.setdefault(_kind_of(event), _Kind())
        if event.at > kind.last + BURST_ENDS:
            kind.shown, kind.stack = 0, ""
        kind.last = event.at
        kind.text = event.error
        if self._fold and kind.shown >= FAILURES_SHOWN:
            kind.folded += 1
            self._count(event.function, tally, "failed", event.at)
            return []
        kind.shown += 1
        took = duration(event.seconds)
        lines = self.settle(event.at, everything=True) if event.trigger == "orchestration" else []
        lines += [self._line(event.at, "failed", event.function, took, event.instance_id)]
        lines += [
            _INDENT + self._style(line, "red") for line in _words(event.function, event.error).splitlines()
        ]
        if event.stack != kind.stack:
            lines += [_INDENT + line for line in event.stack.rstrip().splitlines()]
            kind.stack = event.stack
        return lines

    def _count(self, function: str, tally: _Tally, verb: str, at: float) -> None:
        if not tally.folded:
            tally.first = at
        tally.last = at
        tally.folded[verb] = tally.folded.get(verb, 0) + 1
        self._open.add(function)

    def _close(self, name: str, tally: _Tally, now: float) -> list[str]:
        """Tell what was folded and begin the next window."""
        lines = [self._summary(name, tally)] if tally.folded else []
        self._open.discard(name)
        tally.busy = max(tally.seen.values(), default=0) > SHOWN
        tally.opened = now
        tally.seen.clear()
        tally.folded.clear()
        return lines

    def _summary(self, name: str, tally: _Tally) -> str:
        more = "" if tally.busy else " more"  # than those that had their own line
        ends = {verb: number for verb, number in tally.folded.items() if verb != "started"}
        # Starts are worth a word only where no end says more.
        told = ", ".join(f"{number:,}{more} {verb}" for verb, number in (ends or tally.folded).items())
        if (took := tally.last - tally.first) >= 0.001:
            told += f" in {duration(took)}"
        if tally.running:
            told += f", {count(tally.running)} running"
        kinds = [kind for (function, _, _), kind in self._kinds.items() if function == name and kind.folded]
        for kind in kinds:
            times = f"{count(kind.folded, 'time')} " if len(kinds) > 1 else "the last: "
            told += f"; {times}{_first_line(_words(name, kind.text))}"
            kind.folded = 0
        return self._line(tally.last, "failed" if "failed" in ends else "", name, told, None)

    def _said(self, event: Message) -> list[str]:
        if event.text is None:
            return self._one_more(event)
        first, *rest = event.text.splitlines() or [""]
        look = _LOOKS.get(event.verb)
        if look in ("red", "yellow"):
            first = self._style(first, look)
        return [self._head(event.at, event.verb) + first, *(_INDENT + line for line in rest)]

    def _one_more(self, event: Message) -> list[str]:
        name = f"{event.source}:"  # as its lines begin; no function has such a name
        tally = self._tallies.setdefault(name, _Tally("log", event.at))
        lines = self._close(name, tally, event.at) if event.at >= tally.opened + WINDOW else []
        self._count(name, tally, f"at level {event.verb}", event.at)
        return lines

    def _line(self, at: float, verb: str, function: str, told: str, instance_id: str | None) -> str:
        name = self._style(f"{function:<{self.name_width}}", "bold")
        line = f"{self._head(at, verb)}{name}  {told:<8}  {self._style(instance_id or '', 'dim')}"
        return line.rstrip()

    def _head(self, at: float, verb: str) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(at)) + f".{int(at * 1000) % 1000:03d}"
        shown = self._style(f"{verb:<8}", _LOOKS.get(verb, "dim")) if verb else " " * 8
        return f"{self._style(clock, 'dim')}  {shown}  "


_INDENT = " " * 24  # below the text, right of time and verb


def _kind_of(event: FailedCall) -> tuple[str, str, str]:
    """Same function, same type, same place: the texts may differ, as in "no item 17"."""
    place = [line for line in event.stack.splitlines() if line.lstrip().startswith("File ")]
    return event.function, event.error.split(":", 1)[0], place[-1] if place else ""


def _words(function: str, error: str) -> str:
    return str(read_failure(error).within(function))


def _first_line(text: str) -> str:
    first = text.strip().split("\n", 1)[0]
    return first if len(first) <= 80 else first[:79] + "…"
