"""The app's HTTP functions, black box: a real server, real requests."""

from __future__ import annotations

import asyncio
import io
import json
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dfhost.errors import AppError, HostError, PortInUse
from dfhost.http.server import Server
from dfhost.management.responses import ManagementResponse
from tests.support.app_server import app_server, make_server, started_runner
from tests.support.apps import APPS, loaded_module, write_app
from tests.support.recording_log import RecordingLog


class Client:
    """Requests to one base URL, paths sent exactly as written."""

    server: Server

    def __init__(self, base: str, log: RecordingLog, session: aiohttp.ClientSession) -> None:
        self.base, self.log, self._session = base, log, session

    async def __call__(self, method: str, path: str, **options: Any) -> tuple[int, Any, bytes]:
        from yarl import URL

        url = URL(self.base + path, encoded=True)
        async with self._session.request(method, url, allow_redirects=False, **options) as response:
            return response.status, response.headers, await response.read()

    async def json(self, method: str, path: str, **options: Any) -> Any:
        status, _, body = await self(method, path, **options)
        assert status == 200, (status, body)
        return json.loads(body)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    names = ("x", "some.host", "my.host")  # what these tests call it
    async with (
        app_server("http", host_names=names) as (base, log, server),
        aiohttp.ClientSession() as session,
    ):
        client = Client(base, log, session)
        client.server = server
        yield client


# -- what a function sees --------------------------------------------------------------------------------------
async def test_the_request_as_the_worker_builds_it(client: Client) -> None:
    seen = await client.json(
        "PATCH",
        "/api/ECHO/Bob/x%2Fy%20z?a=1&A=2&empty=&flag&c=%C3%A9+b",
        headers=[("X-Two", "1"), ("X-Two", "2"), ("Content-Type", "text/plain")],
        data=b"\x00\xff",
    )
    assert seen["method"] == "PATCH"
    assert seen["url"] == client.base + "/api/ECHO/Bob/x%2Fy%20z?a=1&A=2&empty=&flag&c=%C3%A9+b"
    assert seen["params"] == {"A": "1,2", "c": "é b"}
    assert seen["route"] == {"name": "Bob", "rest": "x%2Fy z"}
    assert seen["headers"]["x-two"] == "1,2"
    assert seen["headers"]["content-type"] == "text/plain"
    assert all(name == name.lower() for name in seen["headers"])
    assert seen["body"].encode("latin-1") == b"\x00\xff"
    assert seen["thread"].startswith("ThreadPoolExecutor-0_")


async def test_absent_optional_parts_are_left_out(client: Client) -> None:
    assert (await client.json("GET", "/api/echo/Bob"))["route"] == {"name": "Bob"}


async def test_a_catch_all_takes_the_rest_as_it_is(client: Client) -> None:
    _, _, body = await client("GET", "/api/files/a/b%2Fc//d%20e/")
    assert body == b"a/b%2Fc//d e/ on user-loop"


async def test_bodies_have_no_limit_and_come_back_to_the_byte(client: Client) -> None:
    sent = bytes(range(256)) * 40_000  # 10 MB
    status, headers, body = await client("POST", "/api/upload", data=io.BytesIO(sent))
    assert (status, headers["Content-Type"]) == (200, "application/octet-stream")
    assert body == sent[::-1]


async def test_a_body_sent_in_chunks_arrives_whole(client: Client) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for n in range(3):
            yield bytes([n]) * 100_000

    for _ in range(2):
        _, _, body = await client("POST", "/api/upload", data=chunks())
        assert body == b"".join(bytes([n]) * 100_000 for n in (2, 1, 0))
    assert client.log.notes == [
        "upload: a request came without Content-Length (in chunks); on Azure the Functions host hands Python "
        "an empty body then."
    ]


async def test_a_client_that_expects_100_continue_gets_it(client: Client) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
    head = "POST /api/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    writer.write(head.encode())
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"ab")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
    assert await reader.readexactly(2) == b"ba"
    writer.close()
    await writer.wait_closed()


