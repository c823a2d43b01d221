"""Waiting for a condition, never for a time: each helper returns at once when the condition holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

DEADLINE = 60.0  # seconds; no wait takes this long unless something is wrong
T = TypeVar("T")


def until(look: Callable[[], T], holds: Callable[[T], object], pause: float = 0.005) -> T:
    """The first value of `look()` for which `holds` is true. AssertionError with the last value after DEADLINE."""
    deadline = time.monotonic() + DEADLINE
    while not holds(seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {DEADLINE:.0f} s; the last value: {seen}")
        time.sleep(pause)
    return seen


async def eventually(look: Callable[[], Awaitable[T]], holds: Callable[[T], object]) -> T:
    """`until` for a coroutine function."""
    deadline = time.monotonic() + DEADLINE
    while not holds(seen := await look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {DEADLINE:.0f} s; the last value: {seen}")
        await asyncio.sleep(0.005)
    return seen
