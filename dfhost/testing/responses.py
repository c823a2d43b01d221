"""The response to an HTTP request, as a test looks at it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from multidict import CIMultiDict

if TYPE_CHECKING:
    from dfhost.testing.runs import Run

__tracebackhide__ = True  # pytest shows errors at the line of the test


class Response:
    """The response of one of the app's HTTP functions, or of the host."""

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        find_run: Callable[[str], Run],
        failure: str = "",
    ) -> None:
        #: The status code.
        self.status = status
        #: The headers; names ignore case.
        self.headers = headers
        #: The body as it was sent.
        self.body = body
        self._find_run = find_run
        self._failure = failure  # of the function that has answered

    @cached_property
    def text(self) -> str:
        """The body as text, decoded as UTF-8."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as a JSON value. Fails with the body if it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise AssertionError(f"The body is not JSON: {self}") from None

    @property
    def run(self) -> Run:
        """The instance whose id the body has, as from `create_check_status_response`."""
        try:
            return self._find_run(str(json.loads(self.body)["id"]))
        except (ValueError, TypeError, KeyError):
            failed = f"The function has failed: {self._failure.rstrip('.')}. " if self._failure else ""
            raise AssertionError(
                f'{failed}The answer {self.status} names no instance ("id" in its body): {self}'
            ) from None

    def __repr__(self) -> str:
        shown = self.text if len(self.text) <= 500 else f"{self.text[:500]}…"
        return f"<Response {self.status} {shown}>"


def request_bytes(method: str, url: str, headers: Mapping[str, str], body: bytes, host: str) -> bytes:
    """An HTTP/1.1 request. `url`: a path with a query, or a URL of the host."""
    parts = urlsplit(url)
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._") + (f"?{parts.query}" if parts.query else "")
    lines = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc or host}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body or method in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("utf-8") + body


def read_response(raw: bytes) -> tuple[int, Mapping[str, str], bytes]:
    """Status, headers and body of an HTTP/1.1 response of this host. http.client takes ten times as long for it."""
    head, _, body = raw.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("utf-8", "surrogateescape").split("\r\n")
    headers = CIMultiDict(line.partition(": ")[::2] for line in lines)
    if headers.get("Transfer-Encoding") == "chunked":
        body = b"".join(_chunks(body))
    return int(status_line.split(" ", 2)[1]), headers, body


def _chunks(body: bytes) -> Iterator[bytes]:
    """Those that have come: an app may break its stream off."""
    start = 0
    while (end := body.find(b"\r\n", start)) >= 0:
        size = int(body[start:end], 16)
        start = end + 2 + size + 2
        yield body[end + 2 : start - 2]


def with_query(path: str, values: Mapping[str, Any]) -> str:
    """`path` with these query parameters; those that are None are left out, booleans are ``true`` and ``false``."""
    given = {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in values.items()
        if value is not None
    }
    return path + (("&" if "?" in path else "?") + urlencode(given) if given else "")
