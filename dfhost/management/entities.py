"""The handlers of ``entities/…``: read an entity's state, list entities, signal one.

As in the extension, an entity's name is lower-cased here, and its key is not.
"""

from __future__ import annotations

import re

from dfhost.management import json_text, status_json
from dfhost.management.json_errors import InvalidJson
from dfhost.management.off_loop import off_loop
from dfhost.management.paging import page_response
from dfhost.management.request import ManagementRequest
from dfhost.management.responses import ManagementResponse, RequestRefused, json_response, message_response
from dfhost.task_hub import TaskHub

_EMPTY_KEY = "$"  # stands for the empty key where an entity is read
_FORBIDDEN = re.compile(r"[/\\#?\x00-\x1f\x7f-\x9f]")


async def get_state(hub: TaskHub, request: ManagementRequest, name: str, key: str) -> ManagementResponse:
    """The state as JSON. A deleted entity reads as null; one that never stored a state is 404 (recorded)."""
    entity = hub.entity(name.lower(), "" if key == _EMPTY_KEY else key)
    if entity is None or entity.state is None:
        return ManagementResponse(404)
    state = entity.state or ""
    return await off_loop(len(state), lambda: json_response(200, json_text.embedded(entity.state)))


async def list_entities(
    hub: TaskHub, request: ManagementRequest, name: str | None = None
) -> ManagementResponse:
    query = request.query
    wanted = name.lower() if name is not None else None
    since, until = query.date_time("lastOperationTimeFrom"), query.date_time("lastOperationTimeTo")
    show_state = query.flag("fetchState", False)
    return await page_response(
        query,
        request.headers,
        rows=lambda limit, after: hub.entities(wanted, since, until, limit, after),
        id_of=lambda entity: f"@{entity.name}@{entity.key}",
        size_of=lambda entity: len(entity.state or ""),
        text_of=lambda entity: status_json.entity(entity, show_state=show_state),
    )


async def signal(
    hub: TaskHub, request: ManagementRequest, name: str = "", key: str = ""
) -> ManagementResponse:
    """POST: operation `op`; its input is the JSON body, or the body as a string if it is not sent as JSON.

    DELETE: the operation called "delete".
    """
    if not name:
        sentence = "Invalid entity id: entity name must not be a null or empty string."
        raise RequestRefused(message_response(400, f"{sentence} (Parameter 'entityName')"))
    operation = "delete" if request.method == "DELETE" else request.query.text("op") or ""
    operation_input = None
    if request.body and request.media_type == "application/json":
        try:
            operation_input = await request.json()
        except InvalidJson as error:
            raise RequestRefused(message_response(400, f"Could not parse JSON content: {error}")) from None
    elif request.body:
        operation_input = json_text.encode(request.text())
    if _FORBIDDEN.search(key):
        sentence = "Entity keys must not contain /, \\, #, ?, or control characters."
        raise RequestRefused(message_response(400, sentence))
    await hub.signal_entity(name.lower(), key, operation, operation_input)
    return ManagementResponse(202)
