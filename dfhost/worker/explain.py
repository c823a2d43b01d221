"""Why an instance is not done: what it waits for, since when, and what is held back behind what.

Reads the store and the worker's memory; changes nothing. What is open is read from the history, so it can be
told even while the instance's code runs; what the code itself waits for is asked of its program. The sentence
that sums it up is made in `sentences.py`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import Any

from dfhost.engine import actions as act
from dfhost.engine import history as h
from dfhost.engine.entities import is_entity_id
from dfhost.engine.interpreter import SingleTask, TaskNode
from dfhost.store.events import InstanceRow
from dfhost.store.store import Store
from dfhost.worker import explain_sentences
from dfhost.worker.clock import timestamp_of
from dfhost.worker.explain_sentences import Entry
from dfhost.worker.orchestration_dispatcher import LoadedInstance
from dfhost.worker.worker import Worker

# Children and entities that are explained with who waits for them: of the instance itself, then one of each of those.
_FOLLOWED = 3
_DEEPEST = 8


async def explain(
    instance_id: str, store: Store, worker: Worker, followed: int = _FOLLOWED, deepest: int = _DEEPEST
) -> dict[str, Any] | None:
    """None if there is no such instance, else, ready for JSON:

    {"instanceId", "name", "runtimeStatus",
     "waitsFor": [{"kind": "activity|retry|timer|event|subOrchestration|entity|operation",
                   "name" (not of a timer), "since", "state": "running|queued|waiting",
                   "awaited": whether the code waits for it now, or has only left it open,
                   "input"?, "attempt"?, "due"?, "instanceId"?, "status"? (a child's),
                   "explanation"?: the same of that child or entity, for the first few that are awaited}],
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
        told["sentence"] = explain_sentences.of_entity(told["waitsFor"])
    elif row.finished:
        told["sentence"] = explain_sentences.of_end(row)
    else:
        asked = None if runtime is None or runtime.busy else runtime
        events = [h.parse(text) for text in store.history(instance_id)]
        told["heldBack"] = _held_back(asked)
        keys = _awaited(asked) if not told["heldBack"] else None
        waiting, told["unclaimed"] = _events(asked, keys, events)
        told["waitsFor"] = [*_open_tasks(row, events, asked, keys, store, worker), *waiting]
        last = next((e for e in reversed(events) if e.kind == h.SUSPENDED), None)
        told["sentence"] = explain_sentences.of_instance(
            row, told, runtime, _timestamp(last.text) if last else ""
        )
        if deepest:
            others = [entry for entry in told["waitsFor"] if "instanceId" in entry and entry["awaited"]]
            for entry in others[:followed]:
                if below := await explain(entry["instanceId"], store, worker, 1, deepest - 1):
                    entry["explanation"] = below
    return told


# -- what is waited for --------------------------------------------------------------------------------------


def _awaited(asked: LoadedInstance | None) -> Collection[int | str] | None:
    """The ids of the tasks and the names of the events that the code waits for; None if it does not say."""
    reply = asked.execution.reply if asked else None
    return reply.awaited.keys if reply is not None and reply.awaited is not None else None


def _open_tasks(
    row: InstanceRow,
    events: list[h.Event],
    asked: LoadedInstance | None,
    keys: Collection[int | str] | None,
    store: Store,
    worker: Worker,
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
        key = event.key if leaf is None else leaf.first_id
        entry: Entry | None
        if event.kind == h.TASK_SCHEDULED:
            entry = _activity(row, event, inputs.get(event.key), worker)
        elif event.kind == h.SUB_ORCHESTRATION_CREATED:
            child = store.row(data["InstanceId"])
            entry = {"kind": "subOrchestration", "name": event.name, "state": "waiting"}
            entry |= {"instanceId": data["InstanceId"], "status": child.status if child else None}
        elif event.kind == h.TIMER_CREATED:
            entry = _timer(data["FireAt"], leaf, asked is not None and asked.execution.reply is not None)
        else:
            request = json.loads(data["Input"])
            key = request["id"] if keys is not None and request["id"] in keys else event.key
            entry = {"kind": "entity", "name": request["op"], "state": "waiting"}
            entry["instanceId"] = data["InstanceId"]
            if request.get("signal") or request["id"] in answered:
                entry = None
        if entry is not None:
            entry.setdefault("since", data["Timestamp"])
            entry["awaited"] = keys is None or key in keys
            if leaf is not None and leaf.kind in act.WITH_RETRY:
                entry["attempt"] = leaf.attempt
            yield entry


def _activity(row: InstanceRow, event: h.Event, input: str | None, worker: Worker) -> Entry:
    state, since = worker.activities.state(row.instance_id, event.key)
    entry: Entry = {"kind": "activity", "name": event.name, "state": state}
    if input is not None:
        entry["input"] = act.brief(input, explain_sentences.BRIEF)
    if since is not None:
        entry["since"] = timestamp_of(since)
    return entry


def _timer(due: str, leaf: SingleTask | None, is_known: bool) -> Entry | None:
    """None for one that was cancelled: it is still in the history, and nobody waits for it."""
    if leaf is not None and leaf.retrying:
        return {"kind": "retry", "name": leaf.action["functionName"], "state": "waiting", "due": due}
    return None if leaf is None and is_known else {"kind": "timer", "state": "waiting", "due": due}


def _events(
    asked: LoadedInstance | None, keys: Collection[int | str] | None, past: list[h.Event]
) -> tuple[list[Entry], list[Entry]]:
    """The external events that are waited for, and those that have come unasked."""
    if asked is None:
        return [], []
    program = asked.execution.program
    waits = list(program.waits())
    unclaimed = list(program.unclaimed())
    # What has come since the last episode is not processed yet, but no longer waited for either.
    for event in asked.arrived:
        if event.kind != h.EVENT_RAISED or event.key in program.open:
            continue
        claims = [leaf for leaf in waits if _name(leaf).lower() == event.key.lower()]
        if claims:
            waits.remove(claims[-1])
        else:
            unclaimed.append(event)
    told = [
        {
            "kind": "event",
            "name": _name(leaf),
            "state": "waiting",
            "since": _timestamp(leaf.since),
            "awaited": keys is None or _name(leaf) in keys,
        }
        for leaf in waits
    ]
    for key in keys or ():
        # The program, as the extension, has taken an event whose name differs in case; the SDK has not.
        others = [
            e for e in past if e.kind == h.EVENT_RAISED and e.key != key and e.key.lower() == str(key).lower()
        ]
        if others and not any(_name(leaf) == key for leaf in waits):
            since = _timestamp(others[0].text)
            told.append({"kind": "event", "name": key, "state": "waiting", "since": since, "awaited": True})
            unclaimed.append(others[0])
    return told, [{"name": event.name, "since": _timestamp(event.text)} for event in unclaimed]


def _name(wait: SingleTask) -> str:
    return str(wait.action["externalEventName"])


def _held_back(asked: LoadedInstance | None) -> list[Entry]:
    program = asked.execution.program if asked else None
    if program is None or (awaited := program.awaited()) is None:
        return []
    behind, why = act.describe(awaited.action), _progress(awaited)
    return [{"action": act.describe(action), "behind": behind, "why": why} for action in program.held_back()]


def _progress(awaited: TaskNode) -> str:
    if isinstance(awaited, SingleTask) or len(awaited.children) == 1:
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
            "awaited": True,
        }
        for number, request in enumerate(requests)
    ]


_ENDS = frozenset((h.TASK_COMPLETED, h.SUB_ORCHESTRATION_COMPLETED, h.TIMER_FIRED)) | h.FAILURES


def _timestamp(event_text: str) -> str:
    return str(json.loads(event_text)["Timestamp"])
