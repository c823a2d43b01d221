"""The function app's own front door: its HTTP functions, `/admin`, and whatever is mounted beside them.

One aiohttp server with one handler: a request goes to the mount, the admin page or the route that its path
names; everything after that is a plain function of values. It runs no user code itself (`app.run` does, on
the users' threads), and never sees the worker: what touches the task hub comes in as a `Mount`.

The SDK's RPC twin is a mount on this same port, under ``/durabletask/``. The real extension opens a port of
its own for it; here one listener is one less port to collide with, and the twin can do nothing that the
public API, which asks for no key on a developer's machine, could not.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

from aiohttp import web
from multidict import CIMultiDict

from dfhost.app.bindings import http_streaming_enabled
from dfhost.app.functions import App, Function, InvocationResult
from dfhost.app.http_messages import HttpReply, http_reply, request_datum
from dfhost.app.http_streaming import StreamingWebApp, run_on_loop
from dfhost.app.invocation import Invocation
from dfhost.app.invoke import invoke_function
from dfhost.app.threads import UserThreads
from dfhost.engine.failures import Failure
from dfhost.errors import AppError, HostError, PortInUse
from dfhost.host_log import HostLog
from dfhost.http.admin import Admin
from dfhost.http.cors import Cors
from dfhost.http.route_templates import InvalidRouteTemplate
from dfhost.http.routes import RouteTable, decode_path
from dfhost.http.streams import StreamedExchange
from dfhost.management.responses import sentence_in

_log = logging.getLogger("dfhost.http")
_REFUSALS = 50  # requests that are told of
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110: what a header may be called


class MountResponse(Protocol):
    """What a mount answers."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> bytes: ...


# (method, raw path behind the prefix, raw query, headers that ignore case, body, origin as the client used it)
Mount = Callable[[str, str, str, Mapping[str, str], bytes, str], Coroutine[Any, Any, MountResponse]]


