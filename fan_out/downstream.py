"""A service that things are booked with, as flaky as real ones. Simulated: it lives in this process's memory.

What it has in common with services worth calling: the caller sends an idempotency key, and a key it has seen
before gets the receipt it got then, without anything being booked again.
"""

from __future__ import annotations

import hashlib
import threading
from typing import Any

FLAKY = 3  # one key in so many is refused the first time


class Bookings:
    """What the service has booked so far. `flaky`: one key in so many is refused the first time; 0 for none."""

    def __init__(self, flaky: int = FLAKY) -> None:
        self._flaky = flaky
        self._lock = threading.Lock()
        self._refused: set[str] = set()
        self._booked: dict[str, dict[str, Any]] = {}

    def book(self, key: str, differences: list[dict[str, Any]]) -> dict[str, Any]:
        """`{"receipt", "differences": how many}`. ConnectionError when it is having a moment."""
        with self._lock:
            if key not in self._booked:
                if self._has_a_moment(key):
                    self._refused.add(key)
                    raise ConnectionError("the booking service closed the connection")
                receipt = f"R-{len(self._booked) + 1}"
                self._booked[key] = {"receipt": receipt, "differences": len(differences)}
            return self._booked[key]

    def __len__(self) -> int:
        return len(self._booked)

    def _has_a_moment(self, key: str) -> bool:
        digest = hashlib.sha256(key.encode()).digest()
        return bool(self._flaky) and key not in self._refused and digest[0] % self._flaky == 0
