"""One HTTP request to a host, with the standard library: `dfhost list` must not wait for the import of aiohttp."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from dfhost.cli.client.host_address import THIS_MACHINE, HostAddress
from dfhost.cli.exit_codes import NO_HOST, NotDone
from dfhost.parse_json import parse_json

_SECONDS = 30.0


class Response(NamedTuple):
    """The names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """NotDone if the body is no JSON: then the server is no durable host."""
        try:
            return parse_json(self.body)
        except ValueError:
            raise NotDone(NO_HOST, "The answer is not JSON: this is not a durable host.") from None


def send(
    address: HostAddress,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    wait: float = 0,
) -> Response:
    """`path`: with its query. `wait`: seconds that the host may take on purpose. NotDone if nothing answers there."""
    request = urllib.request.Request(address.url + path, body, dict(headers or {}), method=method)
    # A proxy cannot reach this machine.
    proxies = [urllib.request.ProxyHandler({})] if urlsplit(address.url).hostname in THIS_MACHINE else []
    try:
        with urllib.request.build_opener(*proxies).open(request, timeout=_SECONDS + wait) as response:
            return Response(response.status, _mapping(response.headers), response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Response(error.code, _mapping(error.headers), error.read())
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ConnectionResetError):  # http.client's RemoteDisconnected is one
            sentence = f"The host at {address.url} has ended without an answer."
            raise NotDone(NO_HOST, sentence) from None
        more = ""
        if not isinstance(reason, ConnectionRefusedError):  # which is what "no host" means
            more = f" The reason: {getattr(reason, 'strerror', None) or reason}."
        raise NotDone(NO_HOST, address.unanswered + more) from None


def _mapping(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
