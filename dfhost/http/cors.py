"""Cross-origin requests, for the web pages that `Host.CORS` of local.settings.json lets in (as Core Tools)."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web
from multidict import CIMultiDict

from dfhost.app.http_messages import HttpReply


class Cors:
    """Cross-origin answers as Core Tools gives them for `Host.CORS` of local.settings.json."""

    def __init__(self, origins: Sequence[str], credentials: bool) -> None:
        self._origins = {origin.rstrip("/").lower() for origin in origins}
        self._credentials = credentials

    def preflight(self, request: web.BaseRequest) -> HttpReply | None:
        headers = request.headers
        asked = headers.get("Access-Control-Request-Method")
        if request.method != "OPTIONS" or asked is None or not self._allows(headers.get("Origin", "")):
            return None
        wanted = headers.get("Access-Control-Request-Headers")
        return HttpReply(
            204,
            [("Access-Control-Allow-Methods", asked)]
            + ([("Access-Control-Allow-Headers", wanted)] if wanted else []),
        )

    def allow(self, request: web.BaseRequest, headers: CIMultiDict[str]) -> None:
        origin = request.headers.get("Origin", "")
        if not self._allows(origin):
            return
        any_origin = "*" in self._origins and not self._credentials
        headers["Access-Control-Allow-Origin"] = "*" if any_origin else origin
        if not any_origin:
            headers.add("Vary", "Origin")
        if self._credentials:
            headers["Access-Control-Allow-Credentials"] = "true"

    def _allows(self, origin: str) -> bool:
        return bool(origin) and ("*" in self._origins or origin.rstrip("/").lower() in self._origins)
