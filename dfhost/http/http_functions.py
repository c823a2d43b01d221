"""The app's HTTP functions: their routes, and one call for one request.

The `AppRunner` runs user code. Which requests are meant for functions is `request_router`'s decision.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiohttp import web

from dfhost.clock import Clock
from dfhost.engine.failures import Failure
from dfhost.errors import AppError
from dfhost.host_log import HostLog
from dfhost.http.function_routes import RouteTable
from dfhost.http.messages import origin, raw_target, read_body, send_continue, unsendable
from dfhost.http.route_templates import InvalidRouteTemplate
from dfhost.http.streams import AddHeaders, StreamedExchange
from dfhost.http.urls import canonical_url, query_values
from dfhost.idle_signal import nobody_waits
from dfhost.runner.app_runner import AppRunner, FunctionCall, HttpReply, HttpRequest, StreamingCall
from dfhost.runner.functions import AppInfo, FunctionInfo
from dfhost.runner.invoke import invoke_function


class HttpFunctions:
    def __init__(
        self,
        runner: AppRunner,
        log: HostLog,
        clock: Clock,
        *,
        route_prefix: str,
        timeout: float | None,
        add_headers: AddHeaders,
    ) -> None:
        """`timeout`: of one call, in seconds. `add_headers` completes a streamed response before it starts.

        Raises AppError for a route that no request can match.
        """
        self._route_prefix = route_prefix
        self.change_app(runner.app)
        self._runner = runner
        self._log = log
        self._clock = clock
        self._timeout = timeout
        self._add_headers = add_headers
        self._stopped_accepting = False
        self._running = 0
        self._idle = asyncio.Event()
        self._noted_chunks: set[str] = set()
        self.on_end = nobody_waits  # see `IdleSignal.changed`

    def change_app(self, app: AppInfo) -> None:
        """Serve the functions of `app` from now on. Raises AppError, and everything stays as it was."""
        self.routes, self.notes = _routes(app, self._route_prefix)

    @property
    def unfinished(self) -> int:
        """How many calls run."""
        return self._running

    def stop_accepting(self) -> None:
        """Respond to new calls with 503; running calls go on."""
        self._stopped_accepting = True

    async def finish(self, grace_period: float) -> None:
        """Wait until no call runs, at most `grace_period` seconds."""
        if self._running and grace_period > 0:
            self._idle.clear()
            try:
                await asyncio.wait_for(self._idle.wait(), grace_period)
            except asyncio.TimeoutError:
                pass

    async def call(
        self, function: FunctionInfo, path: str, values: Mapping[str, str], request: web.BaseRequest
    ) -> HttpReply | web.StreamResponse:
        """The function's reply, an empty 500 if it failed, or a streamed response that is already sent.

        `path`: decoded. `values`: the route's parameters. Raises ConnectionError if a streamed response broke off.
        """
        if self._stopped_accepting:
            return HttpReply(503, [("Retry-After", "5")])
        self._running += 1
        try:
            return await (self._stream if self._runner.streams_http else self._invoke)(
                function, path, values, request
            )
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()
            self.on_end()

    async def _invoke(
        self, function: FunctionInfo, path: str, values: Mapping[str, str], request: web.BaseRequest
    ) -> HttpReply:
        body = await read_body(request)
        headers = request.headers
        if "Host" not in headers:
            return self._failed(
                request, "without a Host header the real host cannot tell the function its URL"
            )
        if body and "Content-Length" not in headers and function.name not in self._noted_chunks:
            self._noted_chunks.add(function.name)
            self._log.note(
                f"{function.name}: a request came without Content-Length (in chunks); on Azure the Functions "
                "host hands Python an empty body then."
            )
        query = raw_target(request)[1]
        url = canonical_url(origin(request), path, query)
        if request.raw_path.endswith("?") and not query:
            url += "?"
        # Names without multidict's own type of text: a message to a worker takes no other types than Python's.
        pairs = [(str(name), value) for name, value in headers.items()]
        data = HttpRequest(request.method, url, pairs, query_values(query), dict(values), body)
        call = FunctionCall(function.name, data)
        outcome = await invoke_function(self._runner, function, call, self._log, self._clock, self._timeout)
        if isinstance(outcome, Failure):
            return HttpReply(500, [])
        return self._checked(function, outcome or HttpReply(204, []), request)

    def _checked(self, function: FunctionInfo, reply: HttpReply, request: web.BaseRequest) -> HttpReply:
        """The function's reply if a client can be sent it, else an empty 500 as from Kestrel."""
        if sentence := reply.problem or unsendable(reply.status, reply.headers):
            return self._failed(request, f"{function.name} returned {sentence}")
        for name, value in reply.headers:
            if name.lower() == "content-length" and value.strip() != str(len(reply.body)):
                sentence = f"{function.name} returned the header Content-Length: {value} for a body of "
                sentence += f"{len(reply.body)} bytes; leave that header out"
                return self._failed(request, sentence, closes=value.isdecimal())
        return reply

    def _failed(self, request: web.BaseRequest, why: str, *, closes: bool = False) -> HttpReply:
        self._log.refused(f"{request.method} {request.raw_path[:100]}", 500, why)
        return HttpReply(500, [("Connection", "close")] if closes else [])

    async def _stream(
        self, function: FunctionInfo, path: str, values: Mapping[str, str], request: web.BaseRequest
    ) -> HttpReply | web.StreamResponse:
        raw_path, query = raw_target(request)
        exchange = StreamedExchange(request, raw_path, path, query, self._add_headers)
        await send_continue(request)
        try:
            headers = {name.lower(): value for name, value in request.headers.items()}
            call = StreamingCall(function.name, dict(values), headers, exchange.scope)
            await self._runner.stream(call, exchange.receive, exchange.send)
        finally:
            exchange.end()
        if exchange.response is None:
            return self._failed(request, f"{function.name} returned {exchange.problem or 'no response'}")
        if not exchange.complete:
            raise ConnectionResetError  # the client must see that the response is incomplete
        return exchange.response


def _routes(app: AppInfo, prefix: str) -> tuple[RouteTable[FunctionInfo], list[str]]:
    """The routes that can be reached, and a sentence about each that a real host would not load."""
    table: RouteTable[FunctionInfo] = RouteTable(prefix)
    notes = []
    for function in app.http_functions:
        template = str(function.trigger.get("route") or function.name)
        subject = f"Function '{function.name}' has the route '{template}'"
        start = template.strip("/").lower()
        if start.startswith("admin"):
            raise AppError(f"{subject}, but routes that begin with 'admin' belong to the host.")
        if start.startswith("runtime"):
            notes.append(
                f"{subject}, but routes that begin with 'runtime' belong to the host: neither here nor on Azure "
                "is it ever reached. Choose another route."
            )
            continue
        methods = function.trigger.get("methods")
        if methods is not None and not methods:
            notes.append(f"{function.name} is never reached, because its list of methods is empty.")
        try:
            table.add(function.name, template, methods, function)
        except InvalidRouteTemplate as error:
            hint = ""
            if template.startswith("/") and table.prefix:
                hint = ' Leave out its first slash, or set extensions.http.routePrefix to "" in host.json.'
            raise AppError(f"{subject}, which no request can match: {error}.{hint}") from None
    return table, notes
