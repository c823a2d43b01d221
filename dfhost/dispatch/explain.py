"""Why an instance is not done: what it waits for, since when, and what is held back behind what.

Reads the store and the dispatchers' memory; changes nothing. Open tasks come from the history, so they can be listed
even while the instance's code runs. What the code itself waits for comes from its loaded execution. The summary in
words is made in `explain_sentences.py`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from dfhost.dispatch import explain_sentences
from dfhost.dispatch.explain_sentences import Entry
from dfhost.dispatch.instance_cache import LoadedInstance
from dfhost.dispatch.task_hub_worker import TaskHubWorker
from dfhost.engine import actions as act
from dfhost.engine import history as h
from dfhost.engine.tasks import SingleTask, TaskNode
from dfhost.store.instance_row import InstanceRow
from dfhost.store.store import Store

# Awaited children and entities are explained as well: so many of the instance, one of each of those, and so on.
_FOLLOWED = 3
_DEEPEST = 8
_EVENT_RAISED = f'{{"EventType":{h.EVENT_RAISED},'


async def explain(
    instance_id: str, store: Store, worker: TaskHubWorker, followed: int = _FOLLOWED, deepest: int = _DEEPEST
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
     "sentence": a summary for people}

    Times are ISO 8601 in UTC. An `operation` is one that an entity has yet to process.
    """
    instance = await worker.orchestrations.inspect(instance_id)
    row = store.instance(instance_id)
    if row is None:
        return None
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
        explanation["sentence"] = explain_sentences.of_entity(explanation["waitsFor"])
    elif row.finished:
        explanation["sentence"] = explain_sentences.of_end(row)
    else:
        readable = None if instance is None or instance.busy else instance
        history = [h.parse(text) for text in store.history(instance_id)]
        explanation["heldBack"] = _held_back(readable)
        awaited = _awaited_keys(readable) if not explanation["heldBack"] else None
        event_waits, explanation["unclaimed"] = _external_events(readable, awaited, history)
        tasks = _open_tasks(row, history, readable, awaited, store, worker)
        explanation["waitsFor"] = [*tasks, *event_waits]
        suspended = next((e for e in reversed(history) if e.kind == h.SUSPENDED), None)
        explanation["sentence"] = explain_sentences.of_instance(
            row, explanation, instance, _timestamp(suspended.text) if suspended else ""
        )
        if deepest:
            others = [each for each in explanation["waitsFor"] if "instanceId" in each and each["awaited"]]
            for entry in others[:followed]:
                if other := await explain(entry["instanceId"], store, worker, 1, deepest - 1):
                    entry["explanation"] = other
    return explanation


class CodeState(NamedTuple):
    """What the store does not say of a running orchestration.

    `events`: the external events that it waits for, and since when (ISO text). `open_timers`: the ids of those that
    were not cancelled, None if that is unknown.
    """

    events: Sequence[tuple[str, str | None]] = ()
    open_timers: frozenset[int] | None = None


async def code_state(instance_id: str, store: Store, worker: TaskHubWorker) -> CodeState:
    instance = await worker.orchestrations.inspect(instance_id)
    if instance is None or instance.busy:
        return CodeState()
    awaited = _awaited_keys(instance)
    raised = [h.parse(text) for text in store.history(instance_id) if text.startswith(_EVENT_RAISED)]
    waits, _ = _external_events(instance, awaited, raised)
    open_timers = None
    if instance.execution.result is not None:
        keys = {*instance.execution.interpreter.open_tasks, *(awaited or ())}
        open_timers = frozenset(key for key in keys if isinstance(key, int))
    return CodeState([(entry["name"], entry.get("since")) for entry in waits], open_timers)


def _awaited_keys(instance: LoadedInstance | None) -> Collection[int | str] | None:
    """Task ids and names of events that the code waits for; None if that is unknown."""
    result = instance.execution.result if instance else None
    return result.awaited.keys if result is not None and result.awaited is not None else None


