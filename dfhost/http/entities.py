"""entities/…: read one, list them, signal one.

As `instances`, for the entity routes of the extension's HTTP API. Names are lower-cased at this door, as there.
"""

from __future__ import annotations

import re

from dfhost.http import jsontext, payloads
from dfhost.http.answers import Answer, Refused, json_answer, message
from dfhost.http.notjson import NotJson
from dfhost.http.pages import page
from dfhost.http.requests import Request
from dfhost.hub import TaskHub

_EMPTY_KEY = "$"  # stands for the empty key when an entity is read
_FORBIDDEN = re.compile(r"[/\\#?\x00-\x1f\x7f-\x9f]")


class Entities:
    def __init__(self, hub: TaskHub) -> None:
        self._hub = hub

    def read(self, name: str, key: str) -> Answer:
        """The state as JSON. A destroyed entity reads as null, one that never stored a state as 404 (recorded)."""
        entity = self._hub.entity(name.lower(), "" if key == _EMPTY_KEY else key)
        if entity is None or entity.state is None:
            return Answer(404)
        return json_answer(200, jsontext.embedded(entity.state))

    def list(self, request: Request, name: str | None) -> Answer:
        query = request.query
        wanted = name.lower() if name is not None else None
        since, until = query.moment("lastOperationTimeFrom"), query.moment("lastOperationTimeTo")
        show_state = query.flag("fetchState", False)
        return page(
            query,
            request.headers,
            rows=lambda limit, after: self._hub.entities(wanted, since, until, limit, after),
            id_of=lambda entity: f"@{entity.name}@{entity.key}",
            text_of=lambda entity: payloads.entity(entity, show_state=show_state),
        )

    async def signal(self, request: Request, name: str, key: str) -> Answer:
        """POST: operation `op`, its input the JSON body, or the body as a string if it is not sent as JSON.

        DELETE: the operation called "delete".
        """
        operation = "delete" if request.method == "DELETE" else request.query.text("op") or ""
        operation_input = None
        if request.body and request.media_type == "application/json":
            try:
                operation_input = request.json()
            except NotJson as error:
                raise Refused(message(400, f"Could not parse JSON content: {error}")) from None
        elif request.body:
            operation_input = jsontext.encode(request.text())
        if _FORBIDDEN.search(key):
            sentence = "Entity keys must not contain /, \\, #, ?, or control characters."
            raise Refused(message(400, sentence))
        await self._hub.signal_entity(name.lower(), key, operation, operation_input)
        return Answer(202)
