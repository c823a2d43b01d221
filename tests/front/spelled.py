"""The requests of exchanges whose `ask` is a name, too long to be spelled out, or the same for several requests.

`SPELLED[scenario][ask]` makes the request, or is one such function for each time the ask comes; an ask may be cut
off with ``*``. A function is called when its turn comes, so it can also do what has to be done before. One that
returns an answer has asked by itself.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from tests.front.exchanges import Answer, Front, Request, raw, request

Spelling = Callable[[Front], "Request | Answer"]

MIB_100 = 104_857_600
GUID = "00000000-0000-0000-0000-000000000000"
ANY = b"GET /api/m/any"
JSON = [("Content-Type", "application/json")]


def bare(data: bytes, **options: object) -> Callable[[Front], Request]:
    """Raw bytes, in which ``HOST`` is the line with the host's name."""
    return lambda front: raw(data.replace(b"HOST", f"Host: {front.host}\r\n".encode()), **options)


def asked(
    method: str, target: str | bytes, headers: Sequence[tuple[str, str]] = (), body: bytes | None = None
) -> Callable[[Front], Request]:
    return lambda front: request(method, target, front.host, headers, body)


def any_with(headers: bytes, **options: object) -> Callable[[Front], Request]:
    return bare(ANY + b" HTTP/1.1\r\nHOST" + headers + b"\r\n", **options)


def echo(headers: bytes, body: bytes = b"", **options: object) -> Callable[[Front], Request]:
    return bare(b"POST /api/echo HTTP/1.1\r\nHOST" + headers + b"\r\n" + body, **options)


def in_parts(*parts: tuple[float, bytes]) -> Callable[[Front], Request]:
    def spelled(front: Front) -> Request:
        line = f"Host: {front.host}\r\n".encode()
        return Request([(pause, data.replace(b"HOST", line)) for pause, data in parts])

    return spelled


