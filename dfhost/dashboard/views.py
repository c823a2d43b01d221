"""What the page shows, as values ready for JSON: the shapes that `static/types.d.ts` describes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dfhost.instance_failure import death_in_words, read_failure
from dfhost.printable import error_in_a_line
from dfhost.runner.functions import AppInfo
from dfhost.store.overview import ListedInstance
from dfhost.task_hub import TaskHub
from dfhost.task_hub_values import MapRun
from dfhost.timeline.in_flight import Span, activity_spans, in_flight
from dfhost.timeline.timeline_json import PAYLOADS, timeline_json
from dfhost.timestamps import timestamp
from dfhost.triggers.queues import Queues
from dfhost.triggers.timer_triggers import shown_schedule

_TASK_PAYLOAD = 1_000  # characters of a task's payload; the rest is fetched when it is looked at
_PAYLOAD = 100_000  # likewise of the instance's own
_MESSAGE = 1_000  # likewise of a message in a storage queue
_MESSAGES = 50  # of a storage queue
_ENTITIES = 5_000
_MAPS = 100
_ASKED = 100  # entities of which it is asked what they run
_WAITS = 200  # entries of an explanation; the timeline has every task


def listed_json(row: ListedInstance) -> list[Any]:
    """[id, name, status, created, updated, parent id, custom status, error]: a list, since there are thousands."""
    error = None
    if row.failure is not None:
        error = death_in_words(error_in_a_line(str(read_failure(row.failure).within(row.name))))
    return [*row[:-1], error]


async def instance_view(hub: TaskHub, instance_id: str) -> dict[str, Any] | None:
    """{"timeline", "explanation", "cut": names of the instance's payloads that were cut}; None if there is none."""
    timeline = await hub.timeline(instance_id)
    explanation = await hub.explain(instance_id, _WAITS)
    if timeline is None:
        return None
    shown = await asyncio.to_thread(timeline_json, timeline, _TASK_PAYLOAD)
    cut = [name for name in ("input", "output", "customStatus") if len(shown.get(name) or "") > _PAYLOAD]
    shown.update((name, shown[name][:_PAYLOAD]) for name in cut)
    return {"timeline": shown, "explanation": explanation, "cut": cut}


async def payload(hub: TaskHub, instance_id: str, name: str, task_id: int | None) -> str | None:
    """The whole of a payload of the instance (input, output, customStatus) or of one of its tasks."""
    timeline = await hub.timeline(instance_id)
    if timeline is None:
        return None
    if task_id is None:
        whole = {"input": timeline.input, "output": timeline.output, "customStatus": timeline.custom_status}
        return whole.get(name)
    task = next((each for each in timeline.tasks if each.task_id == task_id), None)
    return getattr(task, name) if task is not None and name in PAYLOADS else None


async def in_flight_view(hub: TaskHub, instance_id: str, activity: str) -> list[tuple[str, int]]:
    """How many calls of the activity ran at once under this instance and its descendants, see `in_flight`."""
    spans: list[Span] = []
    async for timeline in hub.timelines_below(instance_id):
        spans += activity_spans(timeline, activity)
    return await asyncio.to_thread(in_flight, spans)


def history_page(hub: TaskHub, instance_id: str, start: int, count: int) -> dict[str, Any]:
    """{"total", "events"}: `count` events from `start` on, as the store holds them."""
    events = hub.history(instance_id)
    return {"total": len(events), "events": [json.loads(text) for text in events[start : start + count]]}


async def entities_view(hub: TaskHub) -> list[dict[str, Any]]:
    """[{"id", "name", "key", "state": JSON text, "lastOperation", "waiting": operations in its queue, "runs"}]

    `runs`: which operation runs; None if none does, or where very many entities have something to do.
    """
    busy = list(hub.queue_lengths())[:_ASKED]
    runs = {entity_id: await _running_operation(hub, entity_id) for entity_id in busy}
    found = _entities(hub, hub.queue_lengths())
    return [entity | {"runs": runs.get(entity["id"]) if entity["waiting"] else None} for entity in found]


async def _running_operation(hub: TaskHub, entity_id: str) -> str | None:
    explanation = await hub.explain(entity_id, _WAITS) or {"waitsFor": []}
    return next((each["name"] for each in explanation["waitsFor"] if each["state"] == "running"), None)


def _entities(hub: TaskHub, waiting: dict[str, int]) -> list[dict[str, Any]]:
    found = []
    for entity in hub.entities(None, None, None, _ENTITIES, with_new=True):
        last = timestamp(entity.last_operation) if entity.state is not None else None
        queued = waiting.pop(f"@{entity.name}@{entity.key}", 0)
        found.append(_entity(entity.name, entity.key, entity.state, last, queued))
    for entity_id, queued in waiting.items():  # deleted, and in use again
        _, name, key = entity_id.split("@", 2)
        found.append(_entity(name, key, None, None, queued))
    return found


def _entity(
    name: str, key: str, state: str | None, last_operation: str | None, waiting: int
) -> dict[str, Any]:
    return {
        "id": f"@{name}@{key}",
        "name": name,
        "key": key,
        "state": state,
        "lastOperation": last_operation,
        "waiting": waiting,
    }


def timers_view(app: AppInfo, next_runs: Mapping[str, datetime]) -> dict[str, dict[str, str | None]]:
    """By timer function: {"schedule": "0 30 2 * * *", "nextRun": "2026-11-30T02:30:00Z"}, or None for never."""
    return {
        each.name: {
            "schedule": shown_schedule(each),
            "nextRun": timestamp(next_runs[each.name]) if each.name in next_runs else None,
        }
        for each in app.timers
    }


def messages_view(queues: Queues, queue: str) -> list[dict[str, Any]]:
    """The oldest messages of a storage queue, each as `QueueMessage` of types.d.ts."""
    return [
        {
            "id": each.message_id,
            "text": each.text[:_MESSAGE],
            "isCut": len(each.text) > _MESSAGE,
            "insertedAt": each.inserted_at,
            "visibleAt": each.visible_at,
            "dequeueCount": each.dequeue_count,
            "isRunning": bool(each.is_taken),
        }
        for each in queues.messages(queue, _MESSAGES)
    ]


def message_text(queues: Queues, queue: str, message_id: str) -> str | None:
    """The whole text of one of these messages; None if it is not among them any more."""
    found = (each.text for each in queues.messages(queue, _MESSAGES) if each.message_id == message_id)
    return next(found, None)


async def maps_view(hub: TaskHub) -> list[dict[str, Any]]:
    """The newest maps, each as `MapRun` of types.d.ts."""
    return [_map_json(run) for run in await hub.maps(limit=_MAPS) if run.ledger or "phase" in _own_words(run)]


def _map_json(run: MapRun) -> dict[str, Any]:
    ledger, counts, own = run.ledger or {}, run.progress, _own_words(run)
    in_flight = ledger.get("in_flight")
    return {
        "id": run.map_id,
        "instance": run.instance_id,
        "name": run.name,
        "status": run.status,
        "created": run.created_at,
        "activity": ledger.get("activity"),
        "phase": own.get("phase"),
        "total": counts.total if counts else own.get("total"),
        "done": counts.done if counts else None,
        "failed": counts.failed if counts else None,
        "inFlight": sum(in_flight.values()) if isinstance(in_flight, dict) else None,
        "hasOutcome": run.ledger is None or "options" in run.ledger,
    }


def _own_words(run: MapRun) -> dict[str, Any]:
    return run.custom_status if isinstance(run.custom_status, dict) else {}


async def waits_view(hub: TaskHub, ids: list[str]) -> dict[str, dict[str, Any]]:
    """By id of an instance: {"sentence" of its explanation, "unclaimed": names of events that nothing waits for}."""
    views = {}
    for instance_id in ids:
        if (explanation := await hub.explain(instance_id, 0)) is not None:
            unclaimed = list(dict.fromkeys(event["name"] for event in explanation["unclaimed"]))
            views[instance_id] = {"sentence": explanation["sentence"], "unclaimed": unclaimed}
    return views


async def rewind_view(hub: TaskHub, ids: list[str]) -> dict[str, str]:
    """Why a rewind will not help, by id: of those instances for which that is so."""
    warnings = {instance_id: await hub.rewind_warning(instance_id) for instance_id in ids}
    return {instance_id: warning for instance_id, warning in warnings.items() if warning}


async def search_view(hub: TaskHub, text: str, limit: int) -> list[list[Any]]:
    return [listed_json(row) for row in await hub.search(text, limit)]
