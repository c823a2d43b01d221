"""CORS, as Core Tools does it: which web pages may call the app, by `Host.CORS` of local.settings.json."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web
from multidict import CIMultiDict

from dfhost.runner.app_runner import HttpReply


class Cors:
    def __init__(self, origins: Sequence[str], credentials: bool) -> None:
        """`origins`: as in a request's Origin header, ``*`` for all. `credentials`: cookies may be sent along."""
        self._origins = {origin.rstrip("/").lower() for origin in origins}
        self._credentials = credentials

    def preflight(self, request: web.BaseRequest) -> HttpReply | None:
        """The reply to a preflight request, None for any other request."""
        headers = request.headers
        method = headers.get("Access-Control-Request-Method")
        if request.method != "OPTIONS" or method is None or not self.allows(headers.get("Origin", "")):
            return None
        names = headers.get("Access-Control-Request-Headers")
        return HttpReply(
            204,
            [("Access-Control-Allow-Methods", method)]
            + ([("Access-Control-Allow-Headers", names)] if names else []),
        )

    def allow(self, request: web.BaseRequest, headers: CIMultiDict[str]) -> None:
        """Add to a response's `headers` what lets the page that sent the request read it."""
        origin = request.headers.get("Origin", "")
        if not self.allows(origin):
            return
        any_origin = "*" in self._origins and not self._credentials
        headers["Access-Control-Allow-Origin"] = "*" if any_origin else origin
        if not any_origin:
            headers.add("Vary", "Origin")
        if self._credentials:
            headers["Access-Control-Allow-Credentials"] = "true"

    def allows(self, origin: str) -> bool:
        """Whether the pages of `origin` may call the app."""
        return bool(origin) and ("*" in self._origins or origin.rstrip("/").lower() in self._origins)
