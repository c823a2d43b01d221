"""What an instance waits for, by its host's answer to ``?explain=true``: whether it is as a test wants it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from dfhost.durations import exact_duration, in_units
from dfhost.timeline import model
from dfhost.timestamps import parse_timestamp

_NOUNS = {
    model.EVENT: "the event",
    model.ACTIVITY: "the activity",
    model.CHILD: "the sub-orchestrator",
    model.ENTITY_CALL: "the entity operation",
    model.RETRYING: "another attempt of",
}
#: The SDK compares the name of an event, and the app's own code that of an operation.
_CASE_SENSITIVE = (model.EVENT, model.ENTITY_CALL)


def missing_wait(explained: Mapping[str, Any], wanted: Mapping[str, str | None]) -> str:
    """The first of the `wanted` that the code does not wait for now, "the event go"; "" if it waits for all.

    `wanted`: names by kind of task, or by RETRYING for a call that is tried again. None is not wanted. The names of
    events and entity operations must be written as in the code; those of functions ignore case, as on Azure.
    """
    for kind, name in wanted.items():
        if name is None:
            continue
        awaited = [task["name"] for task in _awaited(explained) if _kind(task) == kind]
        if name in awaited or (kind not in _CASE_SENSITIVE and name.lower() in map(str.lower, awaited)):
            continue
        other_case = next((each for each in awaited if each.lower() == name.lower()), None)
        return f"{_NOUNS[kind]} {name}" + (f", but for {other_case} (case counts)" if other_case else "")
    return ""


def missing_timer(
    explained: Mapping[str, Any], wanted: timedelta | datetime | bool, clock: Callable[[], datetime]
) -> str:
    """Likewise for a timer. `wanted`: the time that is left, the moment at which it is due, or True for any.

    `clock` is asked only for a time that is left: a test of a host elsewhere has none.
    """
    due = [parse_timestamp(task["due"]) for task in _awaited(explained) if task["kind"] == model.TIMER]
    if isinstance(wanted, bool):
        return "" if due else "a timer"
    if isinstance(wanted, datetime):
        return "" if wanted in due else f"a timer due at {wanted.isoformat()}"
    now = clock()
    if now + wanted in due:
        return ""
    others = f" (there is one in {', '.join(exact_duration(each - now) for each in due)})" if due else ""
    return f"a timer that is due in {exact_duration(wanted)}{others}"


def reasons(explained: Mapping[str, Any]) -> Iterator[str]:
    """What the children and entities wait for that are awaited, each below the one that waits for it."""
    for task in explained.get("waitsFor", ()):
        if below := task.get("explanation"):
            title = " ".join(dict.fromkeys((below["name"], below["instanceId"])))
            yield f"{title}: {below['sentence']}"
            yield from (f"  {line}" for line in reasons(below))


def event_advice(explained: Mapping[str, Any], run: str = "run") -> Iterator[str]:
    """What a test may do about the events that are awaited, those of awaited children included.

    A map waits for events of its own (docs/map.md), which are not for others to raise.
    """
    if any(not each["isOver"] for each in explained.get("maps", ())):
        return
    for task in _awaited(explained):
        if task["kind"] == model.EVENT:
            yield f'{run}.raise_event("{task["name"]}") raises the event.'
        if below := task.get("explanation"):
            yield from event_advice(below, f'durable.run("{below["instanceId"]}")')


def clock_advice(explained: Mapping[str, Any], now: datetime, next_due: datetime | None) -> list[str]:
    """What a test may do about the next timer or attempt, or else about activities that are slow by the clock."""
    slow = next_due if _runs_activity(explained) else None
    due = min(_dues(explained), default=slow or now)
    if due <= now:
        return []
    arguments = ", ".join(f"{unit}s={count:g}" for count, unit in in_units(due - now))
    return [f"durable.advance({arguments}) moves the clock to the next time that it waits for."]


def _awaited(explained: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [task for task in explained.get("waitsFor", ()) if task.get("awaited")]


def _kind(task: Mapping[str, Any]) -> str:
    return model.RETRYING if task["state"] == model.RETRYING else str(task["kind"])


def _dues(explained: Mapping[str, Any]) -> Iterator[datetime]:
    """When timers and other attempts are due, those of awaited children included."""
    for task in explained.get("waitsFor", ()):
        if "due" in task:
            yield parse_timestamp(task["due"])
        if "explanation" in task:
            yield from _dues(task["explanation"])


def _runs_activity(explained: Mapping[str, Any]) -> bool:
    """Whether an activity runs that is awaited, by awaited children included."""
    return any(
        (task["kind"] == model.ACTIVITY and task["state"] == model.RUNNING)
        or _runs_activity(task.get("explanation", {}))
        for task in _awaited(explained)
    )
