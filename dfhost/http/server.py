"""The HTTP server: one aiohttp listener on one port, from start to stop.

Frames each request: CORS before and after `request_router`, and a 500 if a part of the host has a defect.

The SDK's RPC twin is mounted on this same port, while the real extension opens a port of its own. One port is one
less to collide with; and the twin offers no more than the public API, which needs no key here.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web
from multidict import CIMultiDict

from dfhost.app.functions import App
from dfhost.app.http_messages import HttpReply
from dfhost.app.threads import UserThreads
from dfhost.errors import HostError, PortInUse
from dfhost.host_log import HostLog
from dfhost.http.cors import Cors
from dfhost.http.http_functions import HttpFunctions
from dfhost.http.messages import web_response
from dfhost.http.request_router import RequestRouter
from dfhost.management.request import RequestHandler

_log = logging.getLogger("dfhost.http")


class Server:
    """Serves `app` on `host`:`port`. Port 0 takes any free one, which `port` holds after `start`.

    `mounts`: handlers by path prefix. `cors`: origins, ``("*",)`` for all. `timeout`: of one HTTP function, in
    seconds. Raises AppError, at construction already, for a route that no request can match.
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
        mounts: Mapping[str, RequestHandler] | None = None,
        cors: Sequence[str] = (),
        cors_credentials: bool = False,
        timeout: float | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self._cors = Cors(cors, cors_credentials) if cors else None
        self._functions = HttpFunctions(
            app, threads, log, route_prefix=route_prefix, timeout=timeout, add_headers=self._add_headers
        )
        self.routes = self._functions.routes
        self._router = RequestRouter(app, self._functions, threads, log, mounts or {})
        self._runner: web.ServerRunner | None = None

    @property
    def notes(self) -> list[str]:
        """Sentences about routes that no request can reach."""
        return [
            f"{shadowed.name}: /{shadowed.template} is never reached, because {first.name} takes its requests "
            f"with /{first.template}. The Functions host tries functions in the order of their names."
            for shadowed, first in self.routes.shadowed()
        ]

    async def start(self) -> None:
        """Listen. Raises PortInUse, or HostError for an address that cannot be had."""
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
        """Respond to what would start something new with 503; status queries and running calls go on."""
        self._router.refuse()

    async def stop(self, grace_period: float = 5.0) -> None:
        """Refuse new calls, wait for running ones for at most `grace_period` seconds, then close the listener."""
        self.refuse()
        # Running functions still need the RPC twin, so the listener closes after them.
        await self._functions.finish(grace_period)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            preflight = self._cors.preflight(request) if self._cors else None
            reply = preflight or await self._router.respond(request)
            if isinstance(reply, web.StreamResponse):
                return reply
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception:  # a defect of the host: the log gets the traceback, the client does not
            _log.exception("%s %s", request.method, request.path)
            reply = HttpReply(500, [])
        response = web_response(reply)
        self._add_headers(request, response.headers)
        return response

    def _add_headers(self, request: web.BaseRequest, headers: CIMultiDict[str]) -> None:
        headers.setdefault("Server", "dfhost")
        if self._cors:
            self._cors.allow(request, headers)


def _unlimited_request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    """A request without limit on its body; aiohttp's default is 1 MB."""
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
