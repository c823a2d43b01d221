"""Who responds to a request. Every path that the host serves is named here:

    /runtime/webhooks/durabletask, /durabletask    the management API (`mounts`)
    /admin/…                                       `admin`
    a route of one of the app's HTTP functions     `http_functions`
    /                                              `home_page`, unless a function has that route

Any other request is a 404 without a body, as on Azure; the log says why.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from dfhost.app.functions import App
from dfhost.app.http_messages import HttpReply
from dfhost.app.threads import UserThreads
from dfhost.host_log import HostLog
from dfhost.http.admin import Admin
from dfhost.http.function_routes import decode_path
from dfhost.http.home_page import home_page
from dfhost.http.http_functions import HttpFunctions
from dfhost.http.messages import origin, raw_target, read_body
from dfhost.management.request import RequestHandler
from dfhost.management.responses import sentence_in
from dfhost.management.urls import WEBHOOKS_PATH

_ADMIN = "/admin/"
_MAX_REFUSALS = 50  # requests to log; nobody reads more


def _starts_something(method: str, path: str) -> bool:
    return method not in ("GET", "HEAD", "OPTIONS") and path.startswith((f"{WEBHOOKS_PATH.lower()}/", _ADMIN))


class RequestRouter:
    def __init__(
        self,
        app: App,
        functions: HttpFunctions,
        threads: UserThreads,
        log: HostLog,
        mounts: Mapping[str, RequestHandler],
    ) -> None:
        """`mounts`: handlers by path prefix; they come before everything else, and case does not count."""
        self._app = app
        self._functions = functions
        self._log = log
        self._mounts = [(f"{prefix.rstrip('/').lower()}/", handler) for prefix, handler in mounts.items()]
        self._admin = Admin(app, functions.routes, threads, log, mounts.get(WEBHOOKS_PATH))
        self._stopping = False
        self._logged_refusals: set[tuple[str, int, str]] = set()

    def refuse(self) -> None:
        """Respond to what would start something new with 503; reading and running calls go on.

        The SDK's own requests are answered: running calls of the app need them.
        """
        self._stopping = True
        self._functions.refuse()

    async def respond(self, request: web.BaseRequest) -> HttpReply | web.StreamResponse:
        raw_path, query = raw_target(request)
        lower = raw_path.lower()
        if self._stopping and _starts_something(request.method, lower):
            await read_body(request)
            return HttpReply(503, [("Retry-After", "5")])
        for prefix, handler in self._mounts:
            if lower.startswith(prefix) or lower == prefix[:-1]:
                return await self._mounted(handler, request, raw_path, raw_path[len(prefix) :], query)
        path = decode_path(raw_path)
        # /admin is the host's, whatever routes the app has (WebJobsRouter).
        if path.lower().startswith(_ADMIN):
            body = await read_body(request)
            content_type = request.headers.get("Content-Type", "")
            return await self._admin.handle(
                request.method, path[len(_ADMIN) :], content_type, body, origin(request)
            )
        routes = self._functions.routes
        found = routes.find(request.method, path)
        if found is not None:
            route, values = found
            return await self._functions.call(route.target, values, request)
        if path == "/" and request.method in ("GET", "HEAD"):
            return home_page(self._app, routes, origin(request))
        self._log_refusal(request, raw_path, 404, routes.why_not(request.method, path))
        return HttpReply(404, [])

    async def _mounted(
        self, handler: RequestHandler, request: web.BaseRequest, raw_path: str, tail: str, query: str
    ) -> HttpReply:
        body = await read_body(request)
        response = await handler(request.method, tail, query, request.headers, body, origin(request))
        if response.status == 400:
            self._log_refusal(request, raw_path, 400, sentence_in(response.body))
        return HttpReply(response.status, list(response.headers.items()), response.body)

    def _log_refusal(self, request: web.BaseRequest, raw_path: str, status: int, why: str | None) -> None:
        """Log each refusal once. `why` is None where nothing helpful can be said."""
        if not why or len(self._logged_refusals) == _MAX_REFUSALS:
            return
        refusal = (f"{request.method} {raw_path[:100]}", status, why)
        if refusal not in self._logged_refusals:
            self._logged_refusals.add(refusal)
            self._log.refused(*refusal)
