"""Why an instance is not done: what it waits for, since when, and what is held back behind what.

Reads the store and the worker's memory; changes nothing.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from dfhost.engine import actions as act
from dfhost.engine import history as h
from dfhost.engine.entities import is_entity_id
from dfhost.engine.program import Leaf
from dfhost.store.store import Row, Store

if TYPE_CHECKING:
    from dfhost.worker.worker import Worker


def explain(row: Row, store: Store, worker: Worker) -> dict[str, Any]:
    """JSON-able:

    {"instanceId", "name", "runtimeStatus",
     "waitsFor": [{"kind": "activity|subOrchestration|timer|retry|event|entity", "name", "since", "state":
                   "running|queued|waiting|arrived", "input"?, "instanceId"?, "due"?, "attempt"?}],
     "heldBack": [{"action", "behind"}],
     "sentence": what a person would say}
    """
    told: dict[str, Any] = {
        "instanceId": row.instance_id,
        "name": row.name,
        "runtimeStatus": row.status,
        "waitsFor": [],
        "heldBack": [],
    }
    if is_entity_id(row.instance_id):
        waiting = len(store.history(row.instance_id))
        told["sentence"] = (
            f"The entity has {waiting} operations to process." if waiting else "The entity is at rest."
        )
        return told
    if row.finished:
        told["sentence"] = f"It has ended as {row.status} at {row.updated_at}."
        return told
    events = [h.parse(text) for text in store.history(row.instance_id)]
    told["waitsFor"] = [*_open_tasks(row, events, store, worker), *_events(row, worker)]
    told["heldBack"] = _held_back(row, worker)
    told["sentence"] = _sentence(row, told)
    return told


def _open_tasks(row: Row, events: list[h.Event], store: Store, worker: Worker) -> list[dict[str, Any]]:
    """From the history: what was scheduled and has not ended."""
    import json

    ended = {e.key for e in events if e.kind in _ENDS}
    answered = {e.key for e in events if e.kind == h.EVENT_RAISED}
    queued = {task_id: (name, input) for task_id, name, input, _ in store.work_of(row.instance_id)}
    leaves = _leaves(row, worker)
    found: list[dict[str, Any]] = []
    for event in events:
        if event.kind not in h.SCHEDULING or event.key in ended:
            continue
        data = json.loads(event.text)
        entry: dict[str, Any] = {"name": event.name, "since": data["Timestamp"]}
        leaf = leaves.get(event.key)
        if event.kind == h.TASK_SCHEDULED:
            state, since = worker.activities.state(row.instance_id, event.key)
            entry |= {
                "kind": "activity",
                "state": state,
                "input": act.brief(queued.get(event.key, ("", ""))[1], 200),
            }
            if since is not None:
                entry["since"] = h.timestamp(datetime.fromtimestamp(since, timezone.utc))
        elif event.kind == h.SUB_ORCHESTRATION_CREATED:
            child = store.row(data["InstanceId"])
            status = child.status if child else "gone"
            entry |= {
                "kind": "subOrchestration",
                "state": "waiting",
                "instanceId": data["InstanceId"],
                "status": status,
            }
        elif event.kind == h.TIMER_CREATED:
            if leaf is None and leaves:
                continue  # cancelled
            retry = leaf is not None and leaf.retrying
            entry |= {"kind": "retry" if retry else "timer", "state": "waiting", "due": data["FireAt"]}
            entry["name"] = str(leaf.action["functionName"]) if retry and leaf is not None else "timer"
        else:
            request = json.loads(data["Input"])
            if request.get("signal") or request["id"] in answered:
                continue
            entry |= {
                "kind": "entity",
                "state": "waiting",
                "instanceId": data["InstanceId"],
                "name": request["op"],
            }
        if leaf is not None and leaf.kind in act.WITH_RETRY:
            entry["attempt"] = leaf.attempt
        found.append(entry)
    return found


_ENDS = frozenset((h.TASK_COMPLETED, h.SUB_ORCHESTRATION_COMPLETED, h.TIMER_FIRED)) | h.FAILURES


def _leaves(row: Row, worker: Worker) -> dict[Any, Leaf]:
    runtime = worker.orchestrations.runtime(row.instance_id)
    return dict(runtime.execution.program.open) if runtime is not None else {}


def _events(row: Row, worker: Worker) -> list[dict[str, Any]]:
    runtime = worker.orchestrations.runtime(row.instance_id)
    if runtime is None:
        return []
    return [
        {"kind": "event", "name": name, "since": row.updated_at, "state": "waiting"}
        for name in runtime.execution.program.waiting_events()
    ]


def _held_back(row: Row, worker: Worker) -> list[dict[str, Any]]:
    runtime = worker.orchestrations.runtime(row.instance_id)
    program = runtime.execution.program if runtime is not None else None
    if program is None or (awaited := program.awaited()) is None:
        return []
    return [
        {"action": act.describe(action), "behind": act.describe(awaited.action)}
        for action in program.held_back()
    ]


def _sentence(row: Row, told: dict[str, Any]) -> str:
    waits = told["waitsFor"]
    if row.status == "Suspended":
        return "It is suspended: resume it."
    if not waits:
        return "It waits for nothing: its next episode is about to run."
    kinds: dict[str, int] = {}
    for entry in waits:
        kinds[f"{entry['kind']} {entry['name']}"] = kinds.get(f"{entry['kind']} {entry['name']}", 0) + 1
    parts = [f"{count} x {what}" if count > 1 else what for what, count in list(kinds.items())[:5]]
    more = f" and {len(kinds) - 5} more" if len(kinds) > 5 else ""
    held = f"; {len(told['heldBack'])} actions are held back behind that" if told["heldBack"] else ""
    return f"It waits for {', '.join(parts)}{more}{held}."
