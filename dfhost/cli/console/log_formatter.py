"""Turns log events into lines: one for each start and end of a call, or one per second and function under load.

Pure: events with their times go in, lines come out, none of them earlier than the one above it. `Console` owns the
clock, the thread and the terminal.

Within one second, the first `LINES_PER_WINDOW` starts and ends of a function get a line of their own. The others
are counted in a summary when the second is over ("4,312 finished in the last 0.9 s"). While the load lasts, every
further second is one summary; with `live` there is one at its end, and `progress` says meanwhile how far it is. Of
each kind of failure the first has its traceback and the next ones their text; the rest of a burst are counted, with
the latest text and its instance. Below counted orchestrations stands the command that lists them.

What belongs to an orchestration that runs is only counted, unless it fails or waits: children and entities whose ids
are made from its own, as the parts of a map.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf

from dfhost.cli import unknown_function
from dfhost.cli.console.log_events import FailedCall, LogEvent, Message
from dfhost.cli.console.log_lines import INDENT, LogLines, shown_id
from dfhost.cli.local_times import cause_in_local_time
from dfhost.cli.style import Style, count, printable, printable_lines
from dfhost.durations import duration
from dfhost.instance_failure import death_in_words, read_failure
from dfhost.printable import error_in_a_line, shortened
from dfhost.short_id import short_id
from dfhost.user_frames import user_frames

WINDOW = 1.0  # seconds
LINES_PER_WINDOW = 10  # of one function and verb
FAILURES_PER_BURST = 10  # of one kind, with a line of their own
MOST_ERROR_LINES = 20  # a library may put a whole document into one error
_LONGEST_ERROR_LINE = 1_000  # characters
BURST_ENDS_AFTER = 10.0  # seconds without a failure of the kind


@dataclass(slots=True)
class _FailureCounts:
    """Failures of one function and exception type, raised at one place."""

    last_at: float = 0.0
    shown: int = 0
    shown_stack: str = ""
    unshown: int = 0
    last_error: str = ""
    last_instance: str = ""  # "" for a call without one


@dataclass(slots=True)
class _FunctionCounts:
    """One function: its running calls, and the events of the present window."""

    trigger: str
    window_start: float
    running: int = 0
    events: dict[str, int] = field(default_factory=dict)  # verb -> events in this window
    unshown: dict[str, int] = field(default_factory=dict)  # verb -> those without a line of their own
    first_unshown_at: float = 0.0
    last_unshown_at: float = 0.0
    busy: bool = False  # the window before had more events than lines
    all_unshown: bool = False  # of what is in `unshown` none had a line
    last_wait: str = ""  # what the newest wait in `unshown` is for, or which event has come
    carried: bool = False  # the window before had no summary: its numbers are among those of this one
    list_named_at: float = -inf  # when the command that lists its failed instances stood there last


_AGAIN = "perhaps again: the last host ended before its result was stored"
_MAY_BE_PARTS = ("orchestrator", "entity")
_ENDS = ("finished", "failed", "retrying", "ended")  # the verbs after which a call no longer runs
_WAITS = ("waiting", "received", "suspended", "resumed", "rewound")  # what a person may have to do with
_COUNTED = {"received": "events received"}  # how a summary calls what a line says of one; others by the verb


class LogFormatter:
    """`summarise=False`: every start and end gets its line. `calls=False`: only failures and messages do.

    `live`: the terminal shows `progress` in place. `others_reach_host`: a line may name another command.
    """

    def __init__(
        self,
        style: Style,
        *,
        summarise: bool = True,
        calls: bool = True,
        live: bool = False,
        others_reach_host: bool = True,
    ) -> None:
        self.lines = LogLines(style)
        self._summarise = summarise
        self._calls = calls
        self._live = live
        self._others_reach_host = others_reach_host
        self._functions: dict[str, _FunctionCounts] = {}
        self.orchestrations: set[str] = set()  # ids of those that run
        self._to_summarise: set[str] = set()  # names of functions with unshown events
        self._failures: dict[tuple[str, str, str], _FailureCounts] = {}

    def format(self, event: LogEvent) -> Sequence[str]:
        """The lines for one event, which may be none."""
        if isinstance(event, Message):
            return self._format_message(event)
        failure = event if isinstance(event, FailedCall) else None
        at, verb, function, trigger, instance_id, seconds, item = event[:7]
        remark = ""
        if verb == "again":
            verb, remark = "started", _AGAIN
        counts = self._functions.get(function)
        if counts is None:
            counts = self._functions[function] = _FunctionCounts(trigger, at)
        lines: Sequence[str] = ()
        if at >= counts.window_start + WINDOW:
            lines = self._close_window(function, counts, at)
        if verb == "started":
            counts.running += 1
        elif verb in _ENDS and counts.running:
            counts.running -= 1
        if trigger == "orchestrator" and instance_id and (verb == "started" or verb in _ENDS):
            (self.orchestrations.add if verb == "started" else self.orchestrations.discard)(instance_id)
        if failure:
            return [*lines, *self._format_failure(failure, counts)]
        if not self._calls:
            return lines
        is_wait = verb in _WAITS
        if self._summarise and not is_wait and trigger in _MAY_BE_PARTS and self._is_part(instance_id or ""):
            if verb == "finished":
                self._count_unshown(function, counts, verb, at)
                counts.all_unshown = True
            return lines
        number = counts.events[verb] = counts.events.get(verb, 0) + 1
        if self._summarise and (counts.busy or number > LINES_PER_WINDOW):
            self._count_unshown(function, counts, verb, at)
            if is_wait:
                counts.last_wait = item
            return lines
        if verb == "finished" and trigger == "orchestrator":
            # The calls that led to its end stand above it.
            lines = [*lines, *self._summaries_above(at)]
        took = duration(seconds) if verb in _ENDS else ""
        return [
            *lines,
            self.lines.call(at, verb, function, took, shown_id(trigger, instance_id), item, remark),
        ]

    def _is_part(self, instance_id: str) -> bool:
        """Whether it is made from the id of a running orchestration: "order-7:2", "@map_ledger@order-7"."""
        is_entity = instance_id.startswith("@")
        owner = instance_id.split("@", 2)[-1] if is_entity else instance_id.rpartition(":")[0]
        while owner:
            if owner in self.orchestrations:
                return True
            owner = owner.rpartition(":")[0]
        return False

    def next_summary(self) -> float | None:
        """The time at which `summaries` next has a line, None while there is nothing to summarise."""
        return min((self._functions[name].window_start + WINDOW for name in self._to_summarise), default=None)

    def summaries(self, now: float, everything: bool = False) -> list[str]:
        """The summaries of the windows that are over, or of all."""
        lines: list[str] = []
        for name in sorted(self._to_summarise):
            counts = self._functions[name]
            if everything or now >= counts.window_start + WINDOW:
                lines += self._close_window(name, counts, now, everything)
        return lines

    def _summaries_above(self, now: float) -> list[str]:
        """Those of the calls that led to the end of an orchestration. Lasting load goes on below it."""
        lines: list[str] = []
        for name in sorted(self._to_summarise):
            if not (self._live and self._functions[name].busy):
                lines += self._close_window(name, self._functions[name], now, everything=True)
        return lines

    def progress(self) -> str:
        """What is under way and has no lines: "process_item 4,312 finished, 3 failed, 40 running, 980/s"; or ""."""
        return "   ".join(
            self._progress_of(name, counts)
            for name in sorted(self._to_summarise)
            if (counts := self._functions[name]).carried and counts.trigger != "log"
        )

    def _progress_of(self, name: str, counts: _FunctionCounts) -> str:
        ended = sum(counts.unshown.get(verb, 0) for verb in _ENDS)
        parts = [_counted(number, verb) for verb, number in counts.unshown.items() if verb != "started"]
        if counts.running:
            parts.append(_running(counts))
        if ended and (seconds := counts.last_unshown_at - counts.first_unshown_at) >= WINDOW:
            parts.append(f"{ended / seconds:,.0f}/s")
        return f"{printable(name)} {', '.join(parts)}"

    def running_calls(self) -> dict[str, int]:
        """Function -> calls that execute user code now. An orchestration that only waits is not counted."""
        functions = list(self._functions.items())  # a copy: another thread formats meanwhile
        return {
            name: counts.running
            for name, counts in functions
            if counts.running and counts.trigger != "orchestrator"
        }

    def _format_failure(self, event: FailedCall, counts: _FunctionCounts) -> list[str]:
        error = cause_in_local_time(death_in_words(event.error))
        event = event._replace(error=error, stack=death_in_words(event.stack))
        failures = self._failures.setdefault(_failure_kind(event), _FailureCounts())
        if event.at > failures.last_at + BURST_ENDS_AFTER:
            failures.shown, failures.shown_stack = 0, ""
        failures.last_at = event.at
        failures.last_error, failures.last_instance = event.error, event.instance_id or ""
        if self._summarise and failures.shown >= FAILURES_PER_BURST:
            failures.unshown += 1
            self._count_unshown(event.function, counts, event.verb, event.at)
            return []
        failures.shown += 1
        lines = self._summaries_above(event.at) if event.trigger == "orchestrator" else []
        at, verb, function, trigger, instance_id, seconds, item = event[:7]
        instance_id = shown_id(trigger, instance_id)
        lines.append(self.lines.call(at, verb, function, duration(seconds), instance_id, item, event.attempt))
        # Below an orchestration's failure stand the tasks that failed, one of them with the same words.
        is_new = event.stack != failures.shown_stack
        tasks = event.stack.splitlines() if trigger == "orchestrator" and is_new else ()
        if not any(line.endswith(_reason(event.error)) for line in tasks):
            error = printable_lines(_error_text(function, event.error))
            lines += self.lines.error(_beginning(error) if self._summarise else error)
        if is_new:
            stack = unknown_function.in_short(user_frames(event.stack)) if self._summarise else event.stack
            lines += [INDENT + line for line in printable_lines(stack.rstrip()).splitlines()]
            failures.shown_stack = event.stack
        return lines

    def _count_unshown(
        self, name: str, counts: _FunctionCounts, verb: str, at: float, number: int = 1
    ) -> None:
        if not counts.unshown:
            counts.first_unshown_at = at
            counts.all_unshown = counts.busy
        counts.last_unshown_at = at
        counts.unshown[verb] = counts.unshown.get(verb, 0) + number
        self._to_summarise.add(name)

    def _close_window(
        self, name: str, counts: _FunctionCounts, now: float, everything: bool = False
    ) -> list[str]:
        """The summary of the window, if it needs one; the next window begins at `now`."""
        counts.busy = max(counts.events.values(), default=0) > LINES_PER_WINDOW
        counts.window_start = now
        counts.events.clear()
        counts.carried = self._live and counts.busy and bool(counts.unshown) and not everything
        if counts.carried:
            return []
        lines = self._summary(name, counts) if counts.unshown else []
        self._to_summarise.discard(name)
        counts.unshown.clear()
        return lines

    def _summary(self, name: str, counts: _FunctionCounts) -> list[str]:
        more = "" if counts.all_unshown else " more"  # than those with a line of their own
        ends = {verb: number for verb, number in counts.unshown.items() if verb != "started"}
        # Starts are mentioned only where there are no ends.
        text = ", ".join(_counted(number, verb, more) for verb, number in (ends or counts.unshown).items())
        if (took := counts.last_unshown_at - counts.first_unshown_at) >= 0.001:
            text += f" in the last {duration(took)}"  # not a duration of the calls
        if counts.running:
            text += f", {_running(counts)}"
        if any(verb in counts.unshown for verb in _WAITS):
            text += f"; the last: {printable(counts.last_wait)}"
        kinds = [
            each for (function, _, _), each in self._failures.items() if function == name and each.unshown
        ]
        for failures in kinds:
            times = f"{count(failures.unshown, 'time')} " if len(kinds) > 1 else "the last: "
            instance = f" ({printable(short_id(failures.last_instance))})" if failures.last_instance else ""
            text += f"; {times}{_first_line(_error_text(name, failures.last_error))}{instance}"
            failures.unshown = 0
        at = counts.last_unshown_at
        lines = [self.lines.call(at, "failed" if "failed" in ends else "", name, text, None)]
        is_due = at > counts.list_named_at + BURST_ENDS_AFTER  # not every second under lasting load
        if kinds and is_due and counts.trigger == "orchestrator" and self._others_reach_host:
            counts.list_named_at = at
            command = f"dfhost list --status Failed --name {shlex.quote(name)}"
            lines.append(f"{INDENT}`{printable(command)}` lists them.")
        return lines

    def _format_message(self, message: Message) -> list[str]:
        if message.text is None:
            return self._count_records(message)
        return self.lines.message(message.at, message.label, message.text)

    def _count_records(self, record: Message) -> list[str]:
        # As its lines begin, but for those of the root logger. No function has such a name.
        name = f"{'logging' if record.logger == 'root' else record.logger}:"
        counts = self._functions.get(name)
        if counts is None:
            counts = self._functions[name] = _FunctionCounts("log", record.at)
        over = record.at >= counts.window_start + WINDOW
        lines = self._close_window(name, counts, record.at) if over else []
        self._count_unshown(name, counts, f"at level {record.label}", record.at, record.number)
        return lines


def _counted(number: int, verb: str, more: str = "") -> str:
    return f"{number:,}{more} {_COUNTED.get(verb, verb)}"


def _running(counts: _FunctionCounts) -> str:
    """Of those that wait nobody would say that they run, though that is their runtime status."""
    return f"{counts.running:,} {'not ended' if 'waiting' in counts.unshown else 'running'}"


def _failure_kind(event: FailedCall) -> tuple[str, str, str]:
    """Function, exception type and place. The texts may differ within a kind, as in "no item 17"."""
    places = [line for line in event.stack.splitlines() if line.lstrip().startswith("File ")]
    return event.function, event.error.split(":", 1)[0], places[-1] if places else ""


def _beginning(error: str) -> str:
    lines = unknown_function.in_short(error).splitlines()
    shown = [shortened(line, _LONGEST_ERROR_LINE) for line in lines[:MOST_ERROR_LINES]]
    if more := len(lines) - len(shown):
        shown.append(f"… {count(more, 'more line')} (all with --verbose)")
    return "\n".join(shown)


def _error_text(function: str, error: str) -> str:
    return str(read_failure(error).within(function))


def _reason(error: str) -> str:
    """``: ValueError: no``, as it stands behind the task that failed."""
    return f": {error_in_a_line(read_failure(error).text)}"


def _first_line(text: str) -> str:
    return shortened(printable(" ".join(unknown_function.in_short(text).split())), 80)