# -- broken and unusual requests -----------------------------------------------------------------------------
PROTOCOL = {
    "HTTP/1.0": bare(ANY + b" HTTP/1.0\r\n\r\n"),
    "HTTP/1.0 keep-alive": bare(ANY + b" HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
    "HTTP/1.0 404": bare(b"GET /x HTTP/1.0\r\n\r\n"),
    "HTTP/0.9": bare(ANY + b"\r\n\r\n"),
    "HTTP/2.0": bare(ANY + b" HTTP/2.0\r\nHOST\r\n"),
    "HTTP/1.2": bare(ANY + b" HTTP/1.2\r\nHOST\r\n"),
    "HTTP/1.10": bare(ANY + b" HTTP/1.10\r\nHOST\r\n"),
    "http/1.1 in lower case": bare(ANY + b" http/1.1\r\nHOST\r\n"),
    "Connection: close": any_with(b"Connection: close\r\n"),
    "Connection: Close, X": any_with(b"Connection: Close, X\r\n"),
    "keep-alive is the default": any_with(b""),
    "leading CRLF": bare(b"\r\n" + ANY + b" HTTP/1.1\r\nHOST\r\n"),
    "LF only": lambda front: raw(ANY + f" HTTP/1.1\nHost: {front.host}\n\n".encode()),
    "two blanks in the request line": bare(b"GET  /api/m/any HTTP/1.1\r\nHOST\r\n"),
    "blank before the version twice": bare(ANY + b"  HTTP/1.1\r\nHOST\r\n"),
    "tab in the request line": bare(b"GET\t/api/m/any HTTP/1.1\r\nHOST\r\n"),
    "rubbish": bare(b"rubbish\r\n\r\n"),
    "TLS hello": bare(bytes.fromhex("16030100a5010000a10303") + bytes(40) + b"\r\n\r\n"),
    "method with odd characters": bare(b"G(T /api/m/any HTTP/1.1\r\nHOST\r\n"),
    "NUL in the path": bare(ANY + b"\0 HTTP/1.1\r\nHOST\r\n"),
    "header without a colon": any_with(b"NoColon\r\n"),
    "header with blank before the colon": any_with(b"X-A : 1\r\n"),
    "header without a name": any_with(b": 1\r\n"),
    "header name with a blank": any_with(b"X A: 1\r\n"),
    "header name with odd characters": any_with(b"X(A): 1\r\n"),
    "header name, not ASCII": any_with("X-ä: 1\r\n".encode()),
    "header value with NUL": any_with(b"X-A: a\0b\r\n"),
    "header value with bare CR": any_with(b"X-A: a\rb\r\n"),
    "header value with 01": any_with(b"X-A: a\x01b\r\n"),
    "folded header": any_with(b"X-A: a\r\n b\r\n"),
    "100 headers": any_with(b"".join(b"X-%d: 1\r\n" % number for number in range(99))),
    "101 headers": any_with(b"".join(b"X-%d: 1\r\n" % number for number in range(100))),
    "header of 20 KB": any_with(b"X-A: " + b"a" * 20_000 + b"\r\n"),
    "headers of 32 KB and more": any_with(b"X-A: " + b"a" * 33_000 + b"\r\n"),
    "many headers above 32 KB": any_with(
        b"".join(b"X-%d: %s\r\n" % (number, b"a" * 1000) for number in range(40))
    ),
    "request line of 8192": bare(ANY + b"?" + b"a" * 8166 + b" HTTP/1.1\r\nHOST\r\n"),
    "request line of 8300": bare(ANY + b"?" + b"a" * 8300 + b" HTTP/1.1\r\nHOST\r\n"),
    "request line of 17000": bare(ANY + b"?" + b"a" * 17_000 + b" HTTP/1.1\r\nHOST\r\n"),
    "HTTP/2 by prior knowledge": bare(
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")
    ),
    "Upgrade: h2c": any_with(
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
    ),
    "Upgrade: websocket": any_with(
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    ),
    "three pipelined": bare((ANY + b" HTTP/1.1\r\nHOST\r\n") * 3, answers=3),
    "pipelined: good, 404, rubbish": bare(
        ANY + b" HTTP/1.1\r\nHOST\r\nGET /x HTTP/1.1\r\nHOST\r\nrubbish\r\n\r\n", answers=3
    ),
    "pipelined: POST with a body, GET": bare(
        b"POST /api/m/any HTTP/1.1\r\nHOSTContent-Length: 3\r\n\r\nabc" + ANY + b" HTTP/1.1\r\nHOST\r\n",
        answers=2,
    ),
    "pipelined: POST to nowhere with a body, GET": bare(
        b"POST /x HTTP/1.1\r\nHOSTContent-Length: 3\r\n\r\nabc" + ANY + b" HTTP/1.1\r\nHOST\r\n", answers=2
    ),
    "slow client, 7 bytes at a time": lambda front: Request(
        [
            (0.02, piece.encode())
            for piece in re.findall(r"(?s).{1,7}", f"GET /api/m/any HTTP/1.1\r\nHost: {front.host}\r\n\r\n")
        ]
    ),
}

CHUNKED = b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
FRAMING = {
    "chunked": echo(CHUNKED, b'3\r\n{"a\r\n4\r\n":1}\r\n0\r\n\r\n'),
    "chunked with extension and trailer": echo(CHUNKED, b'7;x=y\r\n{"a":1}\r\n0\r\nX-T: 1\r\n\r\n'),
    "chunked, bad size": echo(CHUNKED, b"zz\r\nabc\r\n0\r\n\r\n"),
    "chunked, missing CRLF": echo(CHUNKED, b"3\r\nabcd\r\n0\r\n\r\n"),
    "chunked, huge size": echo(CHUNKED, b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
    "chunked and Content-Length": echo(
        b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", b"3\r\nabc\r\n0\r\n\r\n"
    ),
    "Transfer-Encoding gzip, chunked": echo(
        b"Transfer-Encoding: gzip, chunked\r\n", b"3\r\nabc\r\n0\r\n\r\n"
    ),
    "Transfer-Encoding identity": echo(b"Transfer-Encoding: identity\r\n"),
    "Transfer-Encoding nonsense": echo(b"Transfer-Encoding: nonsense\r\n"),
    "Content-Length abc": echo(b"Content-Length: abc\r\n"),
    "Content-Length -1": echo(b"Content-Length: -1\r\n"),
    "Content-Length +3": echo(b"Content-Length: +3\r\n", b"abc"),
    "Content-Length twice, same": echo(b"Content-Length: 3\r\nContent-Length: 3\r\n", b"abc"),
    "Content-Length twice, other": echo(b"Content-Length: 3\r\nContent-Length: 4\r\n", b"abcd"),
    "Content-Length 3, 3": echo(b"Content-Length: 3, 3\r\n", b"abc"),
    "Content-Length 99999999999999999999": echo(b"Content-Length: 99999999999999999999\r\n", b"abc"),
    "chunked on GET": bare(
        b"GET /api/echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    ),
    "fewer bytes than Content-Length, then half-closed": echo(
        b"Content-Length: 10\r\n", b"abc", half_close=True
    ),
    "Expect: 100-continue, body later": in_parts(
        (0, b"POST /api/echo HTTP/1.1\r\nHOSTExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"),
        (0.5, b"abc"),
    ),
    "slow client": in_parts(
        (0, b"POST /api/echo HTTP/1.1\r\nHOST"),
        (0.1, b"Content-Len"),
        (0.1, b"gth: 3\r\n\r\na"),
        (0.1, b"bc"),
    ),
    "20 MB": asked("POST", "/api/echo", (), b"m" * 20_000_000),
    "100 MiB, at the limit": lambda front: request("POST", "/api/echo", front.host, (), b"m" * MIB_100),
    "Content-Length 104857601 announced": echo(b"Content-Length: 104857601\r\n", b"m" * 1000),
    "110 MB": asked("POST", "/api/echo", (), b"m" * 110_000_000),
}


# -- other spellings -----------------------------------------------------------------------------------------
MULTIPART = (
    '--bb\r\nContent-Disposition: form-data; name="f"\r\n\r\nv\r\n'
    '--bb\r\nContent-Disposition: form-data; name="up"; filename="ä.txt"\r\nContent-Type: text/x\r\n\r\n'
    "file\r\ntext\r\n--bb--\r\n"
).encode()


def paths(template: str, *values: str) -> list[Spelling]:
    return [asked("GET", template.format(value)) for value in values]


def with_host(name: str, *headers: tuple[str, str]) -> Callable[[Front], Request]:
    return asked("GET", "/api/empty", [("Host", name), *headers])


# -- requests at once ----------------------------------------------------------------------------------------
def six_at_once(front: Front) -> Answer:
    """Each of six calls that take a second: its status, and after how many whole calls of others it ended."""
    ended: list[tuple[float, str]] = []

    def call() -> None:
        status = front.get("/api/sleep?s=1")["status"]
        ended.append((time.monotonic(), status))

    threads = [threading.Thread(target=call) for _ in range(6)]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    done = sorted(when for when, status in ended if status.endswith("200 OK"))
    turn = {when: 0 if when < done[0] else 1 + sum(when - other > 0.5 for other in done) for when, _ in ended}
    return {"nothing": str(sorted((status, turn[when]) for when, status in ended))}


def while_two_run(front: Front) -> Request:
    """Two calls that together take three seconds are accepted when this returns."""
    for _ in range(2):
        front.background.append(threading.Thread(target=front.get, args=["/api/sleep?s=1.5"]))
        front.background[-1].start()
    time.sleep(0.3)  # as recorded: nothing but the console shows that a call has begun
    return request("GET", "/api/empty", front.host)


def after_the_worker_died(front: Front) -> Answer:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if front.get("/api/m/any").get("status", "").endswith("200 OK"):
            return {"nothing": "answered within 30 s"}
    return {"nothing": "no answer within 30 s"}


SPELLED: dict[str, dict[str, Spelling | Sequence[Spelling]]] = {
    "protocol": dict(PROTOCOL),
    "request_framing": dict(FRAMING),
    "exceptions": {"5 MB of response": asked("GET", "/api/resp/big")},
    "route_constraints": {
        "GET /api/c/datetime/DATE": paths(
            "/api/c/datetime/{}", "2020-01-02T03:04:05", "2020-01-02T03:04:05Z"
        ),
        "GET /api/c/guid/GUID": paths("/api/c/guid/{}", GUID, GUID.replace("-", "")),
        "GET /api/c/guid/%7BGUID%7D": paths("/api/c/guid/%7B{}%7D", GUID),
    },
    "route_paths": {
        "path with raw UTF-8 ä": asked("GET", "/api/case/name/ä".encode()),
        "path with the raw byte E4": asked("GET", "/api/case/name/ä".encode("latin-1")),
        "GET /api/case/name/yyyyyyyyyy*": paths(
            "/api/case/name/{}", *("y" * length for length in (200, 2000, 8000, 8150, 16_000, 40_000))
        ),
        "GET /api/case/name/x?q=yyyyyyyyyy*": asked("GET", "/api/case/name/x?q=" + "y" * 8000),
    },
    "request_headers": {
        "GET /api/echo | X-Long*": asked("GET", "/api/echo", [("X-Long", "l" * 7000)]),
        "GET /api/echo | traceparent*": asked(
            "GET",
            "/api/echo",
            [
                ("traceparent", "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"),
                ("tracestate", "a=b"),
            ],
        ),
    },
    "request_bodies": {
        "POST /api/echo || \0*": asked("POST", "/api/echo", (), bytes(range(256))),
        "POST /api/echo | Content-Type: application/octet-stream || *": asked(
            "POST", "/api/echo", [("Content-Type", "application/octet-stream")], bytes(range(256))
        ),
        "POST without Content-Length": asked("POST", "/api/echo", JSON),
    },
    "request_forms": {
        "POST /api/echo | Content-Type: multipart/form-data; boundary=bb || --bb\r\nContent-Disposition: form-data; "
        'name="f"\r\n\r\nv\r\n--bb\r\nC… (165*': asked(
            "POST", "/api/echo", [("Content-Type", "multipart/form-data; boundary=bb")], MULTIPART
        ),
        "POST /api/echo | Content-Type: multipart/form-data || --bb*": asked(
            "POST", "/api/echo", [("Content-Type", "multipart/form-data")], MULTIPART
        ),
        "PUT /api/echo*": asked(
            "PUT", "/api/echo", [("Content-Type", "multipart/form-data; boundary=bb")], MULTIPART
        ),
    },
    "admin_get": {"GET /admin/HOST/STATUS": asked("GET", "/admin/HOST/STATUS")},
    "admin_invoke": {
        "POST /admin/functions/say | Transfer-Encoding: chunked*": bare(
            b"POST /admin/functions/say HTTP/1.1\r\nHOST" + CHUNKED + b'\r\nd\r\n{"input":"x"}\r\n0\r\n\r\n'
        )
    },
    "tuned": {
        "GET /api/empty": [asked("GET", "/api/empty"), with_host("example.com"), with_host("localhost")],
        "GET /api/empty | X-Forwarded-Proto: https": [
            with_host(name, ("X-Forwarded-Proto", "https")) for name in ("example.com", "localhost")
        ],
    },
    "throttled": {
        "six at once": six_at_once,
        "a third while two run": while_two_run,
        "ping while two run": asked("GET", "/admin/host/ping"),
        "management while two run": asked("GET", "/runtime/webhooks/durabletask/instances/none"),
    },
    **{
        f"exits_{what}_{route}": {f"GET /api/m/any after {route}/{what}": after_the_worker_died}
        for what in ("baseexc", "generatorexit", "keyboard", "systemexit")
        for route in ("resp", "aresp")
    },
}


class Spellings:
    """The requests of one scenario, in the order of its asks."""

    def __init__(self, scenario: str) -> None:
        self._spelled = SPELLED.get(scenario, {})
        self._series: dict[str, Iterator[Spelling]] = {}

    def of(self, ask: str) -> Spelling | None:
        """None for an ask that says itself what is sent."""
        for key, found in self._spelled.items():
            if ask == key or (key.endswith("*") and ask.startswith(key[:-1])):
                if callable(found):
                    return found
                return next(self._series.setdefault(key, iter(found)))
        return None
