"""Streamed requests and responses, as azurefunctions-extensions-http-fastapi brings them."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.support.apps import ROOT, write_app
from tests.support.host_process import HostProcess
from tests.support.waiting import until

# Not imported here: that would change how every app in this process is loaded.
try:
    distribution("azurefunctions-extensions-http-fastapi")
except PackageNotFoundError:
    pytest.skip("azurefunctions-extensions-http-fastapi is not installed", allow_module_level=True)

pytestmark = pytest.mark.long

APP = """
import asyncio, json, threading
from azurefunctions.extensions.http.fastapi import JSONResponse, Request, Response, StreamingResponse

acknowledged = asyncio.Event()

@app.route(route="count", methods=["GET"])
async def count(req: Request) -> StreamingResponse:
    async def numbers():
        for n in range(3):
            yield f"{n} "
            await acknowledged.wait()
    return StreamingResponse(numbers(), media_type="text/event-stream", headers={"x-a": "1"})

@app.route(route="acknowledge", methods=["POST"])
async def acknowledge(req: Request) -> Response:
    acknowledged.set()
    return Response(status_code=204)

@app.route(route="upload/{name}", methods=["POST"])
async def upload(req: Request) -> JSONResponse:
    pieces, size = 0, 0
    async for piece in req.stream():
        pieces, size = pieces + 1, size + len(piece)
    return JSONResponse({"name": req.path_params["name"], "q": req.query_params["q"], "size": size,
                         "several": pieces > 1, "url": str(req.url)}, status_code=201)

@app.route(route="plain")
def plain(req: Request, context: func.Context) -> dict:
    return {"thread": threading.current_thread().name, "function": context.function_name}

@app.route(route="raises")
async def raises(req: Request) -> Response:
    raise ValueError("no")

@app.route(route="breaks")
async def breaks(req: Request) -> StreamingResponse:
    async def numbers():
        yield b"started"
        raise ValueError("in the middle")
    return StreamingResponse(numbers())

@app.route(route="odd/{what}")
async def odd(req: Request) -> Response:
    if req.path_params["what"] == "header":
        return Response("x", headers={"x-a": "a\x1bb"})
    return Response("x", status_code=101)

@app.route(route="client")
@app.durable_client_input(client_name="client")
async def client(req: Request, client) -> Response:
    return Response(json.dumps(client.create_http_management_payload("an-id")))
