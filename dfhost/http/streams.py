"""One request of aiohttp's as an ASGI exchange, for the web app of `app.web`.

The body is handed on as it arrives and the response as it is sent, one piece at a time in each direction, so
that neither end runs ahead of the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping
from typing import Any

from aiohttp import web
from multidict import CIMultiDict

Prepare = Callable[[CIMultiDict[str]], None]


class StreamedExchange:
    """`scope`, `receive` and `send` of one request. All of it lives on the server's loop."""

    def __init__(
        self, request: web.BaseRequest, raw_path: str, path: str, query: str, prepare: Prepare
    ) -> None:
        """`prepare` may add headers to the response before it goes out."""
        self._request = request
        self._prepare = prepare
        self._body_read = False
        self._ended = asyncio.Event()
        self.response: web.StreamResponse | None = None
        self.complete = False
        peer = request.transport.get_extra_info("peername") if request.transport else None
        self.scope: MutableMapping[str, Any] = {
            "type": "http",
            # From 2.4 on, a client that has gone shows when something is sent to it, not by a message.
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": f"{request.version[0]}.{request.version[1]}",
            "method": request.method,
            "scheme": request.scheme,
            "path": path,
            "raw_path": raw_path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in request.raw_headers],
            "client": tuple(peer[:2]) if peer else None,
            "server": None,
        }

    async def receive(self) -> MutableMapping[str, Any]:
        if self._body_read:
            await self._ended.wait()
            return {"type": "http.disconnect"}
        chunk = await self._request.content.readany()
        self._body_read = self._request.content.at_eof()
        return {"type": "http.request", "body": chunk, "more_body": not self._body_read}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers: CIMultiDict[str] = CIMultiDict()
            for name, value in message.get("headers", ()):
                if name.lower() not in (b"transfer-encoding", b"connection"):
                    headers.add(name.decode("latin-1"), value.decode("latin-1"))
            self._prepare(headers)
            self.response = web.StreamResponse(status=message["status"], headers=headers)
            await self.response.prepare(self._request)
        elif message["type"] == "http.response.body" and self.response is not None:
            if body := message.get("body"):
                await self.response.write(body)
            if not message.get("more_body"):
                await self.response.write_eof()
                self.complete = True

    def end(self) -> None:
        """Whoever still waits for the client hears that it is gone."""
        self._ended.set()
