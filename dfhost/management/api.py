"""The Durable Task extension's HTTP API: one request in, one response out, whatever happens.

Picks the handler from `routes`, once the request's task hub and storage connection are known to be ours. Free of
any web framework: `http/` mounts it. A path without a route is 404 without a body, whatever the method (recorded).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from dfhost.errors import IdTooLong
from dfhost.management.query import Query
from dfhost.management.request import ManagementRequest, RequestHandler
from dfhost.management.responses import (
    SOMETHING_WENT_WRONG,
    ManagementResponse,
    error_response,
    failure_response,
    json_response,
    message_response,
)
from dfhost.management.routes import ANY_METHOD, find_route, why_no_route
from dfhost.management.urls import RPC_PATH, WEBHOOKS_PATH, path_segments
from dfhost.task_hub import TaskHub

_METHODS = frozenset(ANY_METHOD.split())
_MAX_WARNINGS = 50  # sentences; nobody reads more


class ManagementApi:
    def __init__(self, hub: TaskHub, *, connection: str, note: Callable[[str], None]) -> None:
        """`connection`: the name of the storage connection in links. `note`: prints a sentence on the console."""
        self._hub = hub
        self._connection = connection
        self._note = note
        self._warnings: set[str] = set()

    @property
    def mounts(self) -> dict[str, RequestHandler]:
        """By path prefix: the public API, and its RPC twin for the SDK."""
        return {WEBHOOKS_PATH: self.handle, RPC_PATH: self.handle}

    async def handle(
        self, method: str, path: str, raw_query: str, headers: Mapping[str, str], body: bytes, origin: str
    ) -> ManagementResponse:
        """The response to one request; raises nothing.

        `path`: raw, below the mount's prefix. `headers`: a mapping that ignores case. `origin`: scheme and host
        as the client used them, ``http://localhost:7071``.
        """
        try:
            segments = path_segments(path)
            if not segments or method not in _METHODS:
                return ManagementResponse(404, why=why_no_route(segments))
            query = Query(raw_query)
            connection = (query.text("connection") or "").strip() or self._connection
            if connection is not self._connection and not self._has_connection(connection):
                return _unknown_connection(connection)
            hub_name = (query.text("taskHub") or "").strip() or self._hub.name
            if hub_name is not self._hub.name and hub_name.lower() != self._hub.name.lower():
                return self._in_another_hub(method, segments, hub_name)
            found = find_route(method, segments)
            if found is None:
                return ManagementResponse(404, why=why_no_route(segments))
            handler, values = found
            request = ManagementRequest(
                method, path, raw_query, query, headers, body, origin, hub_name, connection, self._warn
            )
            return await handler(self._hub, request, *values)
        except Exception as error:
            if isinstance(error, IdTooLong):  # its response does not say why
                self._warn(str(error))
            return error_response(error)

    def _warn(self, sentence: str) -> None:
        if sentence not in self._warnings and len(self._warnings) < _MAX_WARNINGS:
            self._warnings.add(sentence)
            self._note(sentence)

    def _has_connection(self, name: str) -> bool:
        """Whether `name` is the app's own connection, or one that its settings hold."""
        wanted = name.lower()
        if wanted == self._connection.lower():
            return True
        names = (wanted, f"azurewebjobs{wanted}")
        return any(key.lower().split("__", 1)[0] in names for key in os.environ)

    def _in_another_hub(self, method: str, segments: list[str], hub_name: str) -> ManagementResponse:
        """Another task hub is empty here: its lists have no entries, and its instances are not found."""
        kind = segments[0].lower()
        if method == "GET" and kind in ("instances", "entities") and len(segments) == 1:
            return json_response(200, "[]")
        if method == "POST" and kind in ("orchestrators", "entities"):
            return message_response(
                404, f"This host runs the task hub '{self._hub.name}' only; there is no '{hub_name}' here."
            )
        return ManagementResponse(404)


def _unknown_connection(name: str) -> ManagementResponse:
    sentence = f"Unable to resolve the Azure Storage connection named '{name}'."
    return failure_response(500, SOMETHING_WENT_WRONG, sentence, "System.InvalidOperationException")