"""


SERVE = (sys.executable, "-m", "tests.support.app_server")


class Host:
    def __init__(self, base: str, session: aiohttp.ClientSession) -> None:
        self.base, self.session = base, session
        self.log: list[list[Any]] = []

    def __call__(self, method: str, path: str, **options: Any) -> Any:
        return self.session.request(method, self.base + path, **options)


@asynccontextmanager
async def host_of(folder: Path) -> AsyncIterator[Host]:
    """A process of its own, because the extension changes every app of the process that imports it."""
    process = await asyncio.create_subprocess_exec(
        *SERVE,
        str(folder),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    port = int(await process.stdout.readline())
    async with aiohttp.ClientSession() as session:
        host = Host(f"http://127.0.0.1:{port}", session)
        try:
            yield host
        finally:
            output, _ = await process.communicate(b"")  # before Python 3.12, only an input closes stdin
            host.log = json.loads(output)


async def test_streams_both_ways(tmp_path: Path) -> None:
    async with host_of(write_app(tmp_path, APP)) as host:
        # A response arrives piece by piece: the second piece is only made once the client has the first.
        async with host("GET", "/api/count") as response:
            assert (response.status, response.headers["x-a"]) == (200, "1")
            assert response.headers["Content-Type"].startswith("text/event-stream")
            assert await response.content.readexactly(2) == b"0 "
            async with host("POST", "/api/acknowledge") as reply:
                assert reply.status == 204
            assert await response.content.read() == b"1 2 "

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(20):
                yield b"x" * 100_000

        async with host("POST", "/api/upload/a%20b?q=1", data=pieces()) as response:
            assert response.status == 201
            assert await response.json() == {
                "name": "a b",
                "q": "1",
                "size": 2_000_000,
                "several": True,
                "url": f"{host.base}/api/upload/a b?q=1",
            }

        async with host("GET", "/api/plain") as response:
            seen = await response.json()
            assert seen["thread"].startswith("ThreadPoolExecutor-0_")
            assert seen["function"] == "plain"
        async with host("GET", "/api/client") as response:
            assert (
                "/instances/an-id?taskHub=Hub"
                in (await response.json(content_type=None))["statusQueryGetUri"]
            )
        async with host("GET", "/api/raises") as response:
            assert (response.status, await response.read()) == (500, b"")
        async with host("GET", "/api/nowhere") as response:
            assert (response.status, await response.read()) == (404, b"")
        with pytest.raises(aiohttp.ClientPayloadError):
            async with host("GET", "/api/breaks") as response:
                await response.read()

    failures = {entry[1]: entry[3:] for entry in host.log if entry[0] == "failed"}
    assert failures["raises"][0] == "ValueError: no"
    assert failures["breaks"][0] == "ValueError: in the middle"
    assert 'function_app.py", line' in failures["raises"][1]


async def test_a_client_that_leaves_ends_the_stream(tmp_path: Path) -> None:
    folder = write_app(
        tmp_path,
        """
        import asyncio, gc
        from azurefunctions.extensions.http.fastapi import Request, Response, StreamingResponse
        left = asyncio.Event()

        @app.route(route="endless")
        async def endless(req: Request) -> StreamingResponse:
            async def pieces():
                try:
                    while True:
                        yield b"x" * 65536
                finally:
                    left.set()
            return StreamingResponse(pieces())

        @app.route(route="left")
        async def has_left(req: Request) -> Response:
            # The web framework only drops the stream; Python ends it when its objects are collected.
            while not left.is_set():
                gc.collect()
                await asyncio.sleep(0.01)
            return Response("left")
        """,
    )
    async with host_of(folder) as host:
        async with host("GET", "/api/endless") as response:
            await response.content.readexactly(10)
            response.close()
        async with host("GET", "/api/left") as response:
            assert await response.text() == "left"


@pytest.mark.parametrize("options", [(), ("--in-process",)], ids=["worker", "in-process"])
def test_a_client_that_leaves_in_the_middle_of_its_upload(tmp_path: Path, options: tuple[str, ...]) -> None:
    folder = write_app(
        tmp_path / "app",
        """
        from azurefunctions.extensions.http.fastapi import Request, Response
        ends = []

        @app.route(route="upload", methods=["POST"])
        async def upload(req: Request) -> Response:
            try:
                async for piece in req.stream():
                    print("has a piece")
            except Exception as error:
                ends.append(type(error).__name__)
                raise
            return Response("all")

        @app.route(route="ends")
        async def how_uploads_ended(req: Request) -> Response:
            return Response(str(ends))
        """,
    )
    with HostProcess(folder, *options, cwd=tmp_path) as host:
        with socket.create_connection(("127.0.0.1", urlsplit(host.url).port or 0)) as client:
            client.sendall(
                b"POST /api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhalf"
            )
            host.line("has a piece")
        ends = until(lambda: host.client.request("GET", "/api/ends").text, lambda text: text != "[]")
        assert ends == "['ConnectionResetError']"
        host.signal()
        assert host.exit_code() == 0


async def test_plain_requests_do_not_mix_with_the_extension(tmp_path: Path) -> None:
    folder = write_app(
        tmp_path,
        """
        from azurefunctions.extensions.http.fastapi import Request
        @app.route(route="old")
        def old(req: func.HttpRequest) -> str: ...
        """,
    )
    process = await asyncio.create_subprocess_exec(
        *SERVE, str(folder), cwd=ROOT, stderr=asyncio.subprocess.PIPE
    )
    _, error = await process.communicate()
    assert b"annotated as 'HttpRequest', which does not match its httpTrigger binding" in error


async def test_a_response_that_cannot_be_sent_is_a_500_with_a_line(tmp_path: Path) -> None:
    async with host_of(write_app(tmp_path, APP)) as host:
        for what in ("header", "status"):
            async with host("GET", f"/api/odd/{what}") as response:
                assert (response.status, await response.read()) == (500, b"")
    refused = [entry[1:] for entry in host.log if entry[0] == "refused"]
    assert [entry[:2] for entry in refused] == [["GET /api/odd/header", 500], ["GET /api/odd/status", 500]]
    assert "odd returned the header 'x-a': 'a\\x1bb', which cannot be sent" in refused[0][2]
    assert "odd returned the status 101, which cannot end a response" in refused[1][2]


async def test_a_test_of_a_stream(tmp_path: Path) -> None:
    """`dfhost.testing` reads the pieces of a response, and what has come of a stream that breaks off."""
    folder = write_app(tmp_path, APP)
    code = f"""
from dfhost.testing import Host
with Host({str(folder)!r}) as durable:
    durable.post("/api/acknowledge")
    print(durable.get("/api/count").text, durable.get("/api/breaks").text, durable.post("/api/acknowledge").status)
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    printed, _ = await process.communicate()
    assert printed.decode().split() == ["0", "1", "2", "started", "204"]


@pytest.mark.parametrize("options", [("--in-process",), ()])
def test_what_a_function_with_a_stream_writes_to_a_queue_is_put(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    folder = write_app(
        tmp_path / "app",
        """
        from azurefunctions.extensions.http.fastapi import Request, Response

        @app.route(route="put", methods=["POST"])
        @app.queue_output(arg_name="out", queue_name="out", connection="")
        async def put(req: Request, out: func.Out[str]) -> Response:
            out.set((await req.body()).decode())
            return Response("put")

        @app.route(route="put-sync/{text}")
        @app.queue_output(arg_name="out", queue_name="out", connection="")
        def put_sync(req: Request, out: func.Out[str]) -> Response:
            out.set(req.path_params["text"])
            return Response("put")
        """,
    )
    with HostProcess(folder, "--memory", *options, cwd=tmp_path) as host:
        assert host.client.request("POST", "/api/put", b"a").plain == (200, "put")
        assert host.client.request("GET", "/api/put-sync/b").plain == (200, "put")
        assert host.client.request("POST", "/api/put", b"[not json]").status == 500
        messages = host.client.request("GET", "/admin/queues/out").body["messages"]
        assert [each["message"] for each in messages] == ["a", "b"]
        host.signal()
