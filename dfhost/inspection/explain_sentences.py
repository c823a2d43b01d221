"""One or two sentences that sum up an explanation, see `explain.py`. Pure functions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from dfhost.clock import timestamp_of
from dfhost.dispatch.instance_cache import LoadedInstance
from dfhost.engine.history import moment
from dfhost.printable import shortened
from dfhost.store.instance_row import InstanceRow

#: An entry of `waitsFor`, see `explain`.
Entry = dict[str, Any]

BRIEF = 200  # characters of an input or a reason


def of_end(row: InstanceRow, cause: str | None = None) -> str:
    ended = f"It ended at {row.updated_at[:19]}Z"
    if row.status == "Completed" or not row.output:
        return f"{ended}."
    if cause is not None:
        return f"{ended}: {cause}"
    # A failure outside the generator begins with "Result: Failure"; the exception has a line of its own.
    _, _, raised = row.output.partition("\nException: ")
    # The extension's sentence about an unknown function names all functions, and is cut where it begins to.
    line = (raised or row.output).partition("\n")[0].partition(" Additional info:")[0]
    reason = shortened(" ".join(line.split()), BRIEF)
    return f"{ended}: {reason.rstrip('.')}."


def of_entity(operations: list[Entry], last_failure: Entry | None) -> str:
    sentence = "The entity is idle."
    if operations:
        first = operations[0]
        more = f", {len(operations) - 1} more wait behind it" if len(operations) > 1 else ""
        since = f"{first['since'][:19]}Z"
        sentence = f"The entity's operation {first['name']} has been {first['state']} since {since}{more}."
    if last_failure is None:
        return sentence
    error = shortened(" ".join(last_failure["error"].split()), BRIEF).rstrip(".")
    at = f"{last_failure['time'][:19]}Z"
    return f"{sentence} Its last failed operation was {last_failure['name']} at {at}: {error}."


def of_full_queue(limit: int) -> str:
    """Why an activity is queued. `limit`: how many run."""
    running = "1 activity runs" if limit == 1 else f"{limit} activities run"
    return f"{running}, as many as may at once (maxConcurrentActivityFunctions in host.json)."


def of_instance(
    row: InstanceRow,
    explanation: dict[str, Any],
    instance: LoadedInstance | None,
    suspended_at: str,
    now: datetime,
    waits_for_worker: bool = False,
) -> str:
    """`explanation`: all but its sentence; `suspended_at`: the time of the last suspension, if there was one."""
    if instance is not None and instance.busy:
        if waits_for_worker:
            return "Its code waits for the app's next worker process: the last one has ended."
        if not instance.episode_since:
            return "Its next episode is queued: as many episodes as may run at once are running."
        since = f"{timestamp_of(instance.episode_since)[:19]}Z"
        return f"Its code has been running since {since}: until it yields or returns, nothing else happens to it."
    open_now = _list(explanation["waitsFor"], now)
    if row.status == "Suspended":
        since = f" since {suspended_at[:19]}Z" if suspended_at else ""
        reason = f" ({shortened(row.output, BRIEF)})" if row.output else ""
        return f"It is suspended{since}{reason}: resume it." + (f" Open: {open_now}." if open_now else "")
    if not open_now and instance is None:  # read from a file: nothing is loaded
        return "None of its tasks is open."
    if not open_now:
        return "It waits for nothing: its next episode is about to run."
    result = instance.execution.result if instance else None
    if result is not None and result.has_ended:
        return f"Its code has ended; these are still open and must end first: {open_now}."
    awaited = [entry for entry in explanation["waitsFor"] if entry["awaited"]]
    left = [entry for entry in explanation["waitsFor"] if not entry["awaited"]]
    if not awaited:
        awaited, left = left, awaited
    # Without the code's own word, as after its orchestrator has gone, it may wait for all of them or for any.
    needs_all = None if result is None or result.awaited is None else result.awaited.needs_all
    joint = {True: "and", False: "or", None: "and/or"}[needs_all]
    sentence = f"It waits for {_list(awaited, now, joint)}."
    if left:
        sentence += f" Open besides: {_list(left, now)}."
    if failed := next((entry for entry in awaited if entry.get("error")), None):
        attempt = f"attempt {failed['attempt']} of {failed['maxAttempts']}"
        sentence += f" {failed['name']} failed in {attempt}: {failed['error'].rstrip('.')}."
    if held := explanation["heldBack"]:
        what = f"{held[0]['action']} is" if len(held) == 1 else f"{len(held)} actions are"
        sentence += f" {what} held back behind {held[0]['behind']}, here as on Azure: {held[0]['why']}."
    if unclaimed := explanation["unclaimed"]:
        names = list(dict.fromkeys(entry["name"] for entry in unclaimed))
        events = "event" if len(names) == 1 else "events"
        sentence += f" It has received {events} {', '.join(names)}, which nothing waits for yet."
    return sentence


def _list(entries: list[Entry], now: datetime, last: str = "and") -> str:
    """``event Approval, 2 activities price (1 running, 1 queued) or a timer due in 5 min (…)``.

    `last`: the word before the last entry, "or", "and" or "and/or".
    Events come first, since a person can raise them; timers come last.
    """
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: _ORDER.get(entry["kind"], 1)):
        groups.setdefault((entry["kind"], entry.get("name", "")), []).append(entry)
    phrases = [
        _PHRASES[kind](name, group, now) if kind in _PHRASES else f"{len(group)} {kind} {name}"
        for (kind, name), group in groups.items()
    ]
    if len(phrases) > _LISTED:
        phrases[_LISTED:] = [f"{len(phrases) - _LISTED} more"]
    *others, final = phrases or [""]
    return f"{', '.join(others)} {last} {final}" if others else final


def _counted(singular: str, plural: str, group: list[Entry]) -> str:
    return singular if len(group) == 1 else f"{len(group)} {plural}"


def _id_of_one(group: list[Entry]) -> str:
    return f" {group[0]['instanceId']}" if len(group) == 1 else ""


def _counts(group: list[Entry], key: str) -> str:
    """``running`` for one, ``2 running, 1 queued`` for several."""
    if len(group) == 1:
        return str(group[0][key])
    values = [entry[key] for entry in group]
    return ", ".join(f"{values.count(value)} {value}" for value in dict.fromkeys(values))


def _first_due(group: list[Entry], now: datetime) -> str:
    """``in 2 d 23 h (2026-12-01T09:02:26Z)``"""
    due = str(min(entry["due"] for entry in group))
    return f"{_time_left((moment(due) - now).total_seconds())} ({due[:19]}Z)"


def _time_left(seconds: float) -> str:
    """In seconds, from a minute on in minutes, from a day on in hours: what is far away changes seldom."""
    if seconds <= 0:
        return "now"
    if seconds < 59.5:
        return f"in {max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    hours = round(seconds / 3600)
    if hours >= 24:
        large, small = divmod(hours, 24)
        units = "d", "h"
    else:
        large, small = divmod(minutes, 60)
        units = "h", "min"
    parts = [f"{number} {unit}" for number, unit in zip((large, small), units, strict=True) if number]
    return f"in {' '.join(parts)}"


_LISTED = 5
_ORDER = {"event": 0, "timer": 2}
_PHRASES: dict[str, Callable[[str, list[Entry], datetime], str]] = {
    "activity": lambda name, group, now: (
        f"{_counted('activity', 'activities', group)} {name} ({_counts(group, 'state')})"
    ),
    "retry": lambda name, group, now: (
        f"{_counted('another attempt', 'other attempts', group)} of {name} {_first_due(group, now)}"
    ),
    "timer": lambda name, group, now: (
        f"{_counted('a timer', 'timers, the first', group)} due {_first_due(group, now)}"
    ),
    "event": lambda name, group, now: f"{_counted('event', 'events', group)} {name}",
    "subOrchestration": lambda name, group, now: (
        f"{_counted('sub-orchestration', 'sub-orchestrations', group)} {name}{_id_of_one(group)} "
        f"({_counts(group, 'status')})"
    ),
    "entity": lambda name, group, now: (
        f"{_counted('the answer', 'answers', group)} to {name} of {_counts(group, 'instanceId')}"
    ),
}
