"""Waiting for a condition, never for a time: each helper returns soon after the condition holds.

Most looks are requests, and one every few milliseconds keeps a processor busy. So the longer a wait takes, the less
often it looks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

DEADLINE = 60.0  # seconds; no wait takes this long unless something is wrong
T = TypeVar("T")


def until(look: Callable[[], T], holds: Callable[[T], object], longest_pause: float = 0.1) -> T:
    """The first value of `look()` for which `holds` is true. AssertionError with the last value after DEADLINE."""
    for pause in _pauses(longest_pause):
        if holds(seen := look()):
            return seen
        time.sleep(pause)
    raise _too_long(seen)


async def eventually(look: Callable[[], Awaitable[T]], holds: Callable[[T], object]) -> T:
    """`until` for a coroutine function."""
    for pause in _pauses(0.1):
        if holds(seen := await look()):
            return seen
        await asyncio.sleep(pause)
    raise _too_long(seen)


def _pauses(longest: float) -> Iterator[float]:
    """Seconds between two looks, until DEADLINE: about a fifth of the time that has passed."""
    start = time.monotonic()
    while (passed := time.monotonic() - start) < DEADLINE:
        yield min(max(0.005, passed / 5), longest)


def _too_long(seen: object) -> AssertionError:
    return AssertionError(f"not within {DEADLINE:.0f} s; the last value: {seen}")
