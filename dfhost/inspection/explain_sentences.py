"""One or two sentences that sum up an explanation, see `explain.py`. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from dfhost.dispatch.instance_cache import LoadedInstance
from dfhost.durations import time_left
from dfhost.engine.actions import describe
from dfhost.instance_failure import failure_text
from dfhost.printable import error_in_a_line, shortened
from dfhost.store.instance_row import InstanceRow
from dfhost.timeline import model
from dfhost.timeline.model import Task
from dfhost.timeline.sentences import brief
from dfhost.timestamps import parse_timestamp, timestamp_of, whole_second

_BRIEF = 200  # characters of an error or a reason
_LISTED = 5  # groups of tasks; more are counted
NO_CODE = "The app has no such orchestrator any more, so it fails at its next step unless that comes back."
_NO_LONGER_FITS = "Its code no longer fits its history, so its next episode fails."


def of_end(row: InstanceRow, cause: str | None = None) -> str:
    ended = f"It ended at {whole_second(row.updated_at)}"
    if row.status == "Completed" or not row.output:
        return f"{ended}."
    if cause is not None:
        return f"{ended}: {' '.join(cause.split())}"
    # A failure outside the generator begins with "Result: Failure"; the exception stands between two others.
    _, _, raised = row.output.partition("\nException: ")
    text = raised.partition("\nStack: ")[0] if raised else failure_text(row.output)
    # The extension's sentence about an unknown function names all functions, and is cut where it begins to.
    reason = shortened(" ".join(text.partition(" Additional info:")[0].split()), _BRIEF)
    return f"{ended}: {reason.rstrip('.')}."


def of_entity(operations: Sequence[Task], last_failure: dict[str, Any] | None) -> str:
    """`last_failure`: see `explain`."""
    sentence = "The entity is idle."
    if operations:
        ended = [operation for operation in operations if not operation.is_open]
        first, *behind = operations[len(ended) :] or operations
        more = f", {len(behind)} more {'waits' if len(behind) == 1 else 'wait'} behind it" if behind else ""
        since = whole_second(first.since or "")
        sentence = f"The entity's operation {first.name} has been {first.state} since {since}{more}."
        if ended:
            before = _counted("1 operation of its batch has", "operations of its batch have", ended)
            sentence += f" {before} ended: the answers are sent when all have."
    if last_failure is None:
        return sentence
    error = shortened(" ".join(last_failure["error"].split()), _BRIEF).rstrip(".")
    at = whole_second(last_failure["time"])
    return f"{sentence} Its last failed operation was {last_failure['name']} at {at}: {error}."


def of_maps(maps: Sequence[dict[str, Any]]) -> list[str]:
    """A sentence for each of these `maps` of an explanation that goes on."""
    return [
        f"Its map over {each['activity']}: {each['done']:,} of {each['total']:,} items have ended, "
        f"{each['failed']:,} failed."
        for each in maps
        if not each["isOver"]
    ]


def of_full_queue(limit: int) -> str:
    """Why an activity is queued. `limit`: how many run."""
    running = "1 activity runs" if limit == 1 else f"{limit} activities run"
    return f"{running}, as many as may at once (maxConcurrentActivityFunctions in host.json)."


def of_instance(
    row: InstanceRow,
    tasks: Sequence[Task],
    held_back: Sequence[dict[str, str]],
    unclaimed: Sequence[str],
    held: Sequence[str],
    starts: Sequence[str],
    instance: LoadedInstance | None,
    suspended_at: str,
    now: datetime,
    waits_for_worker: bool = False,
    has_code: bool = True,
    is_full: bool = False,
) -> str:
    """`tasks`: the open ones. `held_back`: see `explain`. `unclaimed`, `held`: names of events, see `CodeState`.

    `starts`: what a suspended instance starts once it is resumed. `suspended_at`: when it was suspended last, "" if
    never. `has_code`: whether the app has its orchestrator. `is_full`: whether as many episodes run as may at once.
    """
    if instance is not None and row.status == "Running" and instance.is_loop:
        return (
            f"It is a loop without a wait: continue_as_new has begun {instance.renewals:,} generations in a row, and "
            "none has waited for anything. Yield a timer or an event before continue_as_new."
        )
    if instance is not None and instance.busy:
        if waits_for_worker:
            return "Its code waits for the app's next worker process: the last one has ended."
        if not instance.episode_since:
            if not is_full:
                return "Its next episode is about to run."
            return "Its next episode is queued: as many episodes as may run at once are running."
        since = whole_second(timestamp_of(instance.episode_since))
        return f"Its code has been running since {since}: until it yields or returns, nothing else happens to it."
    open_now = _list(tasks, now)
    misfit = instance.execution.misfit if instance is not None else None
    if row.status == "Suspended":
        since = f" since {whole_second(suspended_at)}" if suspended_at else ""
        reason = f" ({shortened(row.output, _BRIEF)})" if row.output else ""
        return " ".join(
            [
                f"It is suspended{since}{reason}: resume it.",
                *(
                    [f"{_events(held)} come and {'counts' if len(held) == 1 else 'count'} from then on."]
                    if held
                    else []
                ),
                *_gone_on(starts, instance),
                *([f"Open: {open_now}."] if open_now else []),
                *([f"{_NO_LONGER_FITS} {misfit}"] if misfit else []),
            ]
        )
    if not open_now and instance is None:  # read from a file: nothing is loaded
        return "None of its tasks is open."
    if instance is not None and (action := instance.execution.unrecorded_action) is not None:
        return (
            f"Its code has changed since its last episode. The next one starts {describe(action)}; it runs as soon "
            "as an event or a result comes."
        )
    if misfit is not None:
        return f"{_NO_LONGER_FITS} {misfit}"
    if not open_now:
        return "It waits for nothing: its next episode is about to run." if has_code else NO_CODE
    result = instance.execution.result if instance else None
    if result is not None and result.has_ended:
        return f"Its code has ended; these are still open and must end first: {open_now}."
    awaited = [task for task in tasks if task.is_awaited]
    left = [task for task in tasks if not task.is_awaited]
    if not awaited:
        awaited, left = left, awaited
    # Without the code's own word, as after its orchestrator has gone, it may wait for all of them or for any.
    needs_all = None if result is None or result.awaited is None else result.awaited.needs_all
    joint = {True: "and", False: "or", None: "and/or"}[needs_all]
    sentence = f"It waits for {_list(awaited, now, joint)}."
    if left:
        sentence += f" Open besides: {_list(left, now)}."
    if failed := next((task for task in awaited if task.state == model.RETRYING), None):
        attempt = f"attempt {failed.attempt} of {failed.max_attempts}"
        error = shortened(error_in_a_line(failed.error or ""), _BRIEF).rstrip(".")
        sentence += f" {failed.name} failed in {attempt}: {error}."
    if held_back:
        first, number = held_back[0], len(held_back)
        what = f"{first['action']} is" if number == 1 else f"{number} actions are"
        sentence += f" {what} held back behind {first['behind']}, here as on Azure: {first['why']}."
    if names := list(dict.fromkeys(unclaimed)):
        events = "event" if len(names) == 1 else "events"
        sentence += f" It has received {events} {', '.join(names)}, which nothing waits for yet."
    return sentence


def _gone_on(starts: Sequence[str], instance: LoadedInstance | None) -> list[str]:
    """What the code of a suspended instance has done: it sees what has come meanwhile, here as on Azure."""
    result = instance.execution.result if instance is not None else None
    if result is not None and result.has_ended:
        return ["Its code has gone on and ended; the instance does not before then."]
    if not starts:
        return []
    first, number = starts[0], len(starts)
    return [
        f"Its code has gone on: {first}{f' and {number - 1} more' if number > 1 else ''} will start then."
    ]


def _events(names: Sequence[str]) -> str:
    """ "Event Approval has", "Events Approval, Payment have" """
    return f"Event {names[0]} has" if len(names) == 1 else f"Events {', '.join(names)} have"


def _list(tasks: Sequence[Task], now: datetime, last: str = "and") -> str:
    """``event Approval, 2 activities price (1 running, 1 queued) or a timer due in 5 min (…)``.

    `last`: the word before the last group, "or", "and" or "and/or".
    Events come first, since a person can raise them; timers come last.
    """
    groups: dict[tuple[str, str], list[Task]] = {}
    for task in sorted(tasks, key=lambda task: _ORDER.get(task.kind, 1)):
        retries = task.state == model.RETRYING
        # Each HTTP call may have a URL of its own.
        name = "" if task.kind == model.HTTP_CALL and not retries else task.name
        groups.setdefault((model.RETRYING if retries else task.kind, name), []).append(task)
    phrases = [_PHRASES[what](name, group, now) for (what, name), group in groups.items()]
    if len(phrases) > _LISTED:
        phrases[_LISTED:] = [f"{len(phrases) - _LISTED} more"]
    *others, final = phrases or [""]
    return f"{', '.join(others)} {last} {final}" if others else final


def _counted(singular: str, plural: str, group: Sequence[Task]) -> str:
    return singular if len(group) == 1 else f"{len(group)} {plural}"


def _id_of_one(group: Sequence[Task]) -> str:
    return f" {group[0].instance_id}" if len(group) == 1 else ""


def _counts(values: Sequence[str | None]) -> str:
    """``running`` for one, ``2 running, 1 queued`` for several."""
    if len(values) == 1:
        return str(values[0])
    return ", ".join(f"{values.count(value)} {value}" for value in dict.fromkeys(values))


def _states(group: Sequence[Task]) -> str:
    return _counts([task.child_status or task.state for task in group])


def _first_due(group: Sequence[Task], now: datetime) -> str:
    """``in 2 d 23 h (2026-12-01T09:02:26Z)``"""
    due = min(task.due or "" for task in group)
    return f"{time_left((parse_timestamp(due) - now).total_seconds())} ({whole_second(due)})"


#: Other kinds of tasks come between these.
_ORDER = {model.EVENT: 0, model.TIMER: 2}
#: By the kind of task; those whose next attempt is to come have a phrase of their own.
_PHRASES: dict[str, Callable[[str, Sequence[Task], datetime], str]] = {
    model.ACTIVITY: lambda name, group, now: (
        f"{_counted('activity', 'activities', group)} {name} ({_states(group)})"
    ),
    model.HTTP_CALL: lambda _, group, now: (
        f"{_counted(f'HTTP call {brief(group[0].name)}', 'HTTP calls', group)} ({_states(group)})"
    ),
    model.RETRYING: lambda name, group, now: (
        f"{_counted('another attempt', 'other attempts', group)} of {name} {_first_due(group, now)}"
    ),
    model.TIMER: lambda name, group, now: (
        f"{_counted('a timer', 'timers, the first', group)} due {_first_due(group, now)}"
    ),
    model.EVENT: lambda name, group, now: f"{_counted('event', 'events', group)} {name}",
    model.CHILD: lambda name, group, now: (
        f"{_counted('sub-orchestration', 'sub-orchestrations', group)} {name}{_id_of_one(group)} ({_states(group)})"
    ),
    model.ENTITY_CALL: lambda name, group, now: (
        f"{_counted('the answer', 'answers', group)} to {name} of {_counts([task.instance_id for task in group])}"
    ),
}
