"""The event loop on which hosts under test run: one thread of its own for the whole process.

The test itself is plain code, with or without an event loop, and calls in from outside.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

__tracebackhide__ = True  # pytest shows errors at the line of the test

T = TypeVar("T")


class HostLoop:
    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="dfhost-testing", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The result of `coroutine`, which runs on the host loop. From any other thread."""
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError("The host's own thread cannot wait for the host.")
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise


_shared: HostLoop | None = None


def host_loop() -> HostLoop:
    """The one of this process, made when it is first needed."""
    global _shared
    if _shared is None:
        _shared = HostLoop()
    return _shared
