"""`/admin` and the page at `/`: what runs here, and a way to run a function by hand.

The routes and shapes of the Functions host, as far as a developer's machine has a use for them. No keys are
asked for, as with Core Tools.
"""

from __future__ import annotations

import asyncio
import html
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from dfhost.app.functions import App, Function
from dfhost.app.http_messages import HttpReply
from dfhost.app.invoke import invoke_function
from dfhost.app.threads import UserThreads
from dfhost.app.trigger_data import trigger_data
from dfhost.host_log import HostLog
from dfhost.http.routes import RouteTable
from dfhost.management.urls import WEBHOOKS_PATH

_JSON = ("Content-Type", "application/json; charset=utf-8")


class Admin:
    """`mount_of(path)`: the mount that serves a path, to start orchestrators through the management API."""

    def __init__(
        self,
        app: App,
        routes: RouteTable[Function],
        threads: UserThreads,
        log: HostLog,
        mount_of: Callable[[str], tuple[int, Callable[..., Awaitable[Any]]] | None],
    ) -> None:
        self._app = app
        self._urls = {route.name: f"/{route.template}" for route in routes.routes}
        self._methods = {route.name: sorted(route.methods) for route in routes.routes}
        self._threads = threads
        self._log = log
        self._mount_of = mount_of
        self._started = time.monotonic()
        self._calls: set[asyncio.Task[Any]] = set()

    async def handle(self, method: str, path: str, body: bytes, origin: str) -> HttpReply:
        """`path`: decoded, what follows ``/admin/``."""
        parts = path.rstrip("/").split("/")
        area, rest = parts[0].lower(), parts[1:]
        if area == "host" and len(rest) == 1:
            if rest[0].lower() == "status" and method == "GET":
                return _json(200, self._status())
            if rest[0].lower() == "ping" and method in ("GET", "POST"):
                return HttpReply(200, [])
        if area == "functions" and len(rest) <= 1:
            if not rest and method == "GET":
                return _json(200, [self._described(function, origin) for function in self._app.functions])
            function = self._app.get(rest[0]) if rest else None
            if function is not None and method == "GET":
                return _json(200, self._described(function, origin))
            if function is not None and method == "POST":
                return await self._run(function, body, origin)
        return HttpReply(404, [])

    def home(self, origin: str) -> HttpReply:
        """What runs here, on one short page: what a browser can open as links, the rest as commands and names."""
        sections = {
            "HTTP": [self._door(function, origin) for function in self._app.http_functions],
            "Orchestrators": _names(self._app.orchestrators.names),
            "Activities": _names(self._app.activities.names),
            "Entities": _names(self._app.entities.names),
            "Timers": _names(f"{each.name} ({each.trigger.get('schedule')})" for each in self._app.timers),
            "Other triggers, not polled": _names(f"{each.name} ({each.kind})" for each in self._app.others),
        }
        lists = "".join(
            f"<h2>{title}</h2><ul><li>{'<li>'.join(rows)}</ul>" for title, rows in sections.items() if rows
        )
        page = (
            "<!doctype html><meta charset=utf-8><title>dfhost</title>"
            f"<h1>{html.escape(self._app.root.name)}</h1>"
            "<p>This function app runs on dfhost, the local durable host for Python.</p>"
            f'{lists}<p><a href="{WEBHOOKS_PATH}/instances">Instances</a> · '
            '<a href="/admin/host/status">Status</a></p>\n'
        )
        return HttpReply(200, [("Content-Type", "text/html; charset=utf-8")], page.encode())

    def _door(self, function: Function, origin: str) -> str:
        methods, url = self._methods[function.name], self._urls[function.name]
        address, name = html.escape(origin + url), html.escape(function.name)
        if methods and "GET" not in methods:
            return f"<code>curl -X {methods[0]} '{address}'</code> {name}"
        if "{" in url:
            return f"<code>{address}</code> {name}"
        return f'<code><a href="{html.escape(url)}">{address}</a></code> {name}'

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
        """202 once the call has begun; what becomes of it stands on the console, as with Core Tools."""
        try:
            text = _input_of(body)
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
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        return HttpReply(202, [])

    async def _start(self, function: Function, text: str, origin: str) -> HttpReply:
        """An orchestrator is started as through the management API; JSON input is passed as it is."""
        try:
            json.loads(text)
        except ValueError:
            text = json.dumps(text) if text else ""
        path = f"{WEBHOOKS_PATH}/orchestrators/{function.durable_name}"
        mount = self._mount_of(path)
        if mount is None:
            return _refusal("there is no task hub here to start an orchestrator in.")
        headers: Mapping[str, str] = {"Content-Type": "application/json"}
        answer = await mount[1]("POST", path[mount[0] :], "", headers, text.encode(), origin)
        return HttpReply(answer.status, list(answer.headers.items()), answer.body)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # not needed to start

    try:
        return version("dfhost")
    except PackageNotFoundError:  # run from a checkout that was not installed
        return "0"


def _input_of(body: bytes) -> str:
    """The text in ``{"input": …}``: a string as it is, anything else as its JSON; ValueError with a sentence."""
    wanted = 'The body must be a JSON object such as {"input": "text"}.'
    try:
        value = json.loads(body)
    except ValueError as error:  # UnicodeDecodeError is one
        raise ValueError(f"{wanted} It is not JSON: {error}.") from None
    if not isinstance(value, dict) or set(map(str.lower, value)) - {"input"}:
        raise ValueError(wanted)
    given = next(iter(value.values()), None)
    if given is None:
        return ""
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)


def _json(status: int, value: Any) -> HttpReply:
    return HttpReply(status, [_JSON], json.dumps(value, ensure_ascii=False).encode())


def _refusal(sentence: str) -> HttpReply:
    return _json(400, {"Message": sentence})


def _names(names: Iterable[str]) -> list[str]:
    return [html.escape(name) for name in names]
