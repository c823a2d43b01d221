"""What is no HTTP, and clients that go away: an answer where one can be given, and no noise."""

from __future__ import annotations

import random
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.apps import write_app
from tests.support.host_process import Dfhost, HostProcess

APP = """
@app.route(route="echo/{*rest}")
def echo(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(req.get_body())

@app.route(route="big")
def big(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(b"z" * 5_000_000)

@app.route(route="status/{code}")
def status(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("body", status_code=int(req.route_params["code"]))

@app.route(route="half")
def half(req: func.HttpRequest) -> str:
    return "a\\ud800b"

@app.route(route="untyped")
def untyped(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("x", headers={"Content-Type": ""})

@app.route(route="never", methods=[])
def never(req: func.HttpRequest) -> str:
    return "never"

@app.route(route="runtime/own")
def own(req: func.HttpRequest) -> str:
    return "never"
"""
HOST = b"Host: localhost\r\n"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    folder = write_app(tmp_path_factory.mktemp("malformed") / "app", APP)
    with HostProcess(folder, "--memory", "--in-process") as host:
        yield host


def connect(host: HostProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(host.url.rpartition(":")[2])), timeout=20)


def answer(host: HostProcess, data: bytes, half_close: bool = False) -> bytes:
    """Everything that comes back until the host closes the connection."""
    with connect(host) as connection:
        connection.sendall(data)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        try:
            while piece := connection.recv(1 << 16):
                received += piece
        except (ConnectionResetError, BrokenPipeError):
            pass
        return received


@pytest.mark.parametrize(
    "data",
    [
        b"rubbish\r\n\r\n",
        b"\0\1\2\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"A\0: b\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X-A: gr\xfcn\r\n\r\n",
        b"GET /api/echo/%00 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"HEAD / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_a_malformed_request_gets_an_empty_400(host: HostProcess, data: bytes) -> None:
    head, _, body = answer(host, data).partition(b"\r\n\r\n")
    status, *headers = head.decode().split("\r\n")
    assert status == "HTTP/1.1 400 Bad Request"
    assert "Connection: close" in headers and "Server: dfhost" in headers and not body


def test_malformed_requests_are_counted(host: HostProcess) -> None:
    for _ in range(12):
        answer(host, b"rubbish\r\n\r\n")
    host.line("malformed and refused")
    assert sum("malformed and refused" in line for line in host.lines) <= 2


def test_a_body_that_breaks_off_in_its_middle(host: HostProcess) -> None:
    head = b"POST /api/echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    with connect(host) as connection:
        connection.sendall(head)
        connection.sendall(b"zz\r\n")
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 400 Bad Request\r\n")
    for _ in range(5):  # an upload that is given up
        with connect(host) as connection:
            connection.sendall(b"POST /api/echo HTTP/1.1\r\n" + HOST + b"Content-Length: 100\r\n\r\nabc")


@pytest.mark.parametrize(("path", "length"), [("/api/echo", 0), ("/api/big", 5_000_000)])
def test_a_client_that_closes_its_side_still_gets_the_answer(
    host: HostProcess, path: str, length: int
) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    head, _, body = answer(host, request, half_close=True).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK") and len(body) == length


def test_a_body_that_is_there_already_needs_no_continue(host: HostProcess) -> None:
    data = b"POST /api/echo HTTP/1.1\r\n" + HOST + b"Connection: close\r\nExpect: 100-continue\r\n"
    assert answer(host, data + b"Content-Length: 2\r\n\r\nab").startswith(b"HTTP/1.1 200 OK")


@pytest.mark.long
def test_a_body_over_the_limit(host: HostProcess) -> None:
    for path in ("/api/echo", "/runtime/webhooks/durabletask/instances/x/raiseEvent/go"):
        data = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 104857601\r\n\r\n".encode()
        assert answer(host, data).startswith(b"HTTP/1.1 500 Internal Server Error")
        host.line(f"POST {path} was answered 500: its body has more than 104,857,600 bytes")


def test_version_in_the_status_line_is_ours(host: HostProcess) -> None:
    request = b"GET /api/echo HTTP/1.0\r\n" + HOST + b"\r\n"
    assert answer(host, request).startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer(host, request.replace(b"1.0", b"3.0")).startswith(b"HTTP/1.1 505 ")


@pytest.mark.parametrize("code", [0, -5, 99, 100, 101, 199, 1000])
def test_a_status_that_ends_no_response_is_a_500(host: HostProcess, code: int) -> None:
    assert host.client.request("GET", f"/api/status/{code}").plain == (500, None)
    host.line(f"GET /api/status/{code} was answered 500: status returned the status {code}, which cannot")


def test_unusual_status_codes_are_sent(host: HostProcess) -> None:
    for code in (204, 205, 299, 304, 600, 999):
        response = host.client.request("GET", f"/api/status/{code}")
        assert response.plain == (code, None if code in (204, 205, 304) else "body")


def test_text_that_is_not_unicode_is_a_500_with_a_line(host: HostProcess) -> None:
    assert host.client.request("GET", "/api/half").plain == (500, None)
    host.line("GET /api/half was answered 500: half returned text that is not Unicode")


def test_an_empty_content_type_is_none(host: HostProcess) -> None:
    response = host.client.request("GET", "/api/untyped")
    assert response.plain == (200, "x") and "Content-Type" not in response.headers


def test_routes_that_are_never_reached_are_said_at_the_start(host: HostProcess) -> None:
    host.line("never is never reached, because its list of methods is empty")
    host.line("Function 'own' has the route 'runtime/own', but routes that begin with 'runtime' belong to")
    assert host.client.request("GET", "/api/never").status == 404
    assert host.client.request("GET", "/api/runtime/own").status == 404


def test_random_requests_leave_no_traceback(host: HostProcess) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    choose = random.Random(seed)
    pieces = (
        b"GET POST HEAD PUT OPTIONS CONNECT G\0T".split(b" "),
        b"/ /api/echo /api/echo/%ff /admin/functions/x /runtime/webhooks/durabletask/instances * http://[x".split(),
        [b"HTTP/1.1"] * 8 + [b"HTTP/1.0", b"HTTP/2.0", b""],
        [
            HOST,
            HOST + b"Content-Length: 3\r\n",
            HOST + b"Transfer-Encoding: chunked\r\n",
            HOST + b"Connection: close\r\n",
            b"",
        ],
        [b"", b"abc", b"3\r\nabc\r\n0\r\n\r\n", b"zz\r\n", bytes(range(256))],
    )
    for _ in range(400):
        method, target, version, headers, body = (choose.choice(each) for each in pieces)
        data = bytearray(method + b" " + target + b" " + version + b"\r\n" + headers + b"\r\n" + body)
        if choose.random() < 0.5:
            data[choose.randrange(len(data))] = choose.randrange(256)
        received = answer(host, bytes(data), half_close=True)
        assert not received or re.match(rb"HTTP/1\.1 [1-5]\d\d ", received), (bytes(data), received)
    assert host.client.request("GET", "/api/echo").status == 200
    assert "Traceback" not in host.text


def test_throttling_and_custom_headers_are_settings(tmp_path: Path, dfhost_here: Dfhost) -> None:
    """The recordings show what they do; a header that cannot be sent is refused at the start."""
    folder = write_app(tmp_path / "app", APP)
    http = '{"customHeaders": {"X A": "1"}}'
    (folder / "host.json").write_text('{"version": "2.0", "extensions": {"http": ' + http + "}}")
    done = dfhost_here("start", folder, "--memory", "--in-process")
    assert done.returncode == 2
    assert "extensions.http.customHeaders.X A is not the name of a header" in done.stderr
