"""Exchanges over a plain socket: what a recording's `ask` stands for, and answers in the form of the recordings.

An answer is a dictionary: `status` (the whole status line), `headers` (lower case, sorted), `body`, and where it
applies `interim` (status lines before the answer), `cut` (the body ended early) and `then` (what became of the
connection: ``open`` or ``closed``). Without an answer it is ``{"nothing": "silence"}``, ``closed`` or ``reset``.
"""

from __future__ import annotations

import copy
import hashlib
import re
import secrets
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

Answer = dict[str, Any]

LONG = 1500  # characters; a longer body or header value is recorded as its length and hash
SILENCE = 8.0  # seconds without a byte that count as no answer


@dataclass(frozen=True)
class Request:
    """Bytes for one connection. `parts`: with the seconds to wait before each. `answers`: how many to read."""

    parts: Sequence[tuple[float, bytes]]
    is_head: bool = False
    answers: int = 1
    half_close: bool = False  # shut our side of the connection after sending


def raw(data: bytes, **options: Any) -> Request:
    return Request([(0.0, data)], **options)


def request(
    method: str,
    target: str | bytes,
    host: str,
    headers: Sequence[tuple[str, str]] = (),
    body: bytes | None = None,
    length: bool = True,
) -> Request:
    """`length`: whether a body is announced with Content-Length."""
    path = target if isinstance(target, bytes) else target.encode("latin-1")
    lines = [b"%s %s HTTP/1.1" % (method.encode("latin-1"), path)]
    if not any(name.lower() == "host" for name, _ in headers):
        lines.append(b"Host: " + host.encode())
    lines += [f"{name}: {value}".encode("latin-1") for name, value in headers]
    if body is not None and length:
        lines.append(b"Content-Length: %d" % len(body))
    return raw(b"\r\n".join(lines) + b"\r\n\r\n" + (body or b""), is_head=method == "HEAD")


_WITH_BODY = ("POST", "PUT", "PATCH")


def request_of(ask: str, host: str, run: str) -> Request:
    """The request behind ``GET /path | Header: value || body``. RUN and HOST in it stand for `run` and `host`."""
    ask = re.sub(r"(?<![\w-])HOST(?!\w)", host, re.sub(r"RUN(?!TIME)", run, ask))
    head, bar, body = ask.partition(" || ")
    line, *headers = head.split(" | ")
    method, target = line.split(" ", 1)
    pairs = [(name, value.removeprefix(" ")) for name, _, value in (each.partition(":") for each in headers)]
    given = body.encode("latin-1") if bar else b"" if method in _WITH_BODY else None
    return request(method, target, host, pairs, given)


@dataclass
class Front:
    """The host under test, at `port`.

    `run`: the prefix of this run's instance ids. `background`: calls that no exchange waits for.
    """

    port: int
    run: str = field(default_factory=lambda: "r" + secrets.token_hex(3))
    background: list[threading.Thread] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def exchange(self, what: Request, then: bool = False) -> list[Answer]:
        """The answers, normalised. `then`: find out whether the connection outlives them."""
        with socket.create_connection(("127.0.0.1", self.port), SILENCE) as connection:
            for pause, data in what.parts:
                time.sleep(pause)
                try:
                    connection.sendall(data)
                except OSError:
                    break  # it has answered and closed already
            if what.half_close:
                connection.shutdown(socket.SHUT_WR)
            with connection.makefile("rb") as stream:
                answers = [_read_answer(stream, what.is_head) for _ in range(what.answers)]
                if then:
                    answers[-1]["then"] = _state_of(connection, stream, self.host)
        return [self.normalised(answer) for answer in answers]

    def get(self, target: str, **options: Any) -> Answer:
        return self.exchange(request("GET", target, self.host, **options))[0]

    def normalised(self, answer: Answer) -> Answer:
        if "nothing" in answer:
            return answer
        headers = []
        for name, value in answer["headers"]:
            if name == "date" and re.fullmatch(r"\w{3}, \d\d \w{3} 202\d .*", value):
                value = "DATE"
            elif name == "server" and value == "dfhost":
                value = "SERVER"
            else:
                value = self._normal(value)
            if name not in ("content-length", "transfer-encoding"):
                headers.append([name, value if len(value) < LONG else f"{len(value)} characters"])
        try:
            text = self._normal(answer["body"].decode())
        except UnicodeDecodeError:
            text = "bytes as latin-1: " + answer["body"].decode("latin-1")
        if len(text) > LONG:
            digest = hashlib.sha1(text.encode("utf-8", "replace")).hexdigest()[:10]
            text = f"{text[:300]}… {len(text)} characters, {digest}"
        return {**answer, "headers": sorted(headers), "body": text}

    def _normal(self, text: str) -> str:
        text = text.replace(self.run, "RUN")
        for pattern, name in (
            (rf"(127\.0\.0\.1|localhost):{self.port}\b", "HOST"),
            *_VARYING,
        ):
            text = re.sub(pattern, name, text)
        return text


