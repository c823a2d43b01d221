"""Why an instance is not done: what it waits for, since when, and what is held back behind what.

Reads the store and the dispatchers' memory; changes nothing. Open tasks come from the timeline, so they can be listed
even while the instance's code runs. What the code itself waits for comes from its loaded execution. The summary in
words is made in `explain_sentences.py`.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from typing import Any

from dfhost.dispatch.instance_cache import LoadedInstance
from dfhost.dispatch.task_hub_worker import TaskHubWorker
from dfhost.engine import actions as act
from dfhost.engine import history as h
from dfhost.engine.actions import HTTP_ACTIVITY
from dfhost.engine.tasks import SingleTask, TaskNode
from dfhost.inspection import explain_sentences
from dfhost.inspection.explain_sentences import Entry
from dfhost.inspection.live_timeline import AwaitedEvent, code_state, live_timeline, timestamp_in
from dfhost.printable import shortened
from dfhost.store.store import Store
from dfhost.timeline import model
from dfhost.timeline.model import Attempt, Task

# Awaited children and entities are explained as well: so many of the instance, one of each of those, and so on.
_FOLLOWED = 3
_DEEPEST = 8


async def explain(
    instance_id: str,
    store: Store,
    worker: TaskHubWorker,
    now: datetime,
    followed: int = _FOLLOWED,
    deepest: int = _DEEPEST,
) -> dict[str, Any] | None:
    """None if there is no such instance, else, ready for JSON:

    {"instanceId", "name", "runtimeStatus",
     "waitsFor": [{"kind": "activity|retry|timer|event|subOrchestration|entity|operation",
                   "name" (not of a timer), "since", "state": "running|queued|waiting",
                   "awaited": whether the code waits for it now, or has only left it open,
                   "input"?, "attempt"?, "maxAttempts"?, "due"?, "error"? (of the last attempt),
                   "instanceId"?, "status"? (a child's),
                   "explanation"?: the same of that child or entity, for the first few that are awaited}],
     "heldBack": [{"action", "behind", "why"}],
     "lastFailure"?: {"name", "time", "error", "stack"},   an entity's last failed operation since the host's start
     "unclaimed": [{"name", "since"}],   events that have come and that nothing waits for
     "cause"?: why the instance has failed, where its output does not say it,
     "sentence": a summary for people}

    Times are ISO 8601 in UTC. An `operation` is one that an entity has yet to process.
    """
    instance = await worker.orchestrations.inspect(instance_id)
    stored = store.timeline(instance_id)
    if stored is None:
        return None
    row = stored.row
    explanation: dict[str, Any] = {
        "instanceId": row.instance_id,
        "name": row.name,
        "runtimeStatus": row.status,
        "waitsFor": [],
        "heldBack": [],
        "unclaimed": [],
    }
    if row.is_entity:
        explanation["waitsFor"] = _operations(instance_id, store, worker)
        if last := worker.entities.last_failure(instance_id):
            at, (name, failure) = last
            explanation["lastFailure"] = {
                "name": name,
                "time": at,
                "error": failure.text,
                "stack": failure.stack,
            }
        explanation["sentence"] = explain_sentences.of_entity(
            explanation["waitsFor"], explanation.get("lastFailure")
        )
    elif row.has_ended:
        cause = h.cause_of_failure(stored.history) if row.status == "Failed" else None
        if cause is not None:
            explanation["cause"] = cause
        explanation["sentence"] = explain_sentences.of_end(row, cause)
    else:
        readable = None if instance is None or instance.busy else instance
        code = code_state(readable, stored)
        timeline = live_timeline(stored, code, worker)
        explanation["heldBack"] = _held_back(readable)
        explanation["unclaimed"] = [
            {"name": event.name, "since": timestamp_in(event.text)} for event in code.unclaimed
        ]
        explanation["waitsFor"] = [
            *(_task_entry(task, code.awaited) for task in timeline.tasks if _is_open_call(task)),
            *map(_event_entry, code.events),
        ]
        suspensions = [task for task in timeline.tasks if task.kind == model.SUSPENSION]
        explanation["sentence"] = explain_sentences.of_instance(
            row,
            explanation,
            instance,
            suspensions[-1].started_at or "" if suspensions else "",
            now,
            worker.orchestrations.waits_for_worker,
        )
        limit = worker.activities.limit_reached
        if limit is not None and any(each["state"] == "queued" for each in explanation["waitsFor"]):
            explanation["sentence"] += f" {explain_sentences.of_full_queue(limit)}"
        if deepest:
            others = [each for each in explanation["waitsFor"] if "instanceId" in each and each["awaited"]]
            for entry in others[:followed]:
                if other := await explain(entry["instanceId"], store, worker, now, 1, deepest - 1):
                    entry["explanation"] = other
    return explanation


def _is_open_call(task: Task) -> bool:
    return task.state in model.OPEN and task.kind not in (model.EVENT, model.SUSPENSION)


def _task_entry(task: Task, awaited: Collection[int | str] | None) -> Entry:
    newest: Attempt | Task = task.attempts[-1] if task.attempts else task
    since = newest.scheduled_at
    key: int | str | None = task.task_id
    entry: Entry
    if task.state == model.RETRYING:
        entry = {"kind": "retry", "name": task.name, "state": "waiting", "due": task.due}
        entry["error"] = shortened((newest.error or "").partition("\n")[0], explain_sentences.BRIEF)
        since = newest.ended_at
    elif task.kind == model.TIMER:
        entry = {"kind": "timer", "state": "waiting", "due": task.due}
    elif task.kind == model.CHILD:
        entry = {"kind": "subOrchestration", "name": task.name, "state": "waiting"}
        entry |= {"instanceId": task.instance_id, "status": task.child_status}
    elif task.kind == model.ENTITY_CALL:
        entry = {"kind": "entity", "name": task.name, "state": "waiting", "instanceId": task.instance_id}
        if awaited is not None and task.request_id in awaited:
            key = task.request_id
    else:
        kind, name = ("activity", HTTP_ACTIVITY) if task.kind == model.HTTP_CALL else (task.kind, task.name)
        entry = {"kind": kind, "name": name, "state": task.state}
        if task.input is not None:
            entry["input"] = shortened(task.input, explain_sentences.BRIEF)
        since = newest.started_at or since
    entry |= {"since": since, "awaited": awaited is None or key in awaited}
    if task.max_attempts > 1:
        entry |= {"attempt": task.attempt, "maxAttempts": task.max_attempts}
    return entry


def _event_entry(event: AwaitedEvent) -> Entry:
    return {
        "kind": "event",
        "name": event.name,
        "state": "waiting",
        "since": event.since,
        "awaited": event.is_awaited,
    }


def _held_back(instance: LoadedInstance | None) -> list[Entry]:
    interpreter = instance.execution.interpreter if instance else None
    if interpreter is None or (awaited := interpreter.awaited_task()) is None:
        return []
    behind, why = act.describe(awaited.action), _progress(awaited)
    return [
        {"action": act.describe(action), "behind": behind, "why": why} for action in interpreter.held_back()
    ]


def _progress(awaited: TaskNode) -> str:
    if isinstance(awaited, SingleTask) or len(awaited.children) == 1:
        return "it has not ended"
    return f"{sum(child.done for child in awaited.children)} of its {len(awaited.children)} tasks have ended"


def _operations(entity_id: str, store: Store, worker: TaskHubWorker) -> list[Entry]:
    """The operations in the entity's inbox; the first ones may be in the batch that runs."""
    requests = [json.loads(message.text) for message in store.entity_requests(entity_id)]
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
