"""A queue from any thread into an event loop that wakes the loop once for many items.

asyncio's own `call_soon_threadsafe` writes to a socket and releases the interpreter lock for every call, even if the
loop is awake. Under load that costs more than the work itself. On the loop itself neither is needed.
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
    """`put` from any thread; in the loop, `consume` is called with all items since its last call, in order."""

    def __init__(self, loop: asyncio.AbstractEventLoop, consume: Callable[[list[T]], None]) -> None:
        self.loop = loop
        self._consume = consume
        self._items: deque[T] = deque()
        self._notified = False

    @property
    def empty(self) -> bool:
        return not self._items

    def put(self, item: T) -> None:
        """RuntimeError if the loop is closed."""
        self._items.append(item)
        if not self._notified or self.loop.is_closed():
            self._notified = True
            is_on_loop = asyncio._get_running_loop() is self.loop
            notify = self.loop.call_soon if is_on_loop else self.loop.call_soon_threadsafe
            # In an empty context: the items of other threads must not see this thread's context variables.
            notify(self._drain, context=Context())

    def put_if_open(self, item: T) -> None:
        """As `put`, but an item for a closed loop is dropped."""
        with suppress(RuntimeError):
            self.put(item)

    def _drain(self) -> None:
        # Cleared before the items are read: an item that is put from here on notifies the loop again.
        self._notified = False
        items: list[T] = []
        while self._items:
            items.append(self._items.popleft())
        if items:
            self._consume(items)


def callback_queue(loop: asyncio.AbstractEventLoop) -> LoopQueue[Callable[[], None]]:
    """A queue of functions that the loop calls in order. An exception goes to the loop's exception handler."""

    def call_each(functions: list[Callable[[], None]]) -> None:
        for function in functions:
            try:
                function()
            except Exception as error:
                loop.call_exception_handler({"message": "a call between threads failed", "exception": error})

    return LoopQueue(loop, call_each)
