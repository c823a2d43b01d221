"""``/admin``: the host's state, the app's functions, and a way to run one by hand.

Routes and shapes are the Functions host's, as far as a developer's machine needs them. As with Core Tools, no
keys are needed.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from dfhost.app.functions import App, Function
from dfhost.app.http_messages import HttpReply
from dfhost.app.invoke import invoke_function
from dfhost.app.threads import UserThreads
from dfhost.app.trigger_data import trigger_data
from dfhost.host_log import HostLog
from dfhost.http.function_routes import RouteTable
from dfhost.management.request import RequestHandler
from dfhost.management.urls import WEBHOOKS_PATH

_NOT_FOUND = HttpReply(404, [])


class Admin:
    def __init__(
        self,
        app: App,
        routes: RouteTable[Function],
        threads: UserThreads,
        log: HostLog,
        management: RequestHandler | None,
    ) -> None:
        """`management` starts orchestrators, as it does for any client."""
        self._app = app
        self._urls = {route.name: f"/{route.template}" for route in routes.routes}
        self._threads = threads
        self._log = log
        self._management = management
        self._started = time.monotonic()
        self._calls: set[asyncio.Task[Any]] = set()

    async def handle(self, method: str, path: str, body: bytes, origin: str) -> HttpReply:
        """`path`: decoded, what follows ``/admin/``; its case does not count."""
        match method, *path.lower().rstrip("/").split("/"):
            case "GET", "host", "status":
                return _json(200, self._status())
            case "GET" | "POST", "host", "ping":
                return HttpReply(200, [])
            case "GET", "functions":
                return _json(200, [self._described(function, origin) for function in self._app.functions])
            case "GET", "functions", name if function := self._app.get(name):
                return _json(200, self._described(function, origin))
            case "POST", "functions", name if function := self._app.get(name):
                return await self._run(function, body, origin)
        return _NOT_FOUND

    def _status(self) -> dict[str, Any]:
        version = _version()
        return {
            "id": self._app.root.name,
            "state": "Running",
            "version": version,
            "versionDetails": f"dfhost {version}",
            "processUptime": round((time.monotonic() - self._started) * 1000),
            "errors": [],
        }

    def _described(self, function: Function, origin: str) -> dict[str, Any]:
        url = self._urls.get(function.name)
        return {
            "name": function.name,
            "href": f"{origin}/admin/functions/{function.name}",
            "invoke_url_template": origin + url if url else None,
            "language": "python",
            "config": {"bindings": [dict(function.trigger), *map(dict, function.bindings)]},
            "isDisabled": False,
        }

    # -- running by hand -------------------------------------------------------------------------------------
    async def _run(self, function: Function, body: bytes, origin: str) -> HttpReply:
        """202 once the call has started. The console shows how it ends, as with Core Tools."""
        try:
            text = _input_text(body)
        except ValueError as error:
            return _refusal(str(error))
        if function.kind == "http":
            return _refusal(
                f"'{function.name}' is an HTTP function; call {origin}{self._urls[function.name]}."
            )
        if function.kind == "orchestration":
            return await self._start(function, text, origin)
        if function.kind == "entity":
            return _refusal(
                f"'{function.name}' is an entity function; signal one of its entities by "
                f"POST {origin}{WEBHOOKS_PATH}/entities/{function.durable_name}/KEY?op=OPERATION."
            )
        try:
            data, metadata = trigger_data(function, text)
        except ValueError as error:
            return _refusal(f"'{function.name}' cannot be run: {error}.")
        call = asyncio.create_task(
            invoke_function(function, data, self._threads, self._log, metadata=metadata)
        )
        self._calls.add(call)  # the loop itself keeps only weak references
        call.add_done_callback(self._calls.discard)
        return HttpReply(202, [])

    async def _start(self, function: Function, text: str, origin: str) -> HttpReply:
        """Start an orchestrator; JSON is its input as it is, any other text as a string."""
        if self._management is None:
            return _refusal("There is no task hub here to start an orchestrator in.")
        try:
            json.loads(text)
        except ValueError:
            text = json.dumps(text) if text else ""
        path = f"orchestrators/{function.durable_name}"
        headers = {"Content-Type": "application/json"}
        response = await self._management("POST", path, "", headers, text.encode(), origin)
        return HttpReply(response.status, list(response.headers.items()), response.body)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # not needed to start

    try:
        return version("dfhost")
    except PackageNotFoundError:  # run from a checkout that was not installed
        return "0"


def _input_text(body: bytes) -> str:
    """The text in ``{"input": …}``: a string as it is, any other value as its JSON.

    Raises ValueError with a sentence.
    """
    expected = 'The body must be a JSON object such as {"input": "text"}.'
    try:
        value = json.loads(body)
    except ValueError as error:  # UnicodeDecodeError is one
        raise ValueError(f"{expected} It is not JSON: {error}.") from None
    if not isinstance(value, dict) or set(map(str.lower, value)) - {"input"}:
        raise ValueError(expected)
    given = next(iter(value.values()), None)
    if given is None:
        return ""
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)


def _json(status: int, value: Any) -> HttpReply:
    headers = [("Content-Type", "application/json; charset=utf-8")]
    return HttpReply(status, headers, json.dumps(value, ensure_ascii=False).encode())


def _refusal(sentence: str) -> HttpReply:
    return _json(400, {"Message": sentence})
