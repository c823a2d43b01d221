"""What `explain` has found, in one or two sentences for a person in a hurry. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dfhost.engine import actions as act
from dfhost.store.events import InstanceRow
from dfhost.worker.clock import timestamp_of
from dfhost.worker.orchestration_dispatcher import LoadedInstance

#: An entry of `waitsFor`, see `explain`.
Entry = dict[str, Any]

BRIEF = 200  # characters of an input or a reason


def of_end(row: InstanceRow) -> str:
    ended = f"It ended at {row.updated_at}"
    if row.status == "Completed" or not row.output:
        return f"{ended}."
    # What the worker could not run comes as "Result: Failure", with what was raised in a line of its own.
    _, _, raised = row.output.partition("\nException: ")
    reason = act.brief(" ".join((raised or row.output).partition("\n")[0].split()), BRIEF)
    return f"{ended}: {reason.rstrip('.')}."


def of_entity(operations: list[Entry]) -> str:
    if not operations:
        return "The entity is at rest."
    first = operations[0]
    more = f", {len(operations) - 1} more wait behind it" if len(operations) > 1 else ""
    return f"The entity's operation {first['name']} has been {first['state']} since {first['since']}{more}."


def of_instance(
    row: InstanceRow, told: dict[str, Any], runtime: LoadedInstance | None, suspended_at: str
) -> str:
    """`told`: what `explain` has found so far; `suspended_at`: the time of the last suspension, if there was one."""
    if runtime is not None and runtime.busy:
        if not runtime.episode_at:
            return "Its next episode waits for its turn: as many as may run at once are running."
        since = timestamp_of(runtime.episode_at)
        return f"Its code has been running since {since}: until it yields or returns, nothing else happens to it."
    open_now = _list(told["waitsFor"])
    if row.status == "Suspended":
        since = f" since {suspended_at}" if suspended_at else ""
        reason = f" ({act.brief(row.output, BRIEF)})" if row.output else ""
        return f"It is suspended{since}{reason}: resume it." + (f" Open: {open_now}." if open_now else "")
    if not open_now:
        return "It waits for nothing: its next episode is about to run."
    reply = runtime.execution.reply if runtime else None
    if reply is not None and reply.ended:
        return f"Its code has ended; what it has left open must end first: {open_now}."
    awaited = [entry for entry in told["waitsFor"] if entry["awaited"]]
    left = [entry for entry in told["waitsFor"] if not entry["awaited"]]
    if not awaited:
        awaited, left = left, awaited
    any_of = reply is not None and reply.awaited is not None and not reply.awaited.all
    sentence = f"It waits for {'the first of ' if any_of and len(awaited) > 1 else ''}{_list(awaited)}."
    if left:
        sentence += f" Open besides: {_list(left)}."
    if held := told["heldBack"]:
        what = f"{held[0]['action']} is" if len(held) == 1 else f"{len(held)} actions are"
        sentence += f" {what} held back behind {held[0]['behind']}, here as on Azure: {held[0]['why']}."
    if unclaimed := told["unclaimed"]:
        names = ", ".join(dict.fromkeys(entry["name"] for entry in unclaimed))
        sentence += f" Nothing waits for what has come as event {names}."
    return sentence


def _list(entries: list[Entry]) -> str:
    """``2 activities price (1 running, 1 queued), a timer due at …``."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry["kind"], entry.get("name", "")), []).append(entry)
    told = [_WORDS[kind](name, group) for (kind, name), group in groups.items()]
    more = f" and {len(told) - 5} more" if len(told) > 5 else ""
    return ", ".join(told[:5]) + more


def _counted(word: str, plural: str, group: list[Entry]) -> str:
    return word if len(group) == 1 else f"{len(group)} {plural}"


def _id_of_one(group: list[Entry]) -> str:
    return f" {group[0]['instanceId']}" if len(group) == 1 else ""


def _tally(group: list[Entry], key: str) -> str:
    """``running`` for one, ``2 running, 1 queued`` for several."""
    if len(group) == 1:
        return str(group[0][key])
    values = [entry[key] for entry in group]
    return ", ".join(f"{values.count(value)} {value}" for value in dict.fromkeys(values))


def _first_due(group: list[Entry]) -> str:
    return str(min(entry["due"] for entry in group))


_WORDS: dict[str, Callable[[str, list[Entry]], str]] = {
    "activity": lambda name, group: (
        f"{_counted('activity', 'activities', group)} {name} ({_tally(group, 'state')})"
    ),
    "retry": lambda name, group: (
        f"{_counted('another attempt', 'other attempts', group)} of {name} at {_first_due(group)}"
    ),
    "timer": lambda name, group: (
        f"{_counted('a timer', 'timers, the first', group)} due at {_first_due(group)}"
    ),
    "event": lambda name, group: f"{_counted('event', 'events', group)} {name}",
    "subOrchestration": lambda name, group: (
        f"{_counted('sub-orchestration', 'sub-orchestrations', group)} {name}{_id_of_one(group)} "
        f"({_tally(group, 'status')})"
    ),
    "entity": lambda name, group: (
        f"{_counted('the answer', 'answers', group)} to {name} of {_tally(group, 'instanceId')}"
    ),
}
