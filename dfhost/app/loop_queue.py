"""From any thread into an event loop: many messages, one wake-up.

asyncio's own `call_soon_threadsafe` writes to a socket each time, whether the loop is awake or not, and lets go of
the interpreter for it, which under load costs more than what is told.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from typing import Generic, TypeVar

T = TypeVar("T")


class LoopQueue(Generic[T]):
    """`put` or `tell` from any thread; `open` is called in the loop with all that has piled up, in order."""

    def __init__(self, loop: asyncio.AbstractEventLoop, open: Callable[[list[T]], None]) -> None:
        self.loop = loop
        self._open = open
        self._items: deque[T] = deque()
        self._rung = False

    def put(self, item: T) -> None:
        """RuntimeError if the loop is closed."""
        self._items.append(item)
        if not self._rung or self.loop.is_closed():
            self._rung = True
            # In a context of its own: the variables of whoever rings are none of the others'.
            self.loop.call_soon_threadsafe(self._empty, context=Context())

    def tell(self, item: T) -> None:
        """Likewise, for what nobody waits for once the loop is closed."""
        with suppress(RuntimeError):
            self.put(item)

    def _empty(self) -> None:
        # First lower the flag: whoever puts from now on rings again, so nothing is left lying.
        self._rung = False
        items: list[T] = []
        while self._items:
            items.append(self._items.popleft())
        if items:
            self._open(items)


def call_queue(loop: asyncio.AbstractEventLoop) -> LoopQueue[Callable[[], None]]:
    """For functions to be called in the loop, in turn. They should not raise: who does is reported to the loop."""

    def call_each(functions: list[Callable[[], None]]) -> None:
        for function in functions:
            try:
                function()
            except Exception as error:
                loop.call_exception_handler({"message": "a call between threads failed", "exception": error})

    return LoopQueue(loop, call_each)