class Server:
    """Serves `app` on `host`:`port`; port 0 takes any free one, told by `port` after `start`.

    `mounts`: by path prefix, without a slash at its end. `cors`: origins, ``("*",)`` for all. `timeout`: of
    one HTTP function in seconds. Raises AppError if a route is none, at construction already.
    """

    def __init__(
        self,
        app: App,
        threads: UserThreads,
        log: HostLog,
        host: str = "127.0.0.1",
        port: int = 7071,
        *,
        route_prefix: str = "api",
        mounts: Mapping[str, Mount] | None = None,
        cors: Sequence[str] = (),
        cors_credentials: bool = False,
        timeout: float | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.routes = _routes(app, route_prefix)
        self._threads = threads
        self._log = log
        self._mounts: list[tuple[str, Mount]] = []
        self._cors = Cors(cors, cors_credentials) if cors else None
        self._timeout = timeout
        self._web = StreamingWebApp(threads, log) if http_streaming_enabled() else None
        self._admin = Admin(app, self.routes, threads, log, self._mount_of)
        self._runner: web.ServerRunner | None = None
        self._draining = False
        self._running = 0
        self._idle = asyncio.Event()
        self._told_of_chunks: set[str] = set()
        self._refused: set[tuple[str, str]] = set()
        for prefix, mount in (mounts or {}).items():
            self.mount(prefix, mount)

    def mount(self, prefix: str, mount: Mount) -> None:
        """Requests below `prefix` (case does not count) go to `mount`, before any route of the app."""
        self._mounts.append((prefix.rstrip("/").lower() + "/", mount))

    @property
    def notes(self) -> list[str]:
        """Sentences about routes that no request can reach."""
        return [
            f"{shadowed.name}: /{shadowed.template} is never reached, {first.name} takes its requests with "
            f"/{first.template}: the Functions host tries functions in the order of their names."
            for shadowed, first in self.routes.shadowed()
        ]

    async def start(self) -> None:
        """Listen. PortInUse, or HostError for an address that cannot be had."""
        server = web.Server(
            self._handle,
            request_factory=_unlimited_request,
            access_log=None,
            auto_decompress=False,  # the function gets the bytes as they were sent
            # Kestrel takes 32 KB of headers; aiohttp's 8 KB a field would refuse tokens that pass on Azure.
            max_line_size=16_384,
            max_field_size=32_768,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self.host, self.port).start()
        except OSError as error:
            await self._runner.cleanup()
            self._runner = None
            raise _cannot_listen(self.host, self.port, error) from None
        self.port = self._runner.addresses[0][1]

    def refuse(self) -> None:
        """Take no new calls of the app's functions (503); management and what is under way go on."""
        self._draining = True

    async def stop(self, grace: float = 5.0) -> None:
        """Refuse new calls (503), let those under way end within `grace` seconds, then close."""
        self.refuse()
        if self._running and grace > 0:
            self._idle.clear()
            try:
                # Functions under way still need the RPC twin, so the listener closes after them.
                await asyncio.wait_for(self._idle.wait(), grace)
            except asyncio.TimeoutError:
                pass
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # -- one request -----------------------------------------------------------------------------------------
    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            preflight = self._cors.preflight(request) if self._cors else None
            reply = preflight or await self._reply(request)
            if isinstance(reply, web.StreamResponse):
                return reply
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception:  # a defect of ours: the caller gets no traceback, the log does
            _log.exception("%s %s", request.method, request.path)
            reply = HttpReply(500, [])
        response = _response(reply)
        self._add_headers(request, response.headers)
        return response

    def _add_headers(self, request: web.BaseRequest, headers: CIMultiDict[str]) -> None:
        headers.setdefault("Server", "dfhost")
        if self._cors:
            self._cors.allow(request, headers)

    async def _reply(self, request: web.BaseRequest) -> HttpReply | web.StreamResponse:
        raw, _, query = _target(request).partition("?")
        if mount := self._mount_of(raw):
            prefix_length, handler = mount
            reply = await _mounted(request, handler, raw[prefix_length:], query)
            if reply.status == 400:
                self._tell_of_refusal(request, raw, 400, sentence_in(reply.body))
            return reply
        path = decode_path(raw)
        # /admin is the host's, whatever routes the app has (WebJobsRouter).
        if path.lower().startswith("/admin/"):
            body = await _body(request)
            return await self._admin.handle(request.method, path[7:], body, _origin(request))
        found = self.routes.find(request.method, path)
        if found is not None:
            if self._draining:
                return HttpReply(503, [("Retry-After", "5")])
            route, values = found
            self._running += 1
            try:
                if self._web:
                    return await self._stream(route.target, request, raw, query, values)
                return await self._call(route.target, request, raw, query, values)
            finally:
                self._running -= 1
                if not self._running:
                    self._idle.set()
        if path == "/" and request.method in ("GET", "HEAD"):
            return self._admin.home(_origin(request))
        self._tell_of_refusal(request, raw, 404, self.routes.why_not(request.method, path))
        return HttpReply(404, [])

    def _tell_of_refusal(self, request: web.BaseRequest, raw: str, status: int, why: str | None) -> None:
        """Once for each, of no more than somebody would read. A 404 itself says nothing, as on Azure."""
        refused = f"{request.method} {raw[:100]}"
        if why and (refused, why) not in self._refused and len(self._refused) < _REFUSALS:
            self._refused.add((refused, why))
            self._log.refused(refused, status, why)

    async def _call(
        self, function: Function, request: web.BaseRequest, raw: str, query: str, values: Mapping[str, str]
    ) -> HttpReply:
        body = await _body(request)
        headers = request.headers
        if body and "Content-Length" not in headers and function.name not in self._told_of_chunks:
            self._told_of_chunks.add(function.name)
            self._log.note(
                f"{function.name}: a request came without Content-Length (in chunks); on Azure the Functions "
                "host hands Python an empty body then."
            )
        url = f"{_origin(request)}{raw}" + (f"?{query}" if query else "")
        data = request_datum(request.method, url, headers.items(), query, values, body)
        outcome = await invoke_function(
            function,
            data,
            self._threads,
            self._log,
            invocation=_invocation(function, headers),
            timeout=self._timeout,
        )
        return self._checked(function, outcome)

    async def _stream(
        self, function: Function, request: web.BaseRequest, raw: str, query: str, values: Mapping[str, str]
    ) -> HttpReply | web.StreamResponse:
        assert self._web is not None
        home = asyncio.get_running_loop()
        exchange = StreamedExchange(
            request, raw, decode_path(raw), query, lambda headers: self._add_headers(request, headers)
        )
        await _go_on(request)
        try:
            await self._web.call(
                function,
                values,
                _invocation(function, request.headers),
                exchange.scope,
                run_on_loop(home, exchange.receive),
                run_on_loop(home, exchange.send),
            )
        finally:
            exchange.end()
        if exchange.response is None:
            return HttpReply(500, [])
        if not exchange.complete:
            raise ConnectionResetError  # the client must see that something is missing
        return exchange.response

    def _checked(self, function: Function, outcome: InvocationResult | Failure) -> HttpReply:
        if isinstance(outcome, Failure):
            return HttpReply(500, [])
        reply = http_reply(function, outcome)
        for name, value in reply.headers:
            if not _TOKEN.fullmatch(name) or re.search(r"[\r\n\0]", value):
                self._log.note(f"{function.name}: the response header {name!r}: {value!r} cannot be sent.")
                return HttpReply(500, [])
        return reply

    def _mount_of(self, raw: str) -> tuple[int, Mount] | None:
        """The mount for this raw path, and how much of the path its prefix takes."""
        lower = raw.lower()
        for prefix, mount in self._mounts:
            if lower.startswith(prefix) or lower == prefix[:-1]:
                return len(prefix), mount
        return None


def _routes(app: App, prefix: str) -> RouteTable[Function]:
    table: RouteTable[Function] = RouteTable(prefix)
    for function in app.http_functions:
        template = str(function.trigger.get("route") or function.name)
        where = f"Function '{function.name}' has the route '{template}'"
        if template.strip("/").lower().startswith("admin"):
            raise AppError(f"{where}, but what begins with 'admin' belongs to the host.")
        try:
            table.add(function.name, template, function.trigger.get("methods") or (), function)
        except InvalidRouteTemplate as error:
            hint = ""
            if template.startswith("/") and table.prefix:
                hint = ' Leave out its first slash, or set extensions.http.routePrefix to "" in host.json.'
            raise AppError(f"{where}, which no request can match: {error}.{hint}") from None
    return table


def _target(request: web.BaseRequest) -> str:
    """The request target as path and query, even where a client sends a whole URL."""
    target = request.raw_path
    return target if target.startswith("/") else request.rel_url.raw_path_qs


def _origin(request: web.BaseRequest) -> str:
    return f"{request.scheme}://{request.host}"


async def _body(request: web.BaseRequest) -> bytes:
    if not request.body_exists:
        return b""
    await _go_on(request)
    return await request.read()


async def _go_on(request: web.BaseRequest) -> None:
    """Who asks before sending (curl, for large bodies) waits a second for an answer."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


def _invocation(function: Function, headers: Mapping[str, str]) -> Invocation | None:
    if not function.signature.wants_context:
        return None
    return function.new_invocation(headers.get("traceparent", ""), headers.get("tracestate", ""))


async def _mounted(request: web.BaseRequest, mount: Mount, path: str, query: str) -> HttpReply:
    body = await _body(request)
    answer = await mount(request.method, path, query, request.headers, body, _origin(request))
    return HttpReply(answer.status, list(answer.headers.items()), answer.body)


def _response(reply: HttpReply) -> web.Response:
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in reply.headers:
        # The length is that of the body, and how it is framed is between the two ends.
        if name.lower() not in ("content-length", "transfer-encoding", "connection"):
            headers.add(name, value)
    return web.Response(status=reply.status, headers=headers, body=reply.body)


def _unlimited_request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    """aiohttp stops at bodies of 1 MB unless told otherwise."""
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=0)


def _cannot_listen(host: str, port: int, error: OSError) -> HostError:
    if error.errno == errno.EADDRINUSE:
        return PortInUse(
            f"Port {port} is in use by another process. Stop it, or choose another port with --port."
        )
    if error.errno == errno.EACCES:
        return HostError(f"This user may not listen on port {port}. Choose one above 1023 with --port.")
    reason = error.strerror or os.strerror(error.errno or 0)
    return HostError(f"Cannot listen on {host}:{port}: {reason}.")
