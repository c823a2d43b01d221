"""aiohttp's requests and responses as plain values: target, origin and body in, an `HttpReply` out."""

from __future__ import annotations

import re
from collections.abc import Iterable

from aiohttp import HttpVersion11, web
from multidict import CIMultiDict

from dfhost.runner.app_runner import HttpReply

MAX_BODY = 104_857_600  # bytes; FunctionsHostingConfig's default for the body of a request

_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110: token
_HEADER_VALUE = re.compile(r"[\t -~]*")  # what Kestrel sends

# ASP.NET Core's phrases where Python has others, or has another in each version.
_REASONS = {
    413: "Payload Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    418: "I'm a teapot",
    419: "Authentication Timeout",
    422: "Unprocessable Entity",
    499: "Client Closed Request",
}


class BodyTooLarge(Exception):
    """The request's body has more than `MAX_BODY` bytes."""


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
    """The whole body. Raises BodyTooLarge, and what aiohttp raises for a broken one."""
    if not request.body_exists:
        return b""
    length = request.content_length
    if length is not None and length > MAX_BODY:
        raise BodyTooLarge
    await send_continue(request)
    if length is not None:
        return await request.read()
    body = bytearray()
    while chunk := await request.content.readany():
        body += chunk
        if len(body) > MAX_BODY:
            raise BodyTooLarge
    return bytes(body)


async def send_continue(request: web.BaseRequest) -> None:
    """Answer ``Expect: 100-continue``, unless the body is there already.

    curl waits a second for it before it sends a large body. A client of HTTP/1.0 does not know it.
    """
    if request.version < HttpVersion11:
        return
    if request.headers.get("Expect", "").lower() == "100-continue" and not request.content.total_bytes:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


def unsendable(status: int, headers: Iterable[tuple[str, str]]) -> str | None:
    """What of a function's response cannot be sent, as the object of a sentence; None if all can."""
    if not 200 <= status <= 999:
        return f"the status {status}, which cannot end a response; use one from 200 to 599"
    for name, value in headers:
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            sentence = f"the header {name!r}: {value!r}, which cannot be sent. "
            sentence += "A header holds ASCII without control characters; quote or encode the rest"
            if name.lower() == "location":
                sentence += ". An instance that the function has started runs all the same"
            return sentence
    return None


def web_response(reply: HttpReply) -> web.Response:
    headers: CIMultiDict[str] = CIMultiDict()
    closes = False
    for name, value in reply.headers:
        match name.lower():
            case "content-length" | "transfer-encoding":
                continue  # the body decides its length, and the server how it is framed
            case "connection":
                closes = value.lower() != "keep-alive"
                value = "Upgrade" if value.lower() == "upgrade" else value
        headers.add(name, value)
    status = reply.status
    body = b"" if status == 205 else reply.body
    response = web.Response(status=status, reason=_REASONS.get(status), headers=headers, body=body)
    if closes:
        response.force_close()
    return response
