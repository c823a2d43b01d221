"""Which requests are served at all, so that no other web page can act through a browser on this machine.

- DNS rebinding: a page whose name is made to point here sends that name as Host. Only known names are served.
- Cross-site requests: a browser says where a request comes from (Origin, Sec-Fetch-Site). Pages of other origins
  are served only if CORS allows them. Clients other than browsers send neither header.

The real host does not check either: on Azure keys and the platform's front stand before it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from ipaddress import ip_address

from aiohttp import web

from dfhost.runner.app_runner import HttpReply

_ANY_ADDRESS = ("0.0.0.0", "::", "")
_MAX_CACHED = 1000


class AccessRules:
    """`address`: what the server listens on. `names`: further host names, with or without a port.

    `cors_allows`: whether the pages of an origin may call the app.
    """

    def __init__(self, address: str, names: Iterable[str], cors_allows: Callable[[str], bool]) -> None:
        self._names = {_name(name) for name in names if name}
        self._is_public = address in _ANY_ADDRESS
        self._own_names = {"localhost", _name(address)}
        if self._is_public:
            self._own_names.add(socket.gethostname().lower())
        self._cors_allows = cors_allows
        self._accepted: set[str] = set()  # Host headers; deciding takes longer than finding them here

    def refusal(self, request: web.BaseRequest) -> str | None:
        """Why `request` is refused, in words; None if it is served."""
        headers = request.headers
        host = headers.get("Host", "")
        if host not in self._accepted:
            if not self._serves(_name(host)):
                return (
                    f"'{_name(host)[:100]}' is not a name of this host. Use localhost, or start dfhost with "
                    f"--allow-host {_name(host)[:100]} if it is reached by that name."
                )
            if len(self._accepted) == _MAX_CACHED:
                self._accepted.clear()
            self._accepted.add(host)
        if "Origin" in headers or "Sec-Fetch-Site" in headers:
            return self._cross_site(headers.get("Origin"), headers.get("Sec-Fetch-Site", ""), host)
        return None

    def _serves(self, name: str) -> bool:
        if not name or name in self._own_names or name in self._names or name.endswith(".localhost"):
            return True
        try:
            address = ip_address(name.strip("[]"))
        except ValueError:
            return False
        return address.is_loopback or self._is_public

    def _cross_site(self, origin: str | None, site: str, host: str) -> str | None:
        if site in ("same-origin", "none"):  # the browser's own judgement, which no page can change
            return None
        if origin is None:
            if site != "cross-site" or self._cors_allows("*"):
                return None
            return (
                "Another web site sent the browser here. Open the URL from the address bar, or allow all "
                'sites with "Host": {"CORS": "*"} in local.settings.json.'
            )
        authority = origin.partition("://")[2].lower()
        if authority and (authority == host.lower() or _name(authority) in self._names):
            return None
        if self._cors_allows(origin):
            return None
        return (
            f"The web page at {origin[:100]} may not call this app. To allow it, add its origin to "
            '"Host": {"CORS": "…"} in local.settings.json.'
        )


def _name(host: str) -> str:
    """The host name of an authority: ``LocalHost:7071`` -> ``localhost``, ``[::1]:80`` -> ``[::1]``."""
    host = host.lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return (host if host.count(":") > 1 else host.partition(":")[0]).rstrip(".")


FORBIDDEN_HEADERS = [("Content-Type", "text/plain; charset=utf-8")]


def forbidden(sentence: str) -> HttpReply:
    return HttpReply(403, FORBIDDEN_HEADERS, f"{sentence}\n".encode("utf-8", "replace"))
