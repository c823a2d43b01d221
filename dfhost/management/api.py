"""The extension's HTTP API: the public one under /runtime/webhooks/durabletask, and its RPC twin for the SDK.

Routes a request to its verb in `instances` or `entities`, and whatever is raised there to its answer. Free of
any web framework: `http/server.py` mounts it. The literals of a route ignore case, a slash at the end does not
count, and what has no route is 404 without a body, whatever the method (recorded).
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from dfhost.management.entities import EntityHandlers
from dfhost.management.instances import InstanceHandlers
from dfhost.management.query import Query, segments
from dfhost.management.request import ManagementRequest
from dfhost.management.responses import (
    SOMETHING_WENT_WRONG,
    ManagementResponse,
    RequestRefused,
    error_response,
    failure_response,
    json_response,
    message_response,
)
from dfhost.task_hub import TaskHub

__all__ = ["ManagementApi", "ManagementResponse"]

BASE_PATH = "/runtime/webhooks/durabletask"

_NOT_FOUND = ManagementResponse(404)
_METHODS = frozenset(("GET", "PUT", "POST", "DELETE", "OPTIONS"))  # what the Functions host lets through


class ManagementApi:
    def __init__(self, hub: TaskHub, *, connection: str, base_path: str = BASE_PATH) -> None:
        """`connection`: the name of the storage connection in links; `base_path`: where links point to."""
        self._hub = hub
        self._connection = connection
        self._instances = InstanceHandlers(hub, base_path)
        self._entities = EntityHandlers(hub)
        self._on_instance = {
            "terminate": self._instances.terminate,
            "suspend": self._instances.suspend,
            "resume": self._instances.resume,
            "rewind": self._instances.rewind,
            "restart": self._instances.restart,
        }

    async def handle(
        self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, origin: str
    ) -> ManagementResponse:
        """The answer to one request; raises nothing.

        `path`: raw, what follows the mount's prefix; `query`: raw; `headers`: a mapping that ignores case;
        `origin`: scheme and host as the client used them, ``http://localhost:7071``.
        """
        try:
            route = segments(path)
            if not route or method not in _METHODS:
                return _NOT_FOUND
            asked = Query(query)
            hub = (asked.text("taskHub") or "").strip() or self._hub.name
            connection = (asked.text("connection") or "").strip() or self._connection
            request = ManagementRequest(method, path, query, asked, headers, body, origin, hub, connection)
            if connection is not self._connection and not self._connects(connection):
                return _no_connection(connection)
            if hub is not self._hub.name and hub.lower() != self._hub.name.lower():
                return self._in_another_hub(request, route)
            return await self._routed(request, route)
        except Exception as error:
            return error_response(error)

    async def _routed(self, request: ManagementRequest, route: list[str]) -> ManagementResponse:
        kind, *rest = route
        kind = kind.lower()
        if kind == "instances" and len(rest) <= 3:
            return await self._instance_route(request, rest)
        if kind == "orchestrators" and 1 <= len(rest) <= 2 and request.method == "POST":
            return await self._instances.start(request, rest[0], rest[1] if len(rest) == 2 else None)
        if kind == "entities" and len(rest) <= 2:
            return await self._entity_route(request, rest)
        if kind == "makeprimary" and not rest:
            return ManagementResponse(200)  # there is one host, and it has the lease
        return _NOT_FOUND

    async def _instance_route(self, request: ManagementRequest, rest: list[str]) -> ManagementResponse:
        """instances[/{id}[/{verb}]] and instances/{id}/raiseEvent/{name}."""
        method = request.method
        if not rest:
            if method == "GET":
                return self._instances.list(request)
            return await self._instances.purge_many(request) if method == "DELETE" else _NOT_FOUND
        if len(rest) == 1:
            if method == "GET":
                return await self._instances.status(request, rest[0])
            return await self._instances.purge(request, rest[0]) if method == "DELETE" else _NOT_FOUND
        if method != "POST":
            return _NOT_FOUND
        verb = rest[1].lower()
        if len(rest) == 2 and verb in self._on_instance:
            return await self._on_instance[verb](request, rest[0])
        if len(rest) == 3 and verb == "raiseevent":
            return await self._instances.raise_event(request, rest[0], rest[2])
        return _NOT_FOUND

    async def _entity_route(self, request: ManagementRequest, rest: list[str]) -> ManagementResponse:
        """entities[/{name}[/{key}]]."""
        if request.method == "GET":
            if len(rest) == 2:
                return self._entities.read(*rest)
            return self._entities.list(request, rest[0] if rest else None)
        if request.method not in ("POST", "DELETE"):
            return _NOT_FOUND
        if not rest:
            sentence = "Invalid entity id: entity name must not be a null or empty string."
            raise RequestRefused(message_response(400, f"{sentence} (Parameter 'entityName')"))
        return await self._entities.signal(request, rest[0], rest[1] if len(rest) == 2 else "")

    def _connects(self, name: str) -> bool:
        """Whether the app has a connection called `name`: ours, or one that its settings hold."""
        wanted = name.lower()
        if wanted == self._connection.lower():
            return True
        names = (wanted, f"azurewebjobs{wanted}")
        return any(key.lower().split("__", 1)[0] in names for key in os.environ)

    def _in_another_hub(self, request: ManagementRequest, route: list[str]) -> ManagementResponse:
        """Another task hub holds nothing here: its lists are empty, its instances are not found."""
        if request.method == "GET" and route[0].lower() in ("instances", "entities") and len(route) == 1:
            return json_response(200, "[]", x_ms_continuation_token="")
        if request.method == "POST" and route[0].lower() in ("orchestrators", "entities"):
            return message_response(
                404, f"This host runs the task hub '{self._hub.name}' only; there is no '{request.hub}' here."
            )
        return _NOT_FOUND


def _no_connection(name: str) -> ManagementResponse:
    sentence = f"Unable to resolve the Azure Storage connection named '{name}'."
    return failure_response(500, SOMETHING_WENT_WRONG, sentence, "System.InvalidOperationException")
