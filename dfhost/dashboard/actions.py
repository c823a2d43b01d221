"""What the page's buttons do: one action on one or many instances, on an entity, or on a storage queue."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from dfhost.errors import HostError, InstanceNotFound
from dfhost.parse_json import parse_json
from dfhost.task_hub import TaskHub
from dfhost.triggers.queues import Queues, queue_name

_AT_ONCE = 200  # instances; their writes share commits
_SHOWN_REFUSALS = 50


class BadAction(Exception):
    """`str()` says what is wrong with the request."""


async def act(hub: TaskHub, queues: Queues, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Do it and report, ready for JSON. Raises BadAction.

    {"action": "terminate|suspend|resume|rewind|purge|restart", "ids": [...], "reason"?}
    {"action": "raise", "ids": [...], "event", "data"?: JSON text}
    -> {"done": how many, "refused": [{"id", "why"}], "started": [ids that are new]}
    {"action": "start", "name", "input"?: JSON text, "id"?}             -> {"started": [id], ...}
    {"action": "signal", "entity", "key", "operation", "input"?: JSON text}
    {"action": "put", "queue", "message"}
    {"action": "move", "queue", "to"}                                   -> {"done": how many messages, ...}
    {"action": "clear", "queue"}                                        likewise
    """
    action = asked.get("action")
    if action == "start":
        name, instance_id = _text(asked, "name"), asked.get("id") or None
        return await _report([name], lambda _: hub.start(name, _sdk_input(asked), instance_id))
    if action == "signal":
        entity, key, operation = (_text(asked, field) for field in ("entity", "key", "operation"))
        input = _sdk_input(asked)
        return await _report(
            [f"@{entity}@{key}"], lambda _: hub.signal_entity(entity.lower(), key, operation, input)
        )
    if action in ("put", "move", "clear"):
        return await _change_queue(queues, action, asked)
    ids = asked.get("ids")
    if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids):
        raise BadAction("'ids' must be a list of instance ids.")
    if action == "raise":
        event, data = _text(asked, "event"), _json_text(asked, "data") or "null"
        return await _report(ids, lambda instance_id: hub.raise_event(instance_id, event, data))
    reason = asked.get("reason") or None
    if reason is not None and not isinstance(reason, str):
        raise BadAction("'reason' must be a string.")
    verbs: dict[Any, Callable[[str], Awaitable[Any]]] = {
        "terminate": lambda instance_id: hub.terminate(instance_id, reason),
        "suspend": lambda instance_id: hub.suspend(instance_id, reason),
        "resume": lambda instance_id: hub.resume(instance_id, reason),
        "rewind": lambda instance_id: hub.rewind(instance_id, reason),
        "purge": lambda instance_id: _purge(hub, instance_id),
        "restart": hub.restart,
    }
    if action not in verbs:
        raise BadAction(f"There is no action {action!r}.")
    return await _report(ids, verbs[action])


async def _report(ids: list[str], verb: Callable[[str], Awaitable[Any]]) -> dict[str, Any]:
    refused: list[dict[str, str]] = []
    started: list[str] = []
    for start in range(0, len(ids), _AT_ONCE):
        portion = ids[start : start + _AT_ONCE]
        outcomes = await asyncio.gather(*map(verb, portion), return_exceptions=True)
        for instance_id, outcome in zip(portion, outcomes, strict=True):
            if isinstance(outcome, HostError):
                refused.append({"id": instance_id, "why": str(outcome)})
            elif isinstance(outcome, BaseException):
                raise outcome
            elif isinstance(outcome, str):
                started.append(outcome)
    return {"done": len(ids) - len(refused), "refused": refused[:_SHOWN_REFUSALS], "started": started}


async def _change_queue(queues: Queues, action: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What functions work on is neither moved nor deleted."""
    queue, done, refused = _text(asked, "queue"), 0, []
    try:
        if action == "put":
            await queues.put(queue, [_text(asked, "message")])
            done = 1
        elif action == "move":
            done = await queues.move(queue_name(queue), queue_name(_text(asked, "to")))
        else:
            done = await queues.clear(queue_name(queue))
    except HostError as error:
        refused = [{"id": queue, "why": str(error)}]
    return {"done": done, "refused": refused, "started": []}


async def _purge(hub: TaskHub, instance_id: str) -> None:
    if not await hub.purge(instance_id):
        raise InstanceNotFound(instance_id)


def _text(asked: Mapping[str, Any], field: str) -> str:
    value = asked.get(field)
    if not isinstance(value, str) or (not value.strip() and field != "key"):
        raise BadAction(f"'{field}' is missing.")
    return value


def _json_text(asked: Mapping[str, Any], field: str) -> str | None:
    """The field's JSON text; None if it is empty."""
    value = asked.get(field)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if not isinstance(value, str):
        raise BadAction(f"'{field}' must be JSON in a string.")
    try:
        return json.dumps(parse_json(value), ensure_ascii=False, separators=(",", ":"))
    except ValueError as error:
        raise BadAction(f"The {field} is not JSON: {error}. A text needs quotes.") from None


def _sdk_input(asked: Mapping[str, Any]) -> str | None:
    """The input as the SDK's client sends it: its JSON text in a JSON string. `get_input` reads no other lists."""
    text = _json_text(asked, "input")
    return None if text is None else json.dumps(text)
