"""`maxOutstandingRequests` and `maxConcurrentRequests` of host.json, as the Functions host applies them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from dfhost.runner.app_runner import HttpReply

T = TypeVar("T")

#: The answer to a request beyond maxOutstandingRequests. It carries none of the customHeaders (recorded).
TOO_MANY_REQUESTS = HttpReply(429, [("x-function-scaleout", "1")])


class Throttle:
    """`max_outstanding`: requests that run or wait; `max_concurrent`: those that run. None: any number."""

    def __init__(self, max_outstanding: int | None, max_concurrent: int | None) -> None:
        self._max_outstanding = max_outstanding
        self._turns = asyncio.Semaphore(max_concurrent) if max_concurrent is not None else None
        self._outstanding = 0

    @property
    def is_full(self) -> bool:
        return self._max_outstanding is not None and self._outstanding >= self._max_outstanding

    async def run(self, responding: Awaitable[T]) -> T:
        """The result of `responding`, once it had its turn. Only to be called while the throttle is not full."""
        self._outstanding += 1
        try:
            if self._turns is None:
                return await responding
            async with self._turns:
                return await responding
        finally:
            self._outstanding -= 1
