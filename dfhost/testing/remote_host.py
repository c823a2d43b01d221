"""A host that runs somewhere else: func, Azure, or another dfhost. Time is real there, so waiting is polling."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from dfhost.management.urls import WEBHOOKS_PATH

__tracebackhide__ = True  # pytest shows errors at the line of the test

_PAUSES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # seconds between two looks


class RemoteHost:
    def __init__(self, url: str, key: str | None, timeout: float) -> None:
        """`key`: opens every route, such as a master key. `timeout`: how long a test waits, in seconds."""
        self.url = url.rstrip("/")
        self.function_failures: list[tuple[str, str, str]] = []  # it does not tell
        self._key = key
        self._timeout = timeout
        self._parts = urlsplit(self.url)
        if self._parts.scheme not in ("http", "https") or not self._parts.hostname:
            raise ValueError(f"--durable-url must be like http://localhost:7071, not {url!r}.")

    def open(self) -> None:
        """It is there already."""

    def close(self) -> None:
        """It stays."""

    def exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Mapping[str, str], bytes]:
        secure = self._parts.scheme == "https"
        connect: Any = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = connect(self._parts.hostname, self._parts.port, timeout=self._timeout)
        sent = dict(headers)
        parts = urlsplit(url)
        if self._key and "code" not in parse_qs(parts.query):  # the header would count before it
            sent.setdefault("x-functions-key", self._key)
        if parts.scheme:
            url = parts.path + (f"?{parts.query}" if parts.query else "")
        if method == "POST" and url.startswith(WEBHOOKS_PATH):
            sent.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, self._parts.path + url, body or None, sent)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        except OSError as error:
            raise ConnectionError(f"No host answers at {self.url}: {error.strerror or error}.") from None
        finally:
            connection.close()

    def wait_until(self, holds: Callable[[], bool], auto_advance: bool, timeout: float | None) -> bool:
        deadline = time.monotonic() + (self._timeout if timeout is None else timeout)
        pauses = iter(_PAUSES)
        pause = next(pauses)
        while not holds():
            if time.monotonic() > deadline:
                return False
            time.sleep(pause)
            pause = next(pauses, pause)
        return True

    def settle(self) -> None:
        """Nobody can tell from outside when a host has come to rest."""

    def check_orchestrator(self, name: str) -> None:
        """The host itself says so, sooner or later."""

    def check_entity(self, name: str) -> None:
        """Likewise."""

    def check(self) -> None:
        """Nothing is found from outside."""

    def warn_of_unmet_faults(self) -> None:
        """There are none."""

    @property
    def instances(self) -> list[str]:
        """From outside only the times of their creation are known."""
        return []