async def test_a_client_of_http_1_0_gets_its_answer_alone(client: Client) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
    writer.write(b"POST /api/upload HTTP/1.0\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    await writer.drain()
    await client("GET", "/api/files/a")  # meanwhile the server has read the head
    writer.write(b"ab")
    assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
    writer.close()
    await writer.wait_closed()


async def test_a_whole_url_as_request_target(client: Client) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
    writer.write(b"GET http://some.host/api/files/a%20b?x=1 HTTP/1.1\r\nHost: some.host\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
    assert await reader.readexactly(16) == b"a b on user-loop"
    writer.close()
    await writer.wait_closed()


async def test_a_compressed_body_is_not_unpacked(client: Client) -> None:
    import gzip

    packed = gzip.compress(b"text")
    _, _, body = await client("POST", "/api/upload", data=packed, headers={"Content-Encoding": "gzip"})
    assert body == packed[::-1]


async def test_forms_and_files(client: Client) -> None:
    form = aiohttp.FormData()
    form.add_field("title", "é")
    form.add_field("doc", b"content", filename="a.txt", content_type="text/plain")
    seen = await client.json("POST", "/api/form", data=form)
    assert seen == {"form": {"title": "é"}, "files": {"doc": "a.txt"}, "contents": {"doc": "content"}}
    seen = await client.json("POST", "/api/form", data={"a": "1"})
    assert seen["form"] == {"a": "1"}


@pytest.mark.parametrize(
    ("body", "status", "answer"),
    [
        (b'{"a": [1]}', 200, '{"a": [1]}'),
        (b"", 400, "HTTP request does not contain valid JSON data"),
        (b"{", 400, "HTTP request does not contain valid JSON data"),
    ],
)
async def test_json_bodies(client: Client, body: bytes, status: int, answer: str) -> None:
    found = await client("POST", "/api/asked", data=body)
    assert (found[0], found[2].decode()) == (status, answer)


async def test_the_invocation_context(client: Client) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    seen = await client.json(
        "GET", "/api/context", headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    )
    assert seen["function"] == "context" and seen["retry"] == 0
    assert seen["invocation"] == seen["local"] and len(seen["invocation"]) == 36
    assert re.fullmatch(f"00-{trace}-[0-9a-f]{{16}}-01", seen["trace"]) and "b7ad6b71" not in seen["trace"]
    assert re.fullmatch(
        "00-[0-9a-f]{32}-[0-9a-f]{16}-00", (await client.json("GET", "/api/context"))["trace"]
    )


async def test_the_durable_client_answers_with_the_callers_origin(client: Client) -> None:
    status, headers, body = await client("GET", "/api/client", headers={"Host": "my.host:99"})
    link = (
        "http://my.host:99/runtime/webhooks/durabletask/instances/some-id?taskHub=OtherHub&connection=Storage"
    )
    assert (status, headers["Location"], headers["Retry-After"]) == (202, link, "10")
    assert json.loads(body)["statusQueryGetUri"] == link


# -- what comes back -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("what", "status", "content_type", "body"),
    [
        ("text", 200, "text/plain; charset=utf-8", b"plain"),
        ("json", 200, "text/plain; charset=utf-8", '{\n  "a": [\n    1,\n    "é"\n  ]\n}'.encode()),
        ("number", 200, "text/plain; charset=utf-8", b"5"),
        ("empty", 200, "text/plain; charset=utf-8", b""),
        ("response", 418, "text/plain; charset=utf-8", b"short"),
        ("empty-response", 200, "text/plain; charset=utf-8", b""),
        ("no-content", 204, "text/plain; charset=utf-8", b""),
        ("status-of-text", 200, "text/plain; charset=utf-8", b"x"),
    ],
)
async def test_returns(client: Client, what: str, status: int, content_type: str | None, body: bytes) -> None:
    found = await client("GET", f"/api/returns/{what}")
    assert (found[0], found[1].get("Content-Type"), found[2]) == (status, content_type, body)
    if what == "response":
        assert found[1]["x-tea"] == "pot"


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("returns/nothing", "TypeError: a binding of type http cannot take a Python value of type NoneType"),
        ("returns/dict", "TypeError: a binding of type http cannot take a Python value of type dict"),
        ("raises", "ValueError: no such thing"),
        ("exits", "SystemExit: 3"),
        ("stored", "NotConnected: 'stored' reads 'rows' from a table binding"),
    ],
)
async def test_a_failure_is_an_empty_500_and_is_logged(client: Client, path: str, error: str) -> None:
    assert [*(await client("GET", f"/api/{path}"))[::2]] == [500, b""]
    entry = await client.log.entry("failed", path.split("/")[0], "http")
    assert entry[3].startswith(error)
    if path in ("raises", "exits"):
        assert re.search(rf'function_app\.py", line \d+, in {path}\n    raise ', entry[4])
    assert (await client("GET", "/api/returns/text"))[0] == 200


