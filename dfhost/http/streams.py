"""One aiohttp request as an ASGI exchange, for the web app of `app.http_streaming`.

Body and response pass one piece at a time, so that neither end gets ahead of the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping
from typing import Any

from aiohttp import web
from multidict import CIMultiDict

from dfhost.http.messages import unsendable

AddHeaders = Callable[[web.BaseRequest, CIMultiDict[str]], None]


class StreamedExchange:
    """`scope`, `receive` and `send` of one request, all on the server's loop."""

    def __init__(
        self, request: web.BaseRequest, raw_path: str, path: str, query: str, add_headers: AddHeaders
    ) -> None:
        """`add_headers` completes the response's headers before they are sent."""
        self._request = request
        self._add_headers = add_headers
        self._body_read = False
        self._ended = asyncio.Event()
        self.response: web.StreamResponse | None = None
        self.problem: str | None = None  # why there is no response: it cannot be sent
        self.complete = False
        peer = request.transport.get_extra_info("peername") if request.transport else None
        self.scope: MutableMapping[str, Any] = {
            "type": "http",
            # From 2.4 on, `send` raises when the client has disconnected; no message announces it.
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
            given = [
                (n.decode("latin-1"), value.decode("latin-1")) for n, value in message.get("headers", ())
            ]
            self.problem = unsendable(message["status"], given)
            if self.problem:
                return
            headers: CIMultiDict[str] = CIMultiDict()
            for name, value in given:
                if name.lower() not in ("transfer-encoding", "connection"):
                    headers.add(name, value)
            self._add_headers(self._request, headers)
            self.response = web.StreamResponse(status=message["status"], headers=headers)
            await self.response.prepare(self._request)
        elif message["type"] == "http.response.body" and self.response is not None:
            if body := message.get("body"):
                await self.response.write(body)
            if not message.get("more_body"):
                await self.response.write_eof()
                self.complete = True

    def end(self) -> None:
        """Let a pending `receive` return ``http.disconnect``."""
        self._ended.set()
