"""Whether a host may listen at an address, and a sentence if it may not. Light to import."""

from __future__ import annotations

import errno
import os
import socket
import sys
from contextlib import closing

from dfhost.errors import HostError, PortInUse

_SECONDS = 1.0  # for an answer
_MOST_READ = 10_000  # bytes


def check_can_listen(address: str, port: int) -> None:
    """HostError if a host could not listen there now. `port` 0: at any port."""
    try:
        for family, kind, protocol, _, target in socket.getaddrinfo(
            address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            with socket.socket(family, kind, protocol) as probe:  # as asyncio does it
                if sys.platform != "win32":
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(target)
    except OSError as error:
        raise cannot_listen(address, port, error) from None


def cannot_listen(address: str, port: int, error: OSError) -> HostError:
    if error.errno == errno.EADDRINUSE:
        return PortInUse(
            f"Port {port} is in use by {_who_listens(port)}. Stop it, or choose another port with --port."
        )
    if error.errno == errno.EACCES:
        return HostError(f"This user may not listen on port {port}. Choose one above 1023 with --port.")
    reason = error.strerror or os.strerror(error.errno or 0)
    return HostError(f"Cannot listen on {address}:{port}: {reason}.")


def _who_listens(port: int) -> str:
    """ "another dfhost, which serves the app in the folder bakery", or "another process" """
    import http.client  # slow, and rarely needed
    import json

    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
        with closing(connection):
            connection.request("GET", "/admin/host/status")
            status = json.loads(connection.getresponse().read(_MOST_READ))
        if str(status["versionDetails"]).startswith("dfhost"):
            return f"another dfhost, which serves the app in the folder {status['id']}"
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        pass
    return "another process"
