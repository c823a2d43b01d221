"""Tells who waits for it that the host has nothing left to do at the present time.

Each part counts what it has `unfinished`: everything that runs, waits for a thread or is being committed. Whatever
waits for a later time, or for somebody outside, does not count. Nothing is polled: a part reports each time that one
of its things has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class IdleSignal:
    """To be used on the host loop."""

    def __init__(self, is_idle: Callable[[], bool]) -> None:
        self._is_idle = is_idle
        self._waiters: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        while not self._is_idle():
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    def changed(self) -> None:
        """Something has ended."""
        if self._waiters and self._is_idle():
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)


def nobody_waits() -> None:
    """The `on_end` of a part until somebody waits for it."""
