"""The app's HTTP functions: their routes, and one call for one request.

User code runs on the users' threads (`app.invoke`, `app.http_streaming`). Which requests are meant for functions
is `request_router`'s decision.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from aiohttp import web

from dfhost.app.bindings import http_streaming_enabled
from dfhost.app.functions import App, Function, InvocationResult
from dfhost.app.http_messages import HttpReply, http_reply, request_datum
from dfhost.app.http_streaming import StreamingWebApp, run_on_loop
from dfhost.app.http_urls import canonical_url
from dfhost.app.invocation import Invocation
from dfhost.app.invoke import invoke_function
from dfhost.app.threads import UserThreads
from dfhost.engine.failures import Failure
from dfhost.errors import AppError
from dfhost.host_log import HostLog
from dfhost.http.function_routes import RouteTable
from dfhost.http.messages import origin, raw_target, read_body, send_continue, unsendable
from dfhost.http.route_templates import InvalidRouteTemplate
from dfhost.http.streams import AddHeaders, StreamedExchange


class HttpFunctions:
    def __init__(
        self,
        app: App,
        threads: UserThreads,
        log: HostLog,
        *,
        route_prefix: str,
        timeout: float | None,
        add_headers: AddHeaders,
    ) -> None:
        """`timeout`: of one call, in seconds. `add_headers` completes a streamed response before it starts.

        Raises AppError for a route that no request can match.
        """
        self.routes, self.notes = _routes(app, route_prefix)
        self._threads = threads
        self._log = log
        self._timeout = timeout
        self._add_headers = add_headers
        self._web_app = StreamingWebApp(threads, log) if http_streaming_enabled() else None
        self._refusing = False
        self._running = 0
        self._idle = asyncio.Event()
        self._noted_chunks: set[str] = set()
        self.on_end: Callable[[], None] = lambda: None

    @property
    def unfinished(self) -> int:
        """How many calls run."""
        return self._running

    def refuse(self) -> None:
        """Respond to new calls with 503; running calls go on."""
        self._refusing = True

    async def finish(self, grace_period: float) -> None:
        """Wait until no call runs, at most `grace_period` seconds."""
        if self._running and grace_period > 0:
            self._idle.clear()
            try:
                await asyncio.wait_for(self._idle.wait(), grace_period)
            except asyncio.TimeoutError:
                pass

    async def call(
        self, function: Function, path: str, values: Mapping[str, str], request: web.BaseRequest
    ) -> HttpReply | web.StreamResponse:
        """The function's reply, an empty 500 if it failed, or a streamed response that is already sent.

        `path`: decoded. `values`: the route's parameters. Raises ConnectionError if a streamed response broke off.
        """
        if self._refusing:
            return HttpReply(503, [("Retry-After", "5")])
        self._running += 1
        try:
            return await (self._stream if self._web_app else self._invoke)(function, path, values, request)
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()
            self.on_end()

    async def _invoke(
        self, function: Function, path: str, values: Mapping[str, str], request: web.BaseRequest
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
        data = request_datum(request.method, url, headers.items(), query, values, body)
        outcome = await invoke_function(
            function,
            data,
            self._threads,
            self._log,
            invocation=_invocation(function, headers),
            timeout=self._timeout,
        )
        if isinstance(outcome, Failure):
            return HttpReply(500, [])
        return self._checked(function, outcome, request)

    def _checked(self, function: Function, result: InvocationResult, request: web.BaseRequest) -> HttpReply:
        """The function's reply if a client can be sent it, else an empty 500 as from Kestrel."""
        try:
            reply = http_reply(function, result)
        except UnicodeEncodeError:
            return self._failed(
                request, f"{function.name} returned text that is not Unicode: half a surrogate pair"
            )
        if sentence := unsendable(reply.status, reply.headers):
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
        self, function: Function, path: str, values: Mapping[str, str], request: web.BaseRequest
    ) -> HttpReply | web.StreamResponse:
        assert self._web_app is not None
        loop = asyncio.get_running_loop()
        raw_path, query = raw_target(request)
        exchange = StreamedExchange(request, raw_path, path, query, self._add_headers)
        await send_continue(request)
        try:
            await self._web_app.call(
                function,
                values,
                _invocation(function, request.headers),
                exchange.scope,
                run_on_loop(loop, exchange.receive),
                run_on_loop(loop, exchange.send),
            )
        finally:
            exchange.end()
        if exchange.response is None:
            return self._failed(request, f"{function.name} returned {exchange.problem or 'no response'}")
        if not exchange.complete:
            raise ConnectionResetError  # the client must see that the response is incomplete
        return exchange.response


def _invocation(function: Function, headers: Mapping[str, str]) -> Invocation | None:
    if not function.signature.wants_context:
        return None
    return function.new_invocation(0, headers.get("traceparent", ""), headers.get("tracestate", ""))


def _routes(app: App, prefix: str) -> tuple[RouteTable[Function], list[str]]:
    """The routes that can be reached, and a sentence about each that a real host would not load."""
    table: RouteTable[Function] = RouteTable(prefix)
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
