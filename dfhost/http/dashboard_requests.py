"""The dashboard under HTTP: its requests, and its streams as server-sent events.

Stricter than the rest of the host: a web page of another origin gets nothing, whatever CORS allows it elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from urllib.parse import parse_qsl

from aiohttp import web

from dfhost.dashboard.dashboard import HEADERS, PATH, TOKEN_HEADER, Dashboard
from dfhost.dashboard.streams import Message
from dfhost.http.access import forbidden
from dfhost.http.messages import read_body
from dfhost.runner.app_runner import HttpReply

_BEAT_SECONDS = 10.0  # a line at least this often: a proxy or a browser closes what is silent
_RETRY_MILLISECONDS = (
    1000  # after which a browser looks whether a host that was away is back; its own 3000 feel long
)


class DashboardRequests:
    def __init__(self, dashboard: Dashboard) -> None:
        self._dashboard = dashboard
        self._ends_streams = False

    def end_streams(self) -> None:
        """End the streams within a moment: their connections would hold up the end of the server.

        From now on the page's actions are refused, too.
        """
        self._ends_streams = True

    @staticmethod
    def serves(path: str) -> bool:
        return path == PATH or path.startswith(f"{PATH}/")

    async def respond(
        self, request: web.BaseRequest, path: str, query: str
    ) -> HttpReply | web.StreamResponse:
        """`path`: decoded, with ``/dashboard`` at its head."""
        if not _is_own_page(request):
            return forbidden("The dashboard answers no other web page.")
        tail = path[len(PATH) :].lstrip("/")
        values = dict(parse_qsl(query, keep_blank_values=True))
        stream = self._dashboard.stream(tail, values) if request.method == "GET" else None
        if stream is not None:
            return await self._send_events(request, stream)
        body = await read_body(request)
        if self._ends_streams and request.method == "POST":
            refusal = b'{"error": "The host is stopping and takes nothing new."}'
            headers = [("Content-Type", "application/json; charset=utf-8"), ("Retry-After", "5")]
            return HttpReply(503, [*headers, *HEADERS.items()], refusal)
        token = request.headers.get(TOKEN_HEADER, "")
        method = "GET" if request.method == "HEAD" else request.method
        reply = await self._dashboard.reply(method, tail, values, token, body)
        headers = [("Content-Type", reply.content_type), *HEADERS.items()]
        return HttpReply(reply.status, headers, reply.body)

    async def _send_events(
        self, request: web.BaseRequest, stream: AsyncIterator[Message | None]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **HEADERS})
        await response.prepare(request)
        await response.write(f"retry: {_RETRY_MILLISECONDS}\n\n".encode())
        sent_at = time.monotonic()
        async for message in stream:
            if self._ends_streams:
                break
            if message is not None:
                await response.write(f"event: {message.name}\ndata: {message.data}\n\n".encode())
            elif time.monotonic() - sent_at > _BEAT_SECONDS:
                await response.write(b":\n\n")
            else:
                continue
            sent_at = time.monotonic()
        await response.write_eof()
        return response


def _is_own_page(request: web.BaseRequest) -> bool:
    """No browser at all, the address bar, or our own page.

    Browsers send Sec-Fetch-Site to localhost and over https. Over http to other hosts Origin has to do: they send it
    with every request whose answer another page could read, or that changes anything.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    sender = request.headers.get("Origin")
    return sender is None or sender.partition("://")[2].lower() == request.host.lower()
