"""Random requests, well-formed and not: each gets an answer that a client can read, and the host stands.

FUZZ_REQUESTS: how many there are; FUZZ_SEED repeats a run.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import socket
import string
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from tests.support.apps import write_app
from tests.support.host_process import HostProcess
from tests.support.http_client import MANAGEMENT

SEED = int(os.environ.get("FUZZ_SEED") or random.SystemRandom().randrange(10**6))
REQUESTS = int(os.environ.get("FUZZ_REQUESTS") or 600)

APP = """
@app.route(route="echo/{*rest}")
def echo(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(req.get_body(), mimetype="application/octet-stream")

@app.route(route="json")
def json_body(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(str(type(req.get_json())))

@app.route(route="typed/{number:int}/{name?}", methods=["GET", "PUT"])
def typed(req: func.HttpRequest) -> str:
    return req.route_params["number"]

@app.route(route="start/{name}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client) -> func.HttpResponse:
    text = req.get_body().decode("utf-8", "replace")
    id = await client.start_new(req.route_params["name"], req.params.get("id"), text)
    return client.create_check_status_response(req, id)

@app.orchestration_trigger(context_name="context")
def waits(context):
    return (yield context.wait_for_external_event("go"))

@app.orchestration_trigger(context_name="context")
def quick(context):
    return context.get_input()

@app.entity_trigger(context_name="context")
def counter(context):
    context.set_state(context.get_state(lambda: 0) + 1)
"""

USUAL_METHODS = ["GET", "POST", "DELETE", "POST", "GET", "PUT", "HEAD"]
METHODS = ["OPTIONS", "PATCH", "TRACE", "get", "G3T", "ÄTT", ""]
PATHS = [
    "/", "*", "//", "/api", "/api/echo/{}", "/api/json", "/api/typed/{}", "/api/typed/{}/{}",
    "/api/start/quick?id={}", "/api/start/waits?id={}", "/api/start/waits", "/api/start/{}",
    f"{MANAGEMENT}/orchestrators/quick/{{}}", f"{MANAGEMENT}/orchestrators/{{}}", f"{MANAGEMENT}/instances",
    f"{MANAGEMENT}/instances/{{}}", f"{MANAGEMENT}/instances/{{}}/raiseEvent/{{}}",
    f"{MANAGEMENT}/instances/{{}}/terminate?reason={{}}", f"{MANAGEMENT}/instances/{{}}/suspend",
    f"{MANAGEMENT}/instances/{{}}/resume", f"{MANAGEMENT}/instances/{{}}/rewind",
    f"{MANAGEMENT}/instances/{{}}/restart?restartWithNewInstanceId={{}}",
    f"{MANAGEMENT}/instances?runtimeStatus={{}}&top={{}}",
    f"{MANAGEMENT}/instances?runtimeStatus=Failed&createdTimeFrom={{}}",
    f"{MANAGEMENT}/instances?instanceIdPrefix={{}}", f"{MANAGEMENT}/entities",
    f"{MANAGEMENT}/entities/counter/{{}}", f"{MANAGEMENT}/entities/{{}}?fetchState={{}}", "/admin/host/status",
    "/admin/functions", "/admin/functions/{}", "/dashboard", "/dashboard/{}", "/{}",
]  # fmt: skip
ODD = [
    "", "a", "1", "-1", "true", "@counter@x", "@", "%00", "%0d%0aX: y", "%2e%2e", "..", ".", "%", "%zz", "%ff", "é",
    "☃", "%C0%AF", "\\", "'", '"', "<script>", "{0}", ";x=1", "a/b", "%2F", "x" * 120, "y" * 9000, "\x1b[2J", "‮",
    "2026-01-01T00:00:00Z", "Failed", "Failde",
]  # fmt: skip
HEADERS = [
    "Content-Type: application/json", "Content-Type: application/json; charset=utf-16",
    "Content-Type: x; charset=punycode", "Content-Type: text/plain; charset=\x01",
    "Content-Type: application/x-www-form-urlencoded", "Content-Type:", "Accept: */*",
    "Origin: https://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site", "Host: evil.example",
    "Expect: 100-continue", "Expect: 42", "Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked",
    "Content-Length: 0", "Content-Length: -1", "Content-Length: 5, 6", "Content-Length: 99999999999999999999",
    "Content-Encoding: gzip", "Upgrade: h2c", "Connection: upgrade, close", "Connection: keep-alive",
    "Cookie: a=b; c", "X-\x00: y", "X-Forwarded-Proto: https", "X-Forwarded-Host: a.b", "If-Match: *",
    "Authorization: Basic %%%", " folded: yes", "no colon", "X-Long: " + "z" * 20_000,
]  # fmt: skip
BODIES = [
    b"", b"{}", b"1", b"null", b'"text"', b"{", b'{"a": NaN}', b"[" * 3000, b"\xff\xfe", b"\0", b"a=b&c=d",
    b"5\r\nhello\r\n0\r\n\r\n", b"5\r\nhel", b"zz\r\n", b'{"input": 1}', b"x" * 70_000, "☃".encode(),
    '"a"'.encode("utf-16"),
]  # fmt: skip


class Requests:
    """Random ones, as bytes."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def one(self) -> bytes:
        choice, chance = self._random.choice, self._random.random
        method = choice(USUAL_METHODS if chance() < 0.9 else METHODS)
        path = re.sub(r"\{\}", lambda _: self._word(), choice(PATHS))
        version = (
            "HTTP/1.1" if chance() < 0.95 else choice(["HTTP/1.0", "HTTP/2.0", "HTTP/9", "", "HTTP/1.1 x"])
        )
        headers = ["Host: localhost"] if chance() < 0.95 else []
        headers += [choice(HEADERS) for _ in range(choice([0, 0, 0, 0, 1, 1, 2, 6]))]
        body = choice(BODIES) if chance() < 0.7 else bytes(self._random.randrange(256) for _ in range(40))
        if chance() < 0.8:
            headers.append(f"Content-Length: {len(body)}")
        text = "\r\n".join([f"{method} {path} {version}", *headers]) + "\r\n\r\n"
        data = text.encode("utf-8") + body
        if chance() < 0.03:  # bytes that were damaged on their way
            damaged = bytearray(data)
            for _ in range(3):
                damaged[self._random.randrange(len(damaged))] = self._random.randrange(256)
            data = bytes(damaged)
        return data

    def _word(self) -> str:
        kind = self._random.random()
        if kind < 0.5:
            return f"id{self._random.randrange(20)}"
        if kind < 0.7:
            return "".join(
                self._random.choices(string.printable.strip() + "é\x7f", k=self._random.randrange(12))
            )
        return self._random.choice(ODD)

    def leaves_early(self) -> bool:
        return self._random.random() < 0.03


class Received(BytesIO):
    """What came back, as a socket from which `http.client` reads one response after the other."""

    def makefile(self, mode: str) -> Received:
        return self

    def close(self) -> None:
        pass


def responses(data: bytes, method: str) -> Iterator[tuple[int, http.client.HTTPMessage, bytes]]:
    """The responses in what came back. Raises if it is not a sequence of whole responses."""
    received = Received(data)
    while received.tell() < len(data):
        response = http.client.HTTPResponse(received, method=method)  # type: ignore[arg-type]
        response.begin()
        yield response.status, response.headers, response.read()
        method = "GET"  # what comes now answers what followed in the same bytes


def exchange(port: int, data: bytes, leaves_early: bool) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(data[: len(data) // 2] if leaves_early else data)
        if leaves_early:
            return b""
        connection.shutdown(socket.SHUT_WR)
        pieces = []
        try:
            while piece := connection.recv(1 << 16):
                pieces.append(piece)
        except ConnectionResetError:  # the host did not read the rest of what it refused
            pass
        return b"".join(pieces)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_every_answer_can_be_read_and_the_host_stands(tmp_path: Path) -> None:
    print(f"FUZZ_SEED={SEED}")
    requests = Requests(SEED)
    statuses: Counter[int] = Counter()
    acknowledged: list[str] = []
    folder = write_app(tmp_path / "app", APP)
    with HostProcess(folder, "--db", tmp_path / "hub.db", "--allow-host", "evil.example") as host:
        port = int(host.url.rpartition(":")[2])
        for number in range(REQUESTS):
            if number % 100 == 0:
                acknowledged.append(host.start_instance("/api/start/waits"))
            data, leaves_early = requests.one(), requests.leaves_early()
            received = exchange(port, data, leaves_early)
            if not received:
                continue
            try:
                answers = list(responses(received, data.split(b" ", 1)[0].decode("latin-1")))
            except (http.client.HTTPException, ValueError) as error:
                pytest.fail(f"request {number}: {data[:2000]!r}\nanswer: {received[:2000]!r}\n{error!r}")
            for status, headers, body in answers:
                statuses[status] += 1
                if headers.get_content_type() == "application/json" and body:
                    json.loads(body)
        print(dict(statuses))
        assert "Traceback" not in host.text, host.text[host.text.index("Traceback") - 500 :][:3000]
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", host.text)
        for id in acknowledged:
            assert host.client.status(id)["runtimeStatus"] in ("Pending", "Running"), id
        host.signal()
        assert host.exit_code() == 0
