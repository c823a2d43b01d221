"""The HTTP request that `dfhost run` makes, read and checked from the command line before anything slow happens."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import NamedTuple

from dfhost.errors import HostError

Headers = list[tuple[str, str]]


class FirstRequest(NamedTuple):
    method: str
    path: str  # with its query string
    headers: Headers
    body: bytes | None


def read_request(options: argparse.Namespace) -> FirstRequest:
    """The request that the arguments describe. HostError for a body that cannot be read or is not JSON.

    The body must be JSON unless a header gives it another content type.
    """
    headers: Headers = options.header
    if options.data is None:
        return FirstRequest(options.method, options.path, headers, None)
    body = _read_body(options.data)
    content_type = dict((name.lower(), value) for name, value in headers).get("content-type")
    if content_type is None:
        headers = [*headers, ("Content-Type", "application/json")]
    if content_type is None or "json" in content_type:
        try:
            json.loads(body)
        except ValueError as error:
            raise HostError(
                f"--data is not JSON ({error}). Quote it for the shell. If the body is not meant to be JSON, "
                "give its type, for example --header Content-Type:text/plain."
            ) from None
    return FirstRequest(options.method, options.path, headers, body)


def _read_body(data: str) -> bytes:
    """The bytes of --data: the text itself, @FILE, or @- for stdin."""
    if not data.startswith("@"):
        return data.encode(errors="surrogateescape")
    try:
        return sys.stdin.buffer.read() if data == "@-" else Path(data[1:]).read_bytes()
    except OSError as error:
        raise HostError(f"--data {data}: {error.strerror}.") from None
