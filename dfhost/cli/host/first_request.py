"""The HTTP request that `dfhost run` makes, read and checked from the command line before anything slow happens."""

from __future__ import annotations

import argparse
import json
from typing import NamedTuple
from urllib.parse import quote

from dfhost.cli.payload import check_json, read_bytes, read_json

Headers = list[tuple[str, str]]


class FirstRequest(NamedTuple):
    """`orchestrator`: the name of the one that the request starts, "" if the request is for a route of the app."""

    method: str
    path: str  # with its query string
    headers: Headers
    body: bytes | None
    orchestrator: str = ""


def read_request(options: argparse.Namespace) -> FirstRequest:
    """The request that the arguments describe. HostError for a body that cannot be read or is not JSON.

    The body must be JSON unless a header gives it another content type.
    """
    headers: Headers = options.header
    if options.path is None:
        return _start_request(options.method, read_json("--input", options.input))
    if options.data is None:
        return FirstRequest(options.method, options.path, headers, None)
    body = read_bytes("--data", options.data)
    content_type = dict((name.lower(), value) for name, value in headers).get("content-type")
    if content_type is None:
        headers = [*headers, ("Content-Type", "application/json")]
    if content_type is None or "json" in content_type:
        check_json(
            "--data",
            options.data,
            body,
            "If the body is not meant to be JSON, give its type, for example --header Content-Type:text/plain.",
        )
    return FirstRequest(options.method, options.path, headers, body)


def _start_request(orchestrator: str, given: str | None) -> FirstRequest:
    """The input arrives as from the SDK's `start_new`, which encodes it twice."""
    path = f"/runtime/webhooks/durabletask/orchestrators/{quote(orchestrator, safe='')}"
    body = None if given is None else json.dumps(given).encode()
    return FirstRequest("POST", path, [("Content-Type", "application/json")], body, orchestrator)
