"""Futures that are done when an instance ends."""

from __future__ import annotations

import asyncio


class CompletionWaiters:
    """To be used on the host loop."""

    def __init__(self) -> None:
        self._futures: dict[str, list[asyncio.Future[None]]] = {}

    def wait_for(self, instance_id: str) -> asyncio.Future[None]:
        """Done once the instance has ended, or was purged, after this call."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._futures.setdefault(instance_id, []).append(future)
        return future

    def notify(self, instance_id: str) -> None:
        for future in self._futures.pop(instance_id, ()):
            if not future.done():
                future.set_result(None)
