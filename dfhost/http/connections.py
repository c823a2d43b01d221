"""The listener's connections: what aiohttp does otherwise than Kestrel before a request reaches its handler.

- A request that is no HTTP gets an empty 400, and the connection closes. It is counted, not logged as an error.
- A client that has sent a whole request may close its side, and still gets the answer.
- The version in the status line is the server's, 1.1, whatever the client's is.
- Header values that are not UTF-8, and ``%00`` in a path, are malformed, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import HttpVersion10, HttpVersion11, StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter
from aiohttp.web_protocol import RequestPayloadError, _ErrInfo
from multidict import CIMultiDict

# llhttp's words for a version that it cannot read; Kestrel answers 505.
_VERSION_ERRORS = ("Invalid HTTP version", "Expected HTTP/")


class Request(web.BaseRequest):
    """A request without a limit on its body; `http.messages` has one."""

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        # aiohttp gives every body a type; a function that returns an empty one wants none.
        if response.headers.get("Content-Type") == "":
            del response.headers["Content-Type"]

    def problem(self) -> int | None:
        """The status that answers a request which no handler should see; None for any other."""
        message = self._message
        if message.version != HttpVersion11 and message.version != HttpVersion10:
            return 505
        for _, value in message.raw_headers:
            if not value.isascii() and not _is_utf8(value):
                return 400
        return 400 if "%00" in message.path.partition("?")[0] else None


class Listener(web.Server):
    """aiohttp's server with connections of our own. `on_malformed` is called with what was wrong."""

    def __init__(self, handler: Any, on_malformed: Callable[[str], None], **options: Any) -> None:
        super().__init__(handler, request_factory=_request, **options)
        self.on_malformed = on_malformed

    def __call__(self) -> _Connection:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(web.RequestHandler):
    __slots__ = ("newest_body",)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.newest_body: StreamReader | None = None  # of the newest request that is or was handled

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # aiohttp would answer a broken chunk once its handler is done, which waits for the rest of the body.
        if self._messages and isinstance(self._messages[-1][0], _ErrInfo):
            body = self.newest_body
            if body is not None and not body.is_eof():
                body.set_exception(RequestPayloadError(self._messages[-1][0].message))

    def eof_received(self) -> bool:  # type: ignore[override]
        """Whether the connection stays open: for the answer to a request that has arrived whole (`nc -N`)."""
        bodies = [body for _, body in self._messages]
        if self._waiter is None and self.newest_body is not None:
            bodies.append(self.newest_body)
        if not bodies or not all(body.is_eof() for body in bodies):
            return False
        self.close()
        return True

    def log_exception(self, *args: Any, **options: Any) -> None:
        # A body that breaks while aiohttp reads the rest of it, behind the answer, is the client's fault.
        if not isinstance(options.get("exc_info"), RequestPayloadError):
            super().log_exception(*args, **options)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError  # an answer that has started can only be broken off
        problem = first_line(message or str(exc))
        if status == 400 and any(each in (message or "") for each in _VERSION_ERRORS):
            status = 505
        if isinstance(self._manager, Listener):
            self._manager.on_malformed(problem)
        response = web.Response(status=status, headers={"Server": "dfhost"})
        response.force_close()
        return response


class _OwnVersionWriter(StreamWriter):
    """Answers a client of another version than 1.1."""

    async def write_headers(self, status_line: str, headers: CIMultiDict[str]) -> None:
        headers.setdefault("Connection", "close")
        await super().write_headers("HTTP/1.1" + status_line[len("HTTP/1.x") :], headers)


def _request(
    message: Any, payload: Any, protocol: Any, writer: AbstractStreamWriter, task: Any
) -> web.BaseRequest:
    protocol.newest_body = payload
    loop = asyncio.get_running_loop()
    if message.version != HttpVersion11:
        writer = _OwnVersionWriter(protocol, loop)
    return Request(message, payload, protocol, writer, task, loop, client_max_size=0)


def first_line(problem: str) -> str:
    """What the parser says, without the bytes that it shows below."""
    return problem.partition("\n")[0].rstrip(":. ")


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
