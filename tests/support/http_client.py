"""The client of a host in a process of its own: plain requests, and the verbs of the management API.

Paths are sent exactly as they are written. A host that dies in the middle of a request raises OSError.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlsplit

from tests.support.waiting import DEADLINE, until

MANAGEMENT = "/runtime/webhooks/durabletask"
ENDED = ("Completed", "Failed", "Terminated")


class Response:
    """`status`, `headers` without those that differ from run to run, and `text`."""

    def __init__(self, status: int, headers: dict[str, str], text: str) -> None:
        self.status, self.headers, self.text = status, headers, text

    @cached_property
    def body(self) -> Any:
        """The JSON value; the text where it is not JSON; None where there is none."""
        if not self.text:
            return None
        try:
            return json.loads(self.text)
        except ValueError:
            return self.text

    @property
    def plain(self) -> tuple[int, Any]:
        return self.status, self.body

    def __repr__(self) -> str:
        return f"<{self.status} {self.headers} {self.text}>"


class HttpClient:
    def __init__(self, url: str) -> None:
        self.url = url
        self._host = urlsplit(url).hostname
        self._port = urlsplit(url).port

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        content_type: str | None = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """`path` may be a URL of this host. Bytes are sent as they are, any other body as JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = dict(headers or {})
        if content_type is not None:
            sent["Content-Type"] = content_type
        connection = http.client.HTTPConnection(self._host or "", self._port, timeout=DEADLINE)
        try:
            connection.request(method, path.removeprefix(self.url), data, sent)
            response = connection.getresponse()
            text = response.read().decode()
        except http.client.IncompleteRead as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()
        kept = {name: value for name, value in response.getheaders() if name not in ("Server", "Date")}
        return Response(response.status, kept, text)

    @contextmanager
    def begun(self, method: str, path: str) -> Iterator[None]:
        """A request whose response is of no interest: it need not come while the block runs."""
        connection = http.client.HTTPConnection(self._host or "", self._port, timeout=DEADLINE)
        try:
            connection.request(method, path)
            yield
        finally:
            connection.close()

    # -- the management API --------------------------------------------------------------------------------------
    def manage(self, method: str, path: str, body: Any = None) -> Response:
        """A request to the management API; `path` without its prefix."""
        return self.request(method, f"{MANAGEMENT}/{path}", body)

    def start(self, orchestrator: str, input: Any = None, instance_id: str = "") -> str:
        """The id of a new instance, which is stored when this returns. The input is sent as the SDK's client does."""
        path = f"orchestrators/{orchestrator}" + (f"/{quote(instance_id)}" if instance_id else "")
        response = self.manage("POST", path, None if input is None else json.dumps(input))
        assert response.status == 202, response
        return str(response.body["id"])

    def send(self, instance_id: str, verb: str, body: Any = None) -> None:
        """`verb`: terminate, suspend, resume, rewind, or raiseEvent/NAME."""
        response = self.manage("POST", f"instances/{quote(instance_id)}/{verb}", body)
        assert response.status == 202, response

    def status(self, instance_id: str) -> dict[str, Any]:
        response = self.manage("GET", f"instances/{quote(instance_id)}")
        assert response.status in (200, 202), response
        return dict(response.body)

    def until(self, instance_id: str, holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """The instance's status, once it satisfies `holds`."""
        return until(lambda: self.status(instance_id), holds)

    def ended(self, instance_id: str) -> dict[str, Any]:
        """The status of an instance that has to appear and to end."""
        until(lambda: self.manage("GET", f"instances/{quote(instance_id)}").status, lambda code: code != 404)
        return self.until(instance_id, lambda status: status["runtimeStatus"] in ENDED)

    def output(self, instance_id: str) -> Any:
        """The output of an instance that must complete."""
        status = self.ended(instance_id)
        assert status["runtimeStatus"] == "Completed", status
        return status["output"]
