"""The host that is tested: the one at BASE_URL, or dfhost, started for the occasion.

    BASE_URL         http://localhost:7071, https://my-app.azurewebsites.net, …
    FUNCTIONS_KEY    a function key, where the host asks for one
    E2E_DEADLINE     seconds that one wait may take (default 600): hosts differ a lot in speed

Nothing here but this file knows which host it is: the tests have HTTP and the contract of the app.
"""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.apps import ROOT
from tests.support.host_process import HostProcess

DEADLINE = float(os.environ.get("E2E_DEADLINE", "600"))
ENDED = ("Completed", "Failed", "Terminated", "Canceled")


class App:
    """The app under test, as a caller sees it."""

    def __init__(self, base_url: str, key: str) -> None:
        self.base_url = base_url.rstrip("/")
        self._key = key

    def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and body: JSON where it is that, else text. `path`: `/api/…`, or a URL that the app gave."""
        own = path.startswith("/")
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base_url + path if own else path, data=data, method=method)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            request.add_header(name, value)
        if own and self._key:
            request.add_header("x-functions-key", self._key)
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
                status, raw = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                status, raw = error.code, error.read()
        try:
            return status, json.loads(raw)
        except ValueError:
            return status, raw.decode(errors="replace")

    def start(self, path: str, body: Any = None, **headers: str) -> dict[str, Any]:
        """POST to a starter: the links it answers with."""
        status, links = self.call("POST", path, body, headers)
        assert status == 202, (status, links)
        return links

    def end(self, links: dict[str, Any]) -> dict[str, Any]:
        """The run's status once it has ended."""
        return self.until(
            lambda: self.call("GET", links["statusQueryGetUri"])[1],
            lambda shown: shown["runtimeStatus"] in ENDED,
        )

    def run(self, path: str, body: Any = None) -> dict[str, Any]:
        return self.end(self.start(path, body))

    def progress(self, links: dict[str, Any]) -> dict[str, Any]:
        status, shown = self.call("GET", f"/api/maps/{links['id']}")
        assert status == 200, (status, shown)
        return shown

    def until(self, look: Callable[[], Any], good: Callable[[Any], bool]) -> Any:
        """What `look` gives, once it is `good`."""
        end = time.monotonic() + DEADLINE
        pause = 0.02
        while not good(seen := look()):
            assert time.monotonic() < end, f"not within {DEADLINE:.0f} s: {seen}"
            time.sleep(pause)
            pause = min(1.0, pause * 1.3)
        return seen


@pytest.fixture(scope="session")
def app() -> Iterator[App]:
    if url := os.environ.get("BASE_URL"):
        yield App(url, os.environ.get("FUNCTIONS_KEY", ""))
        return
    with HostProcess(ROOT, "--memory") as host:
        yield App(host.url, "")
