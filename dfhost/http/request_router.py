"""Who responds to a request. Every path that the host serves is named here:

    /runtime/webhooks/durabletask, /durabletask    the management API (`mounts`)
    /admin/queues, /admin/queues/…                 the storage queues (likewise)
    /admin/…                                       `admin`
    a route of one of the app's HTTP functions     `http_functions`
    /                                              `home_page`, unless a function has that route
    /dashboard, /dashboard/…                       `dashboard_requests`, likewise

Any other request is a 404 without a body, as on Azure; the log says why. `access` comes before everything else.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any

from aiohttp import web

from dfhost.clock import Clock
from dfhost.credentials import hide_credentials
from dfhost.dashboard.dashboard import Dashboard
from dfhost.host_log import HostLog
from dfhost.http.access import AccessRules, forbidden
from dfhost.http.admin import Admin
from dfhost.http.dashboard_requests import DashboardRequests
from dfhost.http.home_page import home_page
from dfhost.http.http_functions import HttpFunctions
from dfhost.http.messages import origin, raw_target, read_body
from dfhost.http.throttle import TOO_MANY_REQUESTS, Throttle
from dfhost.http.urls import decode_path, resolved_path
from dfhost.management.request import RequestHandler
from dfhost.management.responses import sentence_in
from dfhost.management.urls import RPC_PATH, WEBHOOKS_PATH
from dfhost.runner.app_runner import AppRunner, HttpReply

_ADMIN = "/admin/"
_MAX_REFUSALS = 200  # different requests to log; nobody reads more


def _starts_something(method: str, path: str) -> bool:
    return method not in ("GET", "HEAD", "OPTIONS") and path.startswith((f"{WEBHOOKS_PATH.lower()}/", _ADMIN))


class RequestRouter:
    def __init__(
        self,
        runner: AppRunner,
        functions: HttpFunctions,
        log: HostLog,
        clock: Clock,
        mounts: Mapping[str, RequestHandler],
        *,
        access: AccessRules,
        throttle: Throttle | None,
        dashboard: Dashboard | None,
    ) -> None:
        """`mounts`: handlers by path prefix; they come before everything else, and case does not count.

        `throttle` None sets no limits; without `dashboard` there is none.
        """
        self._runner = runner
        self._functions = functions
        self._log = log
        self._mounts = [
            (f"{prefix.rstrip('/').lower()}/", handler, prefix != RPC_PATH)
            for prefix, handler in mounts.items()
        ]
        self.admin = Admin(runner, functions, log, clock, mounts.get(WEBHOOKS_PATH))
        self._access = access
        self._throttle = throttle
        self._dashboard = DashboardRequests(dashboard) if dashboard else None
        self._stopped_accepting = False
        self._logged_refusals: set[tuple[str, int, str]] = set()

    def stop_accepting(self) -> None:
        """Respond to what would start something new with 503; reading and running calls go on.

        The SDK's own requests are answered: running calls of the app need them.
        """
        self._stopped_accepting = True
        self._functions.stop_accepting()
        if self._dashboard:
            self._dashboard.end_streams()

    async def respond(self, request: web.BaseRequest) -> HttpReply | web.StreamResponse:
        """The reply, or a streamed response that is already sent. Raises what `read_body` raises."""
        if sentence := self._access.refusal(request):
            self.log_refusal(request, 403, sentence)
            return forbidden(sentence)
        raw_path, query = raw_target(request)
        raw_path = resolved_path(raw_path)
        lower = raw_path.lower()
        if self._stopped_accepting and _starts_something(request.method, lower):
            await read_body(request)
            return HttpReply(503, [("Retry-After", "5")])
        for prefix, handler, is_public in self._mounts:
            if lower.startswith(prefix) or lower == prefix[:-1]:
                responding = self._mounted(handler, request, raw_path[len(prefix) :], query)
                return await (self._throttled(responding) if is_public else responding)
        path = decode_path(raw_path)
        # /admin is the host's, whatever routes the app has (WebJobsRouter).
        if path.lower().startswith(_ADMIN):
            body = await read_body(request)
            tail = path[len(_ADMIN) :]
            reply = await self.admin.handle(request.method, tail, request.headers, body, origin(request))
            if reply.status == 404:
                self.log_refusal(request, 404, self.admin.why_not(tail))
            return reply
        routes = self._functions.routes
        found = routes.find(request.method, path)
        if found is not None:
            route, values = found
            return await self._throttled(self._functions.call(route.target, path, values, request))
        if path == "/":
            has_dashboard = self._dashboard is not None
            return home_page(self._runner.app, routes, origin(request), has_dashboard)
        if self._dashboard and self._dashboard.serves(path):
            return await self._dashboard.respond(request, path, query)
        self.log_refusal(request, 404, routes.why_not(request.method, path))
        return HttpReply(404, [])

    async def _throttled(
        self, responding: Coroutine[Any, Any, HttpReply | web.StreamResponse]
    ) -> HttpReply | web.StreamResponse:
        """The SDK's own requests are not throttled, as the real host serves them on a port of their own."""
        if self._throttle is None:
            return await responding
        if self._throttle.is_full:
            responding.close()
            return TOO_MANY_REQUESTS
        return await self._throttle.run(responding)

    async def _mounted(
        self, handler: RequestHandler, request: web.BaseRequest, tail: str, query: str
    ) -> HttpReply:
        body = await read_body(request)
        response = await handler(request.method, tail, query, request.headers, body, origin(request))
        if response.status in (400, 500):
            self.log_refusal(request, response.status, sentence_in(response.body))
        elif response.why:
            self.log_refusal(request, response.status, response.why)
        return HttpReply(response.status, list(response.headers.items()), response.body)

    def log_refusal(self, request: web.BaseRequest, status: int, why: str | None) -> None:
        """Log each refusal once. `why` is None where nothing helpful can be said."""
        if not why or len(self._logged_refusals) == _MAX_REFUSALS:
            return
        path = hide_credentials(raw_target(request)[0])  # someone may have left out the "?"
        refusal = (f"{request.method} {path[:100]}", status, why)
        if refusal not in self._logged_refusals:
            self._logged_refusals.add(refusal)
            self._log.refused(*refusal)
            if len(self._logged_refusals) == _MAX_REFUSALS:
                self._log.note(
                    f"{_MAX_REFUSALS} different requests were refused. The next ones are not shown."
                )
