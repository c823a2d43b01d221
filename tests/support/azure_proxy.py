"""A host as on Azure, before a dfhost: it asks for keys, and answers nothing that the real host does not.

Keys are weighed as recorded: the header x-functions-key counts before `code` in the query, an app's function opens
with a function key, the management API with the system key, and the master key opens everything, /admin too. The
management URLs that it hands out have the system key as `code`.
"""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.support.http_client import MANAGEMENT

MASTER_KEY, SYSTEM_KEY, FUNCTION_KEY = "the-master-key", "the-system-key", "the-function-key"

_OWN_QUESTIONS = ("explain", "timeline", "limit")
_OWN_HEADERS = ("prefer",)
_NOT_PASSED_ON = ("content-length", "transfer-encoding", "connection", "server", "date")


class AzureProxy:
    """`url`: where it serves. `own_requests`: what it was asked that only dfhost answers."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.own_requests: list[str] = []


@contextmanager
def azure_proxy(url: str) -> Iterator[AzureProxy]:
    """A proxy before the host at `url`."""
    host = urlsplit(url)

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            parts = urlsplit(self.path)
            query = parse_qsl(parts.query, keep_blank_values=True)
            key = self.headers.get("x-functions-key", dict(query).get("code", ""))
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if refusal := _refusal(parts.path, key):
                self.respond(refusal, {} if parts.path.startswith("/api") else {"WWW-Authenticate": "Bearer"})
                return
            own = [name for name, _ in query if name in _OWN_QUESTIONS]
            if own or parts.path.startswith("/dashboard"):
                proxy.own_requests.append(f"{self.command} {self.path}")
            passed_on = urlencode([(name, text) for name, text in query if name not in (*own, "code")])
            connection = http.client.HTTPConnection(host.hostname or "", host.port, timeout=30)
            target = parts.path + (f"?{passed_on}" if passed_on else "")
            headers = {name: text for name, text in self.headers.items() if name.lower() not in _OWN_HEADERS}
            connection.request(self.command, target, body, headers)
            response = connection.getresponse()
            answer = self.translated(response.read().decode()).encode()
            headers = {
                name: self.translated(value)
                for name, value in response.getheaders()
                if name.lower() not in _NOT_PASSED_ON
            }
            connection.close()
            self.respond(response.status, headers, answer)

        def translated(self, text: str) -> str:
            """With links to this proxy, those to the management API with its key."""
            text = re.sub(rf"http://(localhost|127\.0\.0\.1):({host.port}|{proxy_port})", proxy.url, text)
            links = rf'({re.escape(proxy.url + MANAGEMENT)}/instances/[^"\s]*\?[^"\s]+)'
            return re.sub(links, rf"\1&code={SYSTEM_KEY}", text)

        def respond(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = answer

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy_port = server.server_port
    proxy = AzureProxy(f"http://127.0.0.1:{proxy_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield proxy
    server.shutdown()
    server.server_close()


def _refusal(path: str, key: str) -> int | None:
    """The status of the refusal; None for a key that opens the path."""
    if path.startswith("/admin"):
        opened_by: tuple[str, ...] = (MASTER_KEY,)
    elif path.startswith("/runtime"):
        opened_by = (MASTER_KEY, SYSTEM_KEY)
    else:
        opened_by = (MASTER_KEY, FUNCTION_KEY)
    if key in opened_by:
        return None
    is_of_another_level = key in (SYSTEM_KEY, FUNCTION_KEY) and path.startswith(("/admin", "/runtime"))
    return 403 if is_of_another_level else 401