async def test_a_header_that_cannot_be_sent(client: Client) -> None:
    assert (await client("GET", "/api/returns/bad-header"))[0] == 500
    (refused,) = [entry for entry in client.log.entries if entry[0] == "refused"]
    assert refused[1:3] == ("GET /api/returns/bad-header", 500)
    assert "returns returned the header 'X Bad': 'a', which cannot be sent" in refused[3]


async def test_headers_and_cookies(client: Client) -> None:
    status, headers, _ = await client("GET", "/api/cookies")
    assert (status, headers["X-One"]) == (201, "1")
    assert headers.getall("Set-Cookie") == [
        "a=1; domain=; path=; samesite=lax; httponly",
        "b=x%252Fy; max-age=60; domain=; path=/api; secure",
    ]


async def test_charset_of_a_response(client: Client) -> None:
    _, headers, body = await client("GET", "/api/latin")
    assert (headers["Content-Type"], body) == ("text/html; charset=latin-1", b"\xe9")


async def test_an_out_parameter(client: Client) -> None:
    assert [*(await client("GET", "/api/out?set=1"))[::2]] == [202, b"through out"]
    assert (await client("GET", "/api/out"))[0] == 204


async def test_a_queue_output_is_put_into_its_queue() -> None:
    async with app_server(APPS / "http") as (base, log, _), aiohttp.ClientSession() as session:
        assert (await Client(base, log, session)("GET", "/api/queued"))[2] == b"queued"
        assert await log.entry("put") == ("put", "orders", "order 7")


async def test_head_is_answered_without_a_body(client: Client) -> None:
    status, headers, body = await client("HEAD", "/api/returns/text")
    assert (status, headers["Content-Length"], body) == (200, "5", b"")


# -- what is not there -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nowhere"),
        ("GET", "/api/echo/B0b"),
        ("POST", "/api/files/x"),
        ("OPTIONS", "/api/upload"),
        ("GET", "/upload"),
        ("GET", "/api//returns/text"),
    ],
)
async def test_no_such_route_or_method(client: Client, method: str, path: str) -> None:
    assert [*(await client(method, path))[::2]] == [404, b""]


@pytest.mark.parametrize(
    ("method", "path", "why"),
    [
        ("POST", "/api/files/x", "this route takes GET only"),
        ("POST", "/api/return/text", "did you mean /api/returns/{what}?"),
        ("GET", "/api/thing/recent", "did you mean /api/things/{id}?"),
        ("GET", "/api/elephants", "no function has this route"),
        ("GET", "/returns/%1B%5B2J", "did you mean /api/returns/{what}?"),
        ("GET", "/api/nothing%0Alike%20it", "no function has this route"),
        ("POST", "/retuns/text", "did you mean /api/returns/{what}?"),
        ("GET", "/elephants", "no function has this route"),
        ("GET", "/favicon.ico", None),
        ("GET", "/robots.txt", None),
        ("GET", "/.well-known/appspecific/com.chrome.devtools.json", None),
    ],
)
async def test_the_log_says_why_no_function_was_found(
    client: Client, method: str, path: str, why: str | None
) -> None:
    for _ in range(2):
        assert [*(await client(method, path))[::2]] == [404, b""]
    assert client.log.entries == ([("refused", f"{method} {path}", 404, why)] if why else [])


async def test_a_scanner_does_not_fill_the_log(client: Client) -> None:
    for number in range(210):
        await client("GET", f"/api/nothing/{number}")
    assert [entry[0] for entry in client.log.entries] == ["refused"] * 200 + ["note"]
    assert client.log.entries[-1][1] == "200 different requests were refused. The next ones are not shown."


async def test_functions_are_tried_in_order_of_name_and_that_is_noted(client: Client) -> None:
    assert (await client("GET", "/api/things/recent"))[2] == b"any"
    assert client.server.notes == [
        "recent: /api/things/recent is never reached, because get_any takes its requests with /api/things/{id}. "
        "The Functions host tries functions in the order of their names."
    ]


# -- the server itself -----------------------------------------------------------------------------------------
async def test_every_call_is_logged(client: Client) -> None:
    await client("GET", "/api/returns/text")
    assert client.log.entries == [("started", "returns", "http"), ("finished", "returns", "http")]


