"""A host whose database fails while it runs: disk full, file gone. Nothing will go on then, so leave and say why."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from dfhost.errors import DatabaseError


class DatabaseFailure:
    """Made on the loop; `happened` may be called from any thread, once or more."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._failed: asyncio.Future[DatabaseError] = self._loop.create_future()

    def happened(self, error: DatabaseError) -> None:
        self._loop.call_soon_threadsafe(self._fail, error)

    async def unless(self, work: Awaitable[Any], timeout: float | None = None) -> None:
        """Wait until `work` has ended, well or not, or `timeout` seconds. DatabaseError as soon as it breaks."""
        task = asyncio.ensure_future(work)
        await asyncio.wait({task, self._failed}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if self._failed.done():
            task.cancel()
            raise self._failed.result()

    def _fail(self, error: DatabaseError) -> None:
        if not self._failed.done():
            self._failed.set_result(error)
