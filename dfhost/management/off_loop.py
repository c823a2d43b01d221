"""Work on large texts goes to a thread, so that the host loop responds to others meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_LARGE = 300_000  # characters or bytes; to check, compact or encode them takes some milliseconds


async def off_loop(size: int, work: Callable[[], T]) -> T:
    """The result of `work`, whose time grows with `size`."""
    return work() if size < _LARGE else await asyncio.to_thread(work)
