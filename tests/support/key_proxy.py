"""A host as on Azure, before a dfhost: it asks for a key, and answers nothing that the real extension does not."""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

KEY = "the-system-key"


@contextmanager
def key_proxy(url: str) -> Iterator[str]:
    """The URL of a server that passes requests with the key on to the host at `url`, and /admin never."""
    host = urlsplit(url)

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            if self.headers.get("x-functions-key") != KEY or self.path.startswith("/admin"):
                self.send_response(401)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            path = re.sub(r"\b(explain|timeline)=true&?", "", self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            connection = http.client.HTTPConnection(host.hostname or "", host.port, timeout=30)
            connection.request(self.command, path, body, dict(self.headers))
            response = connection.getresponse()
            answer = response.read()
            connection.close()
            self.send_response(response.status)
            for name, value in response.getheaders():
                if name.lower() not in (
                    "content-length",
                    "transfer-encoding",
                    "connection",
                    "server",
                    "date",
                ):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_DELETE = answer

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
