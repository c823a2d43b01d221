"""Why an instance is not done: what it waits for, since when, and what is held back behind what.

Reads the store and the dispatchers' memory; changes nothing. Open tasks are those of the timeline, so they can be
listed even while the instance's code runs. The summary in words is made in `explain_sentences.py`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from dfhost.dispatch.dispatchers import Dispatchers
from dfhost.dispatch.entity_dispatcher import RunningBatch
from dfhost.engine import actions as act
from dfhost.engine import history as h
from dfhost.engine.entities import operation_input, stored_state
from dfhost.engine.interpreter import ActionInterpreter
from dfhost.engine.tasks import SingleTask, TaskNode
from dfhost.inspection import explain_sentences
from dfhost.inspection.live_timeline import code_state, live_timeline
from dfhost.parse_json import parse_json
from dfhost.reported_progress import LEDGERS, reported_progress
from dfhost.store.reader import StoredTimeline
from dfhost.store.store import Store
from dfhost.timeline import model
from dfhost.timeline.builder import OFF_LOOP_FROM
from dfhost.timeline.model import Task
from dfhost.timeline.timeline_json import task_json
from dfhost.timestamps import timestamp_of

# Awaited children and entities are explained as well: so many of the instance, one of each of those, and so on.
_FOLLOWED = 3
_DEEPEST = 8
_LONGEST_PAYLOAD = 200  # characters of a task's input and error
_SENT_TO_LEDGER = f'{{"EventType":{h.EVENT_SENT},"InstanceId":"{LEDGERS}'


async def explain(
    instance_id: str,
    store: Store,
    dispatchers: Dispatchers,
    now: datetime,
    most: int | None = None,
    followed: int = _FOLLOWED,
    deepest: int = _DEEPEST,
) -> dict[str, Any] | None:
    """`most`: so many entries of "waitsFor" at most. None if there is no such instance, else, ready for JSON:

    {"instanceId", "name", "runtimeStatus",
     "waitsFor": [an open task as in `timeline_json.task_json`, and
                  "since"?: since when it has been in its state, if that is not its last,
                  "explanation"?: the same of its child or entity, for the first few that are awaited],
     "heldBack": [{"action", "behind", "why"}],
     "lastFailure"?: {"name", "time", "error", "stack"},   an entity's last failed operation since the host's start
     "unclaimed": [{"name", "since"}],   events that have come and that nothing waits for
     "maps"?: [{"id", "activity", "total", "done", "failed", "isOver"}],   those that it has begun, by their ledgers
     "cause"?: why the instance has failed, where its output does not say it,
     "sentence": a summary for people}

    Times are ISO 8601 in UTC. An entity's tasks are the operations that it has yet to answer: those of a batch are
    answered together.
    """
    instance = await dispatchers.orchestrations.replays.inspect(instance_id)
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
        return explanation | await _of_entity(instance_id, store, dispatchers, most)
    if maps := _maps(stored, store):
        explanation["maps"] = maps
    if row.has_ended:
        return explanation | _of_end(stored)
    readable = None if instance is None or instance.busy else instance
    code = code_state(readable, stored)
    # Of a suspended instance: what the suspension alone holds back is not held back behind another action.
    interpreter = readable.execution.interpreter_when_resumed() if readable else None
    held_back = _held_back(interpreter)
    starts = [] if interpreter is None or row.status != "Suspended" else _commands(interpreter)
    tasks = (await live_timeline(stored, code, dispatchers)).tasks
    open_tasks = [task for task in tasks if task.is_open and task.kind != model.SUSPENSION]
    unclaimed = [{"name": event.name, "since": h.timestamp_in(event.text)} for event in code.unclaimed]
    suspensions = [task for task in tasks if task.kind == model.SUSPENSION]
    has_code = dispatchers.orchestrations.has_code(row.name)
    sentence = explain_sentences.of_instance(
        row,
        open_tasks,
        held_back,
        [str(event.name) for event in code.unclaimed],
        code.held,
        starts,
        instance,
        suspensions[-1].since or "" if suspensions else "",
        now,
        dispatchers.orchestrations.waits_for_worker,
        has_code,
        dispatchers.orchestrations.is_full,
    )
    limit = dispatchers.activities.limit_reached
    if limit is not None and any(task.state == model.QUEUED and task.is_activity for task in open_tasks):
        sentence += f" {explain_sentences.of_full_queue(limit)}"
    if not has_code and not sentence.endswith(explain_sentences.NO_CODE):
        sentence += f" {explain_sentences.NO_CODE}"
    sentence = " ".join([*explain_sentences.of_maps(maps), sentence])
    waits = await _waits_json(open_tasks[:most])
    others = [wait for wait in waits if "instanceId" in wait and wait["awaited"]] if deepest else []
    for wait in others[:followed]:
        if other := await explain(wait["instanceId"], store, dispatchers, now, most, 1, deepest - 1):
            wait["explanation"] = other
    return explanation | {
        "waitsFor": waits, "heldBack": held_back, "unclaimed": unclaimed, "sentence": sentence,
    }  # fmt: skip


async def _of_entity(
    entity_id: str, store: Store, dispatchers: Dispatchers, most: int | None
) -> dict[str, Any]:
    operations = _operations(entity_id, store, await dispatchers.entities.running_batch(entity_id))
    explanation: dict[str, Any] = {"waitsFor": await _waits_json(operations[:most])}
    if last := dispatchers.entities.last_failure(entity_id):
        at, (name, failure) = last
        last_failure = {"name": name, "time": at, "error": failure.text, "stack": failure.stack}
        explanation["lastFailure"] = last_failure
    sentence = explain_sentences.of_entity(operations, explanation.get("lastFailure"))
    return explanation | {"sentence": sentence}


def _of_end(stored: StoredTimeline) -> dict[str, Any]:
    known = {} if stored.cause is None else {"cause": stored.cause}
    return known | {"sentence": explain_sentences.of_end(stored.row, stored.cause)}


def _maps(stored: StoredTimeline, store: Store) -> list[dict[str, Any]]:
    """What the ledgers say that the instance has opened, see `reported_progress`."""
    maps = []
    for text in stored.history:
        if not text.startswith(_SENT_TO_LEDGER):
            continue
        sent = json.loads(text)
        ledger = store.entity(sent["InstanceId"]) if json.loads(sent["Input"]).get("op") == "open" else None
        said: Any = parse_json(stored_state(ledger.input) or "null") if ledger else None
        if progress := reported_progress(said):
            about = {"id": said.get("map_id"), "activity": said.get("activity"), "isOver": "ended_at" in said}
            maps.append(about | progress._asdict())
    return maps


async def _waits_json(tasks: Sequence[Task]) -> list[dict[str, Any]]:
    def convert() -> list[dict[str, Any]]:
        return [
            task_json(task, _LONGEST_PAYLOAD) | ({"since": task.since} if task.is_open else {})
            for task in tasks
        ]

    return convert() if len(tasks) < OFF_LOOP_FROM else await asyncio.to_thread(convert)


def _commands(interpreter: ActionInterpreter) -> list[str]:
    """What it starts, described. The timer before another attempt is none that the code asks for."""
    own = (
        command
        for command in interpreter.take_commands()
        if command.fire_at is None or command.task.action_type == act.CREATE_TIMER
    )
    return [act.describe(command.task.action) for command in own]


def _held_back(interpreter: ActionInterpreter | None) -> list[dict[str, str]]:
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


def _operations(entity_id: str, store: Store, batch: RunningBatch | None) -> list[Task]:
    """The operations in the entity's inbox. Of those in the batch that runs, the first ones may have ended."""
    requests = [json.loads(message.text) for message in store.entity_requests(entity_id)]
    tasks = [
        Task(
            model.OPERATION,
            request["op"],
            model.QUEUED,
            request["requestTime"].replace("+00:00", "Z"),
            input=operation_input(request),
            instance_id=request.get("parent"),
        )
        for request in requests
    ]
    if batch is not None and (running := batch.operation) is not None:
        place = running.place
        first, last = (0, batch.size) if place is None else (place, place + 1)
        for task in tasks[:first]:
            task.state = model.COMPLETED
        for task in tasks[first:last]:
            task.state, task.started_at = model.RUNNING, timestamp_of(running.since)
    return tasks
