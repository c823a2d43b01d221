"""The HTTP request that `dfhost run` makes, read and checked from the command line before anything slow happens."""

from __future__ import annotations

import argparse
from typing import NamedTuple

from dfhost.cli.payload import check_json, read_bytes

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
    body = read_bytes("--data", options.data)
    content_type = dict((name.lower(), value) for name, value in headers).get("content-type")
    if content_type is None:
        headers = [*headers, ("Content-Type", "application/json")]
    if content_type is None or "json" in content_type:
        check_json(
            "--data",
            body,
            "If the body is not meant to be JSON, give its type, for example --header Content-Type:text/plain.",
        )
    return FirstRequest(options.method, options.path, headers, body)