_VARYING = (
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?", "DATE"),
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "GUID"),
    (r"\b[0-9a-f]{32}(?![0-9a-f])", "GUID"),
    (r'"StackTrace":"(\\.|[^"\\])*"', '"StackTrace":"STACK"'),
    (r"\\nStack:(\\.|[^\"\\])*", r"\\nStack: STACK"),
    (r"taskHub=\w+", "taskHub=HUB"),
    (r"\b00-[0-9a-f]{32}-[0-9a-f]{16}-\d\d", "TRACEPARENT"),
    (r'"processUptime":\s*\d+', '"processUptime":UPTIME'),
    (r'"(processId|outstandingInvocations)":\d+', r'"\1":NUMBER'),
    (r"(JSON object\. Path ')\[\d+\]'", r"\1[N]'"),
    (r"/admin/vfs/[\w./-]*/testdata/", "/admin/vfs/TESTDATA/"),
    (r'"(id|hubName)":\s*"[Hh]ub\d+"', r'"\1":"HUB"'),
    (r"(?:/[\w.-]+)+/function_app\.py", "/APP/function_app.py"),
    (r'"(https?)://APP/function_app\.py"', r'"\1://HOST/admin/vfs/APP/function_app.py"'),
    (r'"functionDirectory":"[^"]*"', '"functionDirectory":"/tmp/front/main"'),
)


_TOKEN = "x-ms-continuation-token"


def comparable(answer: Answer) -> Answer:
    """A copy of a recorded or an observed answer without what no client acts on.

    That is: how a body is framed, an empty continuation token, keys in links, whether a stack trace is null.
    """
    kept = copy.deepcopy(answer)
    framing = kept.pop("framing", "")
    if "cut" in framing or "missing" in framing:
        kept["cut"] = True
    if "headers" in kept:
        kept["headers"] = [
            [name, "TOKEN" if value and name == _TOKEN else value.replace("&code=CODE", "")]
            for name, value in kept["headers"]
            if [name, value] != [_TOKEN, ""]
        ]
        kept["body"] = (
            kept["body"].replace("&code=CODE", "").replace('"StackTrace":null', '"StackTrace":"STACK"')
        )
    return kept


def same(recorded: Answer, seen: Answer) -> bool:
    """Whether two `comparable` answers agree; of links that are recorded with their keys' hash, the part shown."""
    if recorded == seen:
        return True
    if "code=CODE" not in str(recorded.get("body")) and not _is_hashed_links(recorded):
        return False
    shown = {**recorded, "body": recorded["body"].partition("…")[0]}
    return bool(shown == {**seen, "body": str(seen["body"])[: len(shown["body"])]})


def _is_hashed_links(answer: Answer) -> bool:
    body = answer.get("body", "")
    return "…" in body and ("statusQueryGetUri" in body or body.startswith('{"id":"'))


# -- reading -------------------------------------------------------------------------------------------------
def _read_answer(stream: BinaryIO, is_head: bool) -> Answer:
    interim: list[str] = []
    try:
        while True:
            line = stream.readline()
            if not line:
                return {"nothing": "closed"}
            if not line.startswith(b"HTTP/"):
                return {"nothing": f"no HTTP: {line[:60]!r}"}
            status = line.decode("latin-1").rstrip("\r\n")
            headers = _read_headers(stream)
            if not re.match(r"HTTP/1\.1 1(?!01)\d\d", status):
                break
            interim.append(status)
        body, cut = _read_body(stream, dict(headers), status.split(" ")[1], is_head)
    except TimeoutError:
        return {"nothing": "silence"}
    except ConnectionError:
        return {"nothing": "reset"}
    answer: Answer = {"status": status, "headers": headers, "body": body}
    return answer | ({"cut": True} if cut else {}) | ({"interim": interim} if interim else {})


def _read_headers(stream: BinaryIO) -> list[tuple[str, str]]:
    headers = []
    while line := stream.readline().rstrip(b"\r\n"):
        name, _, value = line.decode("latin-1").partition(":")
        headers.append((name.lower(), value.strip()))
    return headers


def _read_body(stream: BinaryIO, headers: dict[str, str], code: str, is_head: bool) -> tuple[bytes, bool]:
    """The body, and whether it ended early."""
    if is_head or code in ("204", "304"):
        return b"", False
    if "content-length" in headers:
        length = int(headers["content-length"])
        body = stream.read(length)
        return body, len(body) < length
    if headers.get("transfer-encoding") != "chunked":
        return stream.read(), False
    body = b""
    while size := int(stream.readline().split(b";")[0] or b"0", 16):
        body += stream.read(size)
        stream.readline()
    return body, stream.readline() != b"\r\n"


def _state_of(connection: socket.socket, stream: BinaryIO, host: str) -> str:
    """Whether the connection still takes a request; asked by one, so that nobody waits for nothing."""
    try:
        connection.sendall(b"GET /admin/host/ping HTTP/1.1\r\nHost: %s\r\n\r\n" % host.encode())
        return "open" if stream.readline() else "closed"
    except TimeoutError:
        return "silent"
    except OSError:
        return "closed"
