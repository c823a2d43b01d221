"""One HTTP request to a host, with the standard library: `dfhost list` must not wait for the import of aiohttp."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from dfhost.cli.exit_codes import NO_HOST, NotDone

_SECONDS = 30.0
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


class Response(NamedTuple):
    """The names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """NotDone if the body is no JSON: then the server is no durable host."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise NotDone(NO_HOST, "The answer is not JSON: this is not a durable host.") from None


def send(
    url: str, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """`url`: of the host; `path` with its query. NotDone if nothing answers there."""
    request = urllib.request.Request(url + path, body, dict(headers or {}), method=method)
    # A proxy cannot reach this machine.
    local = urlsplit(url).hostname in _THIS_MACHINE
    proxies = [urllib.request.ProxyHandler({})] if local else []
    try:
        with urllib.request.build_opener(*proxies).open(request, timeout=_SECONDS) as response:
            return Response(response.status, _mapping(response.headers), response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Response(error.code, _mapping(error.headers), error.read())
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        advice = " Start one with `dfhost start`, or name another with --url." if local else ""
        raise NotDone(NO_HOST, f"No host answers at {url} ({reason}).{advice}") from None


def _mapping(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
