"""Why an instance is not done: what it waits for, since when, and what is held back behind what.

Reads the store and the worker's memory; changes nothing. What is open is read from the history, so it can be
told even while the instance's code runs; what the code itself waits for is asked of its program.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from dfhost.engine import actions as act
from dfhost.engine import history as h
from dfhost.engine.entities import is_entity_id
from dfhost.engine.program import Group, Leaf, Node
from dfhost.store.store import Row, Store

if TYPE_CHECKING:
    from dfhost.worker.orchestrations import Runtime
    from dfhost.worker.worker import Worker

Entry = dict[str, Any]

_BRIEF = 200  # characters of an input


async def explain(instance_id: str, store: Store, worker: Worker) -> dict[str, Any] | None:
    """None if there is no such instance, else, ready for JSON:

    {"instanceId", "name", "runtimeStatus",
     "waitsFor": [{"kind": "activity|retry|timer|event|subOrchestration|entity|operation",
                   "name" (not of a timer), "since", "state": "running|queued|waiting",
                   "input"?, "attempt"?, "due"?, "instanceId"?, "status"? (a child's)}],
     "heldBack": [{"action", "behind", "why"}],
     "unclaimed": [{"name", "since"}],   events that have come and that nothing waits for
     "sentence": what a person would say}

    Times are ISO 8601 in UTC. `operation` is what an entity has yet to process.
    """
    runtime = None if is_entity_id(instance_id) else await worker.orchestrations.asked(instance_id)
    row = store.row(instance_id)
    if row is None:
        return None
    told: dict[str, Any] = {
        "instanceId": row.instance_id,
        "name": row.name,
        "runtimeStatus": row.status,
        "waitsFor": [],
        "heldBack": [],
        "unclaimed": [],
    }
    if is_entity_id(instance_id):
        told["waitsFor"] = _operations(instance_id, store, worker)
        told["sentence"] = _of_entity(told["waitsFor"])
    elif row.finished:
        told["sentence"] = _of_end(row)
    else:
        asked = None if runtime is None or runtime.busy else runtime
        events = [h.parse(text) for text in store.history(instance_id)]
        told["waitsFor"] = [*_open_tasks(row, events, asked, store, worker), *_events(asked)]
        told["heldBack"] = _held_back(asked)
        told["unclaimed"] = _unclaimed(asked)
        told["sentence"] = _of_instance(row, events, told, runtime)
    return told


# -- what is waited for --------------------------------------------------------------------------------------


def _open_tasks(
    row: Row, events: list[h.Event], asked: Runtime | None, store: Store, worker: Worker
) -> Iterable[Entry]:
    """From the history: what was scheduled and has not ended."""
    ended = {e.key for e in events if e.kind in _ENDS}
    answered = {e.key for e in events if e.kind == h.EVENT_RAISED}
    inputs = {task_id: input for task_id, _, input, _ in store.work_of(row.instance_id)}
    leaves = asked.execution.program.open if asked else {}
    for event in events:
        if event.kind not in h.SCHEDULING or event.key in ended:
            continue
        data = json.loads(event.text)
        leaf = leaves.get(event.key)
        entry: Entry | None
        if event.kind == h.TASK_SCHEDULED:
            entry = _activity(row, event, inputs.get(event.key), worker)
        elif event.kind == h.SUB_ORCHESTRATION_CREATED:
            child = store.row(data["InstanceId"])
            entry = {"kind": "subOrchestration", "name": event.name, "state": "waiting"}
            entry |= {"instanceId": data["InstanceId"], "status": child.status if child else None}
        elif event.kind == h.TIMER_CREATED:
            entry = _timer(data["FireAt"], leaf, asked is not None)
        else:
            request = json.loads(data["Input"])
            entry = {"kind": "entity", "name": request["op"], "state": "waiting"}
            entry["instanceId"] = data["InstanceId"]
            if request.get("signal") or request["id"] in answered:
                entry = None
        if entry is not None:
            entry.setdefault("since", data["Timestamp"])
            if leaf is not None and leaf.kind in act.WITH_RETRY:
                entry["attempt"] = leaf.attempt
            yield entry


def _activity(row: Row, event: h.Event, input: str | None, worker: Worker) -> Entry:
    state, since = worker.activities.state(row.instance_id, event.key)
    entry: Entry = {"kind": "activity", "name": event.name, "state": state}
    if input is not None:
        entry["input"] = act.brief(input, _BRIEF)
    if since is not None:
        entry["since"] = _iso(since)
    return entry


def _timer(due: str, leaf: Leaf | None, is_known: bool) -> Entry | None:
    """None for one that was cancelled: it is still in the history, and nobody waits for it."""
    if leaf is not None and leaf.retrying:
        return {"kind": "retry", "name": leaf.action["functionName"], "state": "waiting", "due": due}
    return None if leaf is None and is_known else {"kind": "timer", "state": "waiting", "due": due}


def _events(asked: Runtime | None) -> list[Entry]:
    if asked is None:
        return []
    return [
        {
            "kind": "event",
            "name": leaf.action["externalEventName"],
            "state": "waiting",
            "since": _timestamp(leaf.since),
        }
        for leaf in asked.execution.program.waits()
    ]


def _unclaimed(asked: Runtime | None) -> list[Entry]:
    if asked is None:
        return []
    return [
        {"name": event.name, "since": _timestamp(event.text)}
        for event in asked.execution.program.unclaimed()
        if not event.key.startswith("@")
    ]


def _held_back(asked: Runtime | None) -> list[Entry]:
    program = asked.execution.program if asked else None
    if program is None or (awaited := program.awaited()) is None:
        return []
    behind, why = act.describe(awaited.action), _progress(awaited)
    return [{"action": act.describe(action), "behind": behind, "why": why} for action in program.held_back()]


def _progress(awaited: Node) -> str:
    if isinstance(awaited, Leaf) or len(awaited.children) == 1:
        return "it has not ended"
    return f"{sum(child.done for child in awaited.children)} of its {len(awaited.children)} tasks have ended"


def _operations(entity_id: str, store: Store, worker: Worker) -> list[Entry]:
    """What lies in the entity's inbox; the first of it may be in the batch that runs."""
    requests = [json.loads(text) for text in store.history(entity_id)]
    running = len(requests) - worker.entities.waiting(entity_id)
    return [
        {
            "kind": "operation",
            "name": request["op"],
            "state": "running" if number < running else "queued",
            "since": request["requestTime"].replace("+00:00", "Z"),
        }
        for number, request in enumerate(requests)
    ]


_ENDS = frozenset((h.TASK_COMPLETED, h.SUB_ORCHESTRATION_COMPLETED, h.TIMER_FIRED)) | h.FAILURES


# -- in words ------------------------------------------------------------------------------------------------


def _of_end(row: Row) -> str:
    reason = f": {row.output}" if row.output and row.status != "Completed" else ""
    return f"It ended as {row.status} at {row.updated_at}{act.brief(reason.partition(chr(10))[0], _BRIEF)}."


def _of_entity(operations: list[Entry]) -> str:
    if not operations:
        return "The entity is at rest."
    first = operations[0]
    more = f", {len(operations) - 1} more wait behind it" if len(operations) > 1 else ""
    return f"The entity's operation {first['name']} is {first['state']} since {first['since']}{more}."


def _of_instance(row: Row, events: list[h.Event], told: dict[str, Any], runtime: Runtime | None) -> str:
    if runtime is not None and runtime.busy:
        if not runtime.episode_at:
            return "Its next episode waits for its turn: as many as may run at once are running."
        since = _iso(runtime.episode_at)
        return f"Its code is running since {since}: until it yields or returns, nothing else happens to it."
    open_now = _list(told["waitsFor"])
    if row.status == "Suspended":
        last = next((e for e in reversed(events) if e.kind == h.SUSPENDED), None)
        since = f" since {_timestamp(last.text)}" if last else ""
        reason = f" ({act.brief(row.output, _BRIEF)})" if row.output else ""
        return f"It is suspended{since}{reason}: resume it." + (f" Open: {open_now}." if open_now else "")
    if not open_now:
        return "It waits for nothing: its next episode is about to run."
    reply = runtime.execution.reply if runtime else None
    if reply is not None and reply.ended:
        return f"Its code has ended; what it has left open must end first: {open_now}."
    any_of = reply is not None and reply.awaited is not None and not reply.awaited.all
    sentence = f"It waits for {'the first of ' if any_of and len(told['waitsFor']) > 1 else ''}{open_now}."
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
        f"{_counted('sub-orchestration', 'sub-orchestrations', group)} {name} ({_tally(group, 'status')})"
    ),
    "entity": lambda name, group: (
        f"{_counted('the answer', 'answers', group)} to {name} of {_tally(group, 'instanceId')}"
    ),
}


def _iso(at: float) -> str:
    return h.timestamp(datetime.fromtimestamp(at, timezone.utc))


def _timestamp(event_text: str) -> str:
    return str(json.loads(event_text)["Timestamp"])
