"""``/admin/queues``: the app's storage queues. A real host has nothing like it: there the storage account has them.

    GET     /admin/queues            all queues that hold messages, or from which functions take them
    GET     /admin/queues/NAME       its oldest messages; ``?top=`` says how many (100)
    POST    /admin/queues/NAME       ``{"message": "TEXT"}`` puts a message, ``{"messages": [...]}`` several
    POST    /admin/queues/NAME/move  ``{"to": "NAME"}`` moves its messages to another queue, as new ones
    DELETE  /admin/queues/NAME       deletes its messages

Messages that functions work on are neither moved nor deleted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from dfhost.errors import HostError
from dfhost.management.json_text import encode
from dfhost.management.query import Query
from dfhost.management.responses import ManagementResponse, json_response, message_response
from dfhost.parse_json import parse_json
from dfhost.triggers.queue_triggers import QueueTriggers
from dfhost.triggers.queues import QueueRefused, Queues, queue_name

QUEUES_PATH = "/admin/queues"
_EXPECTED_TARGET = 'The body must be a JSON object such as {"to": "orders"}.'
_EXPECTED = 'The body must be a JSON object such as {"message": "text"} or {"messages": ["a", "b"]}.'
_TOP = 100  # messages in an answer, unless asked otherwise


class QueueRequests:
    def __init__(self, queues: Queues, triggers: QueueTriggers) -> None:
        self._queues = queues
        self._triggers = triggers

    async def handle(
        self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, origin: str
    ) -> ManagementResponse:
        """A `RequestHandler`; raises nothing."""
        # Decoded once, unlike those of the management API: a name may be a %Setting%.
        segments = [unquote(each) for each in path.strip("/").split("/")] if path.strip("/") else []
        try:
            match method, *segments:
                case ("GET",):
                    return _json(200, [each._asdict() for each in self._triggers.states()])
                case "GET", name:
                    return _json(200, self._one(queue_name(name), _top(query)))
                case "POST", name:
                    texts = _texts(body)
                    await self._queues.put(name, texts)
                    return _json(201, {"queue": queue_name(name), "put": len(texts)})
                case "POST", name, "move":
                    queue, to = queue_name(name), queue_name(_target(body))
                    return _json(200, {"queue": queue, "to": to, "moved": await self._queues.move(queue, to)})
                case "DELETE", name:
                    return _json(
                        200,
                        {"queue": queue_name(name), "deleted": await self._queues.clear(queue_name(name))},
                    )
        except (QueueRefused, ValueError) as error:
            return message_response(400, str(error))
        except HostError as error:
            return message_response(500, str(error))
        return ManagementResponse(404, why="there is no such path, or it takes another method")

    def _one(self, name: str, top: int) -> dict[str, Any]:
        messages = [
            {
                "id": each.message_id,
                "message": each.text,
                "dequeueCount": each.dequeue_count,
                "insertedAt": each.inserted_at,
                "visibleAt": each.visible_at,
                "running": bool(each.is_taken),
            }
            for each in self._queues.messages(name, top)
        ]
        length = next((each.messages for each in self._queues.lengths() if each.queue == name), 0)
        functions = self._triggers.functions_of(name)
        return {"name": name, "functions": functions, "length": length, "messages": messages}


def _top(query: str) -> int:
    """How many messages to show. Raises ValueError with a sentence."""
    if (top := Query(query).number("top", _TOP)) < 0:
        raise ValueError("The number in ?top= must not be negative.")
    return top


def _texts(body: bytes) -> list[str]:
    """The messages to put. What is not a string is put as JSON. Raises ValueError with a sentence."""
    match _object(body, _EXPECTED):
        case {"message": given, **others} if not others:
            messages = [given]
        case {"messages": [*messages], **others} if not others:
            pass
        case _:
            raise ValueError(_EXPECTED)
    return [each if isinstance(each, str) else json.dumps(each, ensure_ascii=False) for each in messages]


def _target(body: bytes) -> str:
    """The queue to move to. Raises ValueError with a sentence."""
    match _object(body, _EXPECTED_TARGET):
        case {"to": str(name)}:
            return name
    raise ValueError(_EXPECTED_TARGET)


def _object(body: bytes, expected: str) -> Any:
    try:
        return parse_json(body.decode())
    except ValueError as error:  # UnicodeDecodeError is one
        raise ValueError(f"{expected} It is not JSON: {error}.") from None


def _json(status: int, value: Any) -> ManagementResponse:
    return json_response(status, encode(value))