async def test_slow_functions_do_not_hold_each_other_up(tmp_path: Path) -> None:
    folder = write_app(
        tmp_path,
        """
        import asyncio, threading
        gate, async_gate = threading.Event(), asyncio.Event()

        @app.route(route="sync")
        def sync(req) -> str:
            gate.wait()
            return "sync"

        @app.route(route="async")
        async def coro(req) -> str:
            await async_gate.wait()
            return "async"

        @app.route(route="open")
        async def open_both(req) -> str:
            gate.set()
            async_gate.set()
            return "open"
        """,
    )
    async with app_server(folder) as (base, log, _), aiohttp.ClientSession() as session:
        client = Client(base, log, session)
        waiting = [asyncio.create_task(client("GET", f"/api/{name}")) for name in ("sync", "async")]
        await log.entry("started", "sync")
        await log.entry("started", "coro")
        assert (await client("GET", "/api/open"))[2] == b"open"
        assert [body for _, _, body in await asyncio.gather(*waiting)] == [b"sync", b"async"]


async def test_an_empty_route_prefix_and_another_one(tmp_path: Path) -> None:
    folder = write_app(tmp_path, "@app.route(route='x')\ndef x(req) -> str: return req.url\n")
    for prefix, path in (("", "/x"), ("/v1/deep/", "/v1/Deep/x")):
        async with (
            app_server(folder, route_prefix=prefix) as (base, log, _),
            aiohttp.ClientSession() as session,
        ):
            client = Client(base, log, session)
            assert (await client("GET", path))[2].decode() == base + path
            assert (await client("GET", "/api/x"))[0] == 404


async def test_asgi_and_wsgi_apps(tmp_path: Path) -> None:
    folder = write_app(
        tmp_path / "asgi",
        """
        async def web(scope, receive, send):
            event = await receive()
            headers = [(b"x-path", scope["path"].encode())]
            await send({"type": "http.response.start", "status": 207, "headers": headers})
            await send({"type": "http.response.body", "body": event["body"] + b"!", "more_body": False})

        # Not AsgiFunctionApp: it calls asyncio.run() when it is collected, which may be inside a test's loop.
        @app.route(route="{*path}")
        async def asgi(req, context):
            return await func.AsgiMiddleware(web).handle_async(req, context)
        """,
    )
    async with app_server(folder, route_prefix="") as (base, log, _), aiohttp.ClientSession() as session:
        client = Client(base, log, session)
        status, headers, body = await client("POST", "/a/b", data=b"hi")
        assert (status, headers["x-path"], body) == (207, "/a/b", b"hi!")
        assert (await client("GET", "/"))[0] == 207
    folder = write_app(
        tmp_path / "wsgi",
        """
        import azure.functions as func
        def web(environ, start):
            start("203 Fine", [("X-Path", environ["PATH_INFO"])])
            return [environ["wsgi.input"].read(), b"?"]
        app = func.WsgiFunctionApp(app=web)
        """,
        "",
    )
    async with app_server(folder, route_prefix="") as (base, log, _), aiohttp.ClientSession() as session:
        status, headers, body = await Client(base, log, session)("PUT", "/c", data=b"hi")
        assert (status, headers["X-Path"], body) == (203, "/c", b"hi?")
    with pytest.raises(AppError, match=r'set extensions\.http\.routePrefix to "" in host\.json'):
        async with app_server(folder):
            pass


@pytest.mark.parametrize(
    ("route", "sentence"),
    [
        ("admin/x", "routes that begin with 'admin' belong to the host"),
        ("/x", "Leave out its first slash"),
        ("{x:nonsense}", "there is no constraint 'nonsense'"),
    ],
)
async def test_invalid_routes_are_refused_at_once(tmp_path: Path, route: str, sentence: str) -> None:
    folder = write_app(tmp_path, f"@app.route(route={route!r})\ndef f(req): ...\n")
    with pytest.raises(AppError) as caught:
        async with app_server(folder):
            pass
    assert f"Function 'f' has the route '{route}'" in str(caught.value) and sentence in str(caught.value)


async def test_a_mount_gets_the_requests_below_its_prefix(tmp_path: Path) -> None:
    seen: list[Any] = []

    async def mount(
        method: str, path: str, query: str, headers: Any, body: bytes, origin: str
    ) -> ManagementResponse:
        seen.append((method, path, query, headers["x-a"], body, origin))
        return ManagementResponse(202, {"X-B": "b"}, b"mounted")

    folder = write_app(tmp_path, "@app.route(route='{*all}')\ndef all(req) -> str: return 'app'\n")
    mounts = {"/runtime/Hooks": mount, "/rpc/": mount}
    async with (
        app_server(folder, route_prefix="", mounts=mounts) as (base, log, _),
        aiohttp.ClientSession() as session,
    ):
        client = Client(base, log, session)
        for path in ("/RUNTIME/hooks/a%2Fb/c%20d?x=%31", "/rpc/", "/rpc"):
            status, headers, body = await client("DELETE", path, data=b"body", headers={"X-A": "1"})
            assert (status, headers["X-B"], body) == (202, "b", b"mounted")
        assert (await client("GET", "/rpcs"))[2] == b"app"
        assert seen == [
            ("DELETE", "a%2Fb/c%20d", "x=%31", "1", b"body", base),
            ("DELETE", "", "", "1", b"body", base),
            ("DELETE", "", "", "1", b"body", base),
        ]


