"""The HTTP server: one aiohttp listener on one port, or on none, from start to stop.

Frames each request: CORS before and after `request_router`, headers that every response has, and a 500 if a part of
the host has a defect. `connections` answers what is no HTTP.

The SDK's RPC twin is mounted on this same port, while the real extension opens a port of its own. One port is one
less to collide with; and the twin offers no more than the public API, which needs no key here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence

from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError
from multidict import CIMultiDict

from dfhost import forked_children
from dfhost.clock import Clock
from dfhost.dashboard.dashboard import Dashboard
from dfhost.host_log import HostLog
from dfhost.http.access import AccessRules
from dfhost.http.connections import Listener, Request, first_line
from dfhost.http.cors import Cors
from dfhost.http.function_routes import RouteTable
from dfhost.http.http_functions import HttpFunctions
from dfhost.http.listening import cannot_listen
from dfhost.http.memory_connection import exchange
from dfhost.http.messages import MAX_BODY, BodyTooLarge, web_response
from dfhost.http.request_router import RequestRouter
from dfhost.http.throttle import TOO_MANY_REQUESTS, Throttle
from dfhost.idle_signal import nobody_waits
from dfhost.management.request import RequestHandler
from dfhost.runner.app_runner import AppRunner, HttpReply
from dfhost.runner.functions import AppInfo, FunctionInfo

_log = logging.getLogger("dfhost.http")


class Server:
    """Serves the app of `runner` on `address`:`port`. Port 0 takes any free one, which `port` holds after `start`;
    None takes none, and only `exchange` reaches the app.

    `clock`: pauses before a retry go by it. `mounts`: handlers by path prefix. `cors`: origins, ``("*",)`` for all.
    `timeout`: of one HTTP function, in seconds. `host_names`: those that requests may name besides localhost and
    `address`. Raises AppError, at construction already, for a route that no request can match.
    """

    def __init__(
        self,
        runner: AppRunner,
        log: HostLog,
        address: str,
        port: int | None,
        *,
        clock: Clock,
        route_prefix: str,
        mounts: Mapping[str, RequestHandler],
        cors: Sequence[str],
        cors_credentials: bool,
        timeout: float | None,
        host_names: Iterable[str],
        custom_headers: Sequence[tuple[str, str]],
        max_outstanding_requests: int | None,
        max_concurrent_requests: int | None,
        dashboard: Dashboard | None,
    ) -> None:
        self.address = address
        self.port = port
        self._log = log
        self._custom_headers = custom_headers
        self._malformed = 0
        self._cors = Cors(cors, cors_credentials) if cors else None
        self._functions = HttpFunctions(
            runner, log, clock, route_prefix=route_prefix, timeout=timeout, add_headers=self._add_headers
        )
        access = AccessRules(address, host_names, self._cors.allows if self._cors else lambda origin: False)
        throttle = None
        if max_outstanding_requests is not None or max_concurrent_requests is not None:
            throttle = Throttle(max_outstanding_requests, max_concurrent_requests)
        self._router = RequestRouter(
            runner,
            self._functions,
            log,
            clock,
            mounts,
            access=access,
            throttle=throttle,
            dashboard=dashboard,
        )
        self._site_runner: web.ServerRunner | None = None
        self.on_end = nobody_waits  # see `IdleSignal.changed`
        self._functions.on_end = self._router.admin.on_end = self._ended

    def change_app(self, app: AppInfo) -> None:
        """Serve the functions of `app` from now on. Raises AppError, and everything stays as it was."""
        self._functions.change_app(app)

    @property
    def routes(self) -> RouteTable[FunctionInfo]:
        """Those of the app's HTTP functions."""
        return self._functions.routes

    @property
    def notes(self) -> list[str]:
        """Sentences about routes that no request can reach."""
        return self._functions.notes + [
            f"{shadowed.name}: /{shadowed.template} is never reached, because {first.name} takes its requests "
            f"with /{first.template}. The Functions host tries functions in the order of their names."
            for shadowed, first in self.routes.shadowed()
        ]

    async def start(self) -> None:
        """Listen. Raises PortInUse, or HostError for an address that cannot be had."""
        self._listener = Listener(
            self._handle,
            self._count_malformed,
            access_log=None,
            lingering_time=1.0,  # seconds for which the rest of a refused body is read
            auto_decompress=False,  # the function gets the bytes as they were sent
            # Kestrel takes 32 KB of headers; aiohttp's 8 KB a field would refuse tokens that pass on Azure.
            max_line_size=16_384,
            max_field_size=32_768,
        )
        self._site_runner = web.ServerRunner(self._listener, shutdown_timeout=1.0)
        await self._site_runner.setup()
        self._sockets: list[int] = []
        if self.port is None:
            return
        try:
            site = web.TCPSite(self._site_runner, self.address, self.port)
            await site.start()
        except OSError as error:
            await self._site_runner.cleanup()
            self._site_runner = None
            raise cannot_listen(self.address, self.port, error) from None
        self.port = self._site_runner.addresses[0][1]
        self._sockets = [each.fileno() for each in site._server.sockets]  # type: ignore[union-attr]
        for descriptor in self._sockets:
            forked_children.close_in_children(descriptor)

    async def exchange(self, request: bytes) -> bytes:
        """The response to one whole HTTP/1.1 request, both as bytes, without a socket."""
        return await exchange(self._listener(), request)

    @property
    def unfinished(self) -> int:
        """How many calls of functions run; see `IdleSignal`."""
        return self._functions.unfinished + self._router.admin.unfinished

    def _ended(self) -> None:
        self.on_end()

    def stop_accepting(self) -> None:
        """Respond to what would start something new with 503; status queries and running calls go on."""
        self._router.stop_accepting()

    async def finish(self, grace_period: float) -> None:
        """Wait until no HTTP function runs, at most `grace_period` seconds."""
        await self._functions.finish(grace_period)

    async def close(self, grace_period: float = 5.0) -> None:
        """Refuse new calls, wait for running ones for at most `grace_period` seconds, then close the listener."""
        self.stop_accepting()
        # Running functions still need the RPC twin, so the listener closes after them.
        await self._functions.finish(grace_period)
        if self._site_runner is not None:
            for descriptor in self._sockets:
                forked_children.unregister(descriptor)
            await self._site_runner.cleanup()
            self._site_runner = None

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            reply = await self._reply(request)
        except RequestPayloadError as error:
            self._count_malformed(first_line(str(error)))
            reply = _closing(400)
        except BodyTooLarge:
            self._router.log_refusal(request, 500, f"its body has more than {MAX_BODY:,} bytes")
            reply = _closing(500)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception:  # a defect of the host: the log gets the traceback, the client does not
            _log.exception("%s %s", request.method, request.path)
            reply = HttpReply(500, [])
        if isinstance(reply, web.StreamResponse):
            return reply
        response = web_response(reply)
        if reply is TOO_MANY_REQUESTS:
            response.headers["Server"] = "dfhost"
        else:
            self._add_headers(request, response.headers)
        return response

    async def _reply(self, request: web.BaseRequest) -> HttpReply | web.StreamResponse:
        if isinstance(request, Request) and (status := request.problem()):
            self._count_malformed(f"answered {status}")
            return _closing(status)
        preflight = self._cors.preflight(request) if self._cors else None
        return preflight or await self._router.respond(request)

    def _count_malformed(self, problem: str) -> None:
        """Log the 1st, 10th, 100th … malformed request: a scanner sends thousands."""
        self._malformed += 1
        if str(self._malformed).strip("0") == "1":
            count = "A request was" if self._malformed == 1 else f"{self._malformed} requests so far were"
            self._log.note(f"{count} malformed and refused ({problem}).")

    def _add_headers(self, request: web.BaseRequest, headers: CIMultiDict[str]) -> None:
        headers.setdefault("Server", "dfhost")
        for name, value in self._custom_headers:
            headers.setdefault(name, value)
        if self._cors:
            self._cors.allow(request, headers)


def _closing(status: int) -> HttpReply:
    return HttpReply(status, [("Connection", "close")])
