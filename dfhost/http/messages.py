"""aiohttp's requests and responses as plain values: target, origin and body in, an `HttpReply` out."""

from __future__ import annotations

from aiohttp import web
from multidict import CIMultiDict

from dfhost.app.http_messages import HttpReply


def raw_target(request: web.BaseRequest) -> tuple[str, str]:
    """Raw path and raw query, even where a client sends a whole URL as the request target."""
    target = request.raw_path
    if not target.startswith("/"):
        target = request.rel_url.raw_path_qs
    path, _, query = target.partition("?")
    return path, query


def origin(request: web.BaseRequest) -> str:
    """Scheme and host as the client used them: ``http://localhost:7071``."""
    return f"{request.scheme}://{request.host}"


async def read_body(request: web.BaseRequest) -> bytes:
    if not request.body_exists:
        return b""
    await send_continue(request)
    return await request.read()


async def send_continue(request: web.BaseRequest) -> None:
    """Answer ``Expect: 100-continue``: curl waits a second for it before it sends a large body."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


def web_response(reply: HttpReply) -> web.Response:
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in reply.headers:
        # The body decides its length, and the server decides about framing and connection.
        if name.lower() not in ("content-length", "transfer-encoding", "connection"):
            headers.add(name, value)
    return web.Response(status=reply.status, headers=headers, body=reply.body)
