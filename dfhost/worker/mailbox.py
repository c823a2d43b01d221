"""From the user's threads to the host's loop: many results, one wake-up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """`put` from any thread; `open` is called in the loop with everything that has piled up, in order."""

    def __init__(self, loop: asyncio.AbstractEventLoop, open: Callable[[list[T]], None]) -> None:
        self._loop = loop
        self._open = open
        self._items: deque[T] = deque()
        self._rung = False

    def put(self, item: T) -> None:
        self._items.append(item)
        if not self._rung:
            self._rung = True
            try:
                self._loop.call_soon_threadsafe(self._empty)
            except RuntimeError:  # the loop is closed: the host has gone
                pass

    def _empty(self) -> None:
        # First lower the flag: whoever puts from now on rings again, so nothing is left lying.
        self._rung = False
        items: list[T] = []
        while self._items:
            items.append(self._items.popleft())
        if items:
            self._open(items)
