"""A request without a socket gets the response that it gets over one, byte for byte."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.support.app_server import app_server, make_server, started_runner
from tests.support.recording_log import RecordingLog

BODY = b"some text, \x00 and \xff"
REQUESTS = {
    "a query": b"GET /api/echo/Bob/x?a=1&c=%C3%A9 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a body": b"POST /api/echo/Bob/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b"
    % (len(BODY), BODY),
    "chunks": b"POST /api/echo/Bob/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"4\r\nabcd\r\n0\r\n\r\n",
    "no route": b"GET /api/nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no body": b"HEAD /api/echo/Bob/x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "the host's own": b"GET /admin/functions HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "another name": b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "no HTTP": b"hello\r\n\r\n",
    "an old version": b"GET /api/nowhere HTTP/1.0\r\nHost: localhost\r\n\r\n",
    "cut short": b"POST /api/echo/Bob/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc",
}


@pytest.mark.parametrize("request_bytes", REQUESTS.values(), ids=REQUESTS.keys())
async def test_the_response_is_the_same_as_over_a_socket(request_bytes: bytes) -> None:
    async with app_server("http") as (_, _, server):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request_bytes)
        writer.write_eof()
        over_socket = await reader.read()
        writer.close()
        assert comparable(await server.exchange(request_bytes)) == comparable(over_socket)


async def test_a_server_without_a_port_answers_all_the_same() -> None:
    log = RecordingLog()
    async with started_runner("http", log) as (runner, _):
        server = make_server(runner, log, port=None)
        await server.start()
        assert server.port is None
        assert (await server.exchange(REQUESTS["a query"])).startswith(b"HTTP/1.1 200 OK\r\n")
        await server.close()


def comparable(response: bytes) -> bytes:
    """Without what differs from one moment to the next."""
    return re.sub(rb"Date: [^\r]*\r\n|ThreadPoolExecutor-0_\d+", b"", response)