async def test_a_defect_of_dfhost_is_a_500_without_a_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def mount(*_: Any) -> ManagementResponse:
        raise RuntimeError("ours")

    folder = write_app(tmp_path, "")
    async with (
        app_server(folder, mounts={"/broken": mount}) as (base, log, _),
        aiohttp.ClientSession() as session,
    ):
        assert [*(await Client(base, log, session)("GET", "/broken/x"))[::2]] == [500, b""]
    assert "RuntimeError: ours" in caplog.text


async def test_a_port_in_use_is_refused_with_advice() -> None:
    log = RecordingLog()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with started_runner("http", log) as (runner, _):
            with pytest.raises(PortInUse) as caught:
                await make_server(runner, log, port=port).start()
            assert f"Port {port} is in use" in str(caught.value) and "--port" in str(caught.value)
            with pytest.raises(HostError, match=r"Cannot listen on 192\.0\.2\.1:0"):
                await make_server(runner, log, address="192.0.2.1").start()


async def test_stop_lets_running_calls_end_and_refuses_new_ones(tmp_path: Path) -> None:
    folder = write_app(
        tmp_path,
        """
        import threading
        gate = threading.Event()

        @app.route(route="slow")
        def slow(req) -> str:
            gate.wait()
            return "done"
        """,
    )
    async with app_server(folder) as (base, log, server), aiohttp.ClientSession() as session:
        client = Client(base, log, session)
        call = asyncio.create_task(client("GET", "/api/slow"))
        await log.entry("started", "slow")
        stopping = asyncio.create_task(server.close(grace_period=60))
        while (await client("GET", "/api/slow"))[0] != 503:  # until `stop` has run for the first time
            raise AssertionError("a new call was taken")
        loaded_module().gate.set()
        assert (await call)[2] == b"done"
        await stopping
        with pytest.raises(aiohttp.ClientConnectorError):
            await client("GET", "/api/slow")


async def test_a_call_over_its_time_is_a_500(tmp_path: Path) -> None:
    folder = write_app(
        tmp_path,
        """
        import threading
        @app.route(route="hangs")
        def hangs(req) -> str: threading.Event().wait()
        @app.route(route="sleeps")
        async def sleeps(req) -> str:
            import asyncio
            await asyncio.Event().wait()
        """,
    )
    async with app_server(folder, timeout=0.05) as (base, log, _), aiohttp.ClientSession() as session:
        for name in ("hangs", "sleeps"):
            assert (await Client(base, log, session)("GET", f"/api/{name}"))[0] == 500
            entry = await log.entry("failed", name)
            assert entry[3] == (
                f"Timeout value of 00:00:00.0500000 was exceeded by function: Functions.{name}"
            )


async def test_cors_as_configured_in_local_settings() -> None:
    page = {"Origin": "http://localhost:3000"}
    asked = {**page, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x-a"}
    async with (
        app_server("http", cors=("http://localhost:3000",), cors_credentials=True) as (base, log, _),
        aiohttp.ClientSession() as session,
    ):
        client = Client(base, log, session)
        status, headers, _ = await client("OPTIONS", "/api/upload", headers=asked)
        assert (status, headers["Access-Control-Allow-Methods"]) == (204, "PUT")
        assert headers["Access-Control-Allow-Headers"] == "x-a"
        _, headers, _ = await client("GET", "/api/returns/text", headers=page)
        assert headers["Access-Control-Allow-Origin"] == page["Origin"]
        assert headers["Access-Control-Allow-Credentials"] == "true" and headers["Vary"] == "Origin"
        _, headers, _ = await client("GET", "/api/returns/text", headers={"Origin": "http://other"})
        assert "Access-Control-Allow-Origin" not in headers
    async with app_server("http", cors=("*",)) as (base, log, _), aiohttp.ClientSession() as session:
        _, headers, _ = await Client(base, log, session)("GET", "/api/returns/text", headers=page)
        assert headers["Access-Control-Allow-Origin"] == "*"