def _open_tasks(
    row: InstanceRow,
    history: list[h.Event],
    instance: LoadedInstance | None,
    awaited: Collection[int | str] | None,
    store: Store,
    worker: TaskHubWorker,
) -> Iterable[Entry]:
    """What the history records as scheduled and not as ended."""
    ended = {e.key for e in history if e.kind in h.ENDING}
    raised = {e.key for e in history if e.kind == h.EVENT_RAISED}
    inputs = {task_id: input for task_id, _, input, _ in store.activities_of(row.instance_id)}
    open_tasks = instance.execution.interpreter.open_tasks if instance else {}
    for event in history:
        if event.kind not in h.SCHEDULING or event.key in ended:
            continue
        data = json.loads(event.text)
        task = open_tasks.get(event.key)
        key = event.key if task is None else task.first_id
        entry: Entry | None
        if event.kind == h.TASK_SCHEDULED:
            entry = _activity(row, event, inputs.get(event.key), worker)
        elif event.kind == h.SUB_ORCHESTRATION_CREATED:
            child = store.instance(data["InstanceId"])
            entry = {"kind": "subOrchestration", "name": event.name, "state": "waiting"}
            entry |= {"instanceId": data["InstanceId"], "status": child.status if child else None}
        elif event.kind == h.TIMER_CREATED:
            is_cancelled = instance is not None and instance.execution.result is not None and task is None
            if is_cancelled and not (awaited and event.key in awaited):
                continue
            entry = _timer(data["FireAt"], task)
        else:
            request = json.loads(data["Input"])
            key = request["id"] if awaited is not None and request["id"] in awaited else event.key
            entry = {"kind": "entity", "name": request["op"], "state": "waiting"}
            entry["instanceId"] = data["InstanceId"]
            if request.get("signal") or request["id"] in raised:
                entry = None
        if entry is not None:
            entry.setdefault("since", data["Timestamp"])
            entry["awaited"] = awaited is None or key in awaited
            if task is not None and task.kind in act.WITH_RETRY:
                entry["attempt"] = task.attempt
            yield entry


def _activity(row: InstanceRow, event: h.Event, input: str | None, worker: TaskHubWorker) -> Entry:
    state, since = worker.activities.state(row.instance_id, event.key)
    entry: Entry = {"kind": "activity", "name": event.name, "state": state}
    if input is not None:
        entry["input"] = act.brief(input, explain_sentences.BRIEF)
    if since is not None:
        entry["since"] = since
    return entry


def _timer(due: str, task: SingleTask | None) -> Entry:
    """The user's own, or that of a retry."""
    if task is not None and task.awaits_retry_timer:
        return {"kind": "retry", "name": task.action["functionName"], "state": "waiting", "due": due}
    return {"kind": "timer", "state": "waiting", "due": due}


def _external_events(
    instance: LoadedInstance | None, awaited: Collection[int | str] | None, history: list[h.Event]
) -> tuple[list[Entry], list[Entry]]:
    """The external events that are waited for, and those that have come and that nothing waits for."""
    if instance is None:
        return [], []
    interpreter = instance.execution.interpreter
    waits = list(interpreter.event_waits())
    unclaimed = list(interpreter.early_events())
    # Events that have come since the last episode are not processed yet, but end a wait all the same.
    for _, event in instance.messages:
        if event.kind != h.EVENT_RAISED or event.key in interpreter.open_tasks:
            continue
        ended = [task for task in waits if _event_name(task).lower() == event.key.lower()]
        if ended:
            waits.remove(ended[-1])
        else:
            unclaimed.append(event)
    entries = [
        {
            "kind": "event",
            "name": _event_name(task),
            "state": "waiting",
            "since": _timestamp(task.waiting_since),
            "awaited": awaited is None or _event_name(task) in awaited,
        }
        for task in waits
    ]
    raised = [event for event in history if event.kind == h.EVENT_RAISED]
    for name in (awaited or ()) if raised else ():
        # For the extension, and so for the interpreter, an event whose name differs in case ends the wait; not so
        # for the SDK.
        others = [e for e in raised if e.key != name and e.key.lower() == str(name).lower()]
        if others and not any(_event_name(task) == name for task in waits):
            since = _timestamp(others[0].text)
            entries.append(
                {"kind": "event", "name": name, "state": "waiting", "since": since, "awaited": True}
            )
            unclaimed.append(others[0])
    return entries, [{"name": event.name, "since": _timestamp(event.text)} for event in unclaimed]


def _event_name(task: SingleTask) -> str:
    return str(task.action["externalEventName"])


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


def _timestamp(event_text: str) -> str:
    return str(json.loads(event_text)["Timestamp"])
