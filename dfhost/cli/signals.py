"""ctrl-C and SIGTERM.

To end at once is safe: whatever was acknowledged lies in the database. The handlers neither lock nor print
through Python's streams, since they may interrupt whoever does.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

Handler = Callable[[int, "FrameType | None"], None]


def handle_signals(handler: Handler, *numbers: signal.Signals) -> None:
    """Have `handler` called for these signals, even while the loop is busy. To be called on the loop."""
    loop = asyncio.get_running_loop()
    for number in numbers:
        # The kernel may hand a signal to any thread. Only through the loop's wake-up descriptor, which this
        # sets up, does it then reach a main thread that waits for nothing but input.
        with suppress(NotImplementedError):  # Windows, where the loop sees to it by itself
            loop.add_signal_handler(number, lambda: None)
        signal.signal(number, handler)


def exit_at_once(number: int, _: object = None) -> None:
    """End the process as a shell expects it of one that `number` has ended."""
    os.write(2, b"\nLeft at once.\n")
    os._exit(128 + number)


class StopSignals:
    """The first signal asks to stop; the second, or one before there is anything to stop, leaves at once."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._asked = asyncio.Event()
        self._serving = False
        handle_signals(self._heard, signal.SIGINT, signal.SIGTERM)

    def serving(self) -> None:
        """From here on there is something to stop."""
        self._serving = True

    async def asked(self) -> None:
        await self._asked.wait()

    def _heard(self, number: int, _: object) -> None:
        if not self._serving:
            exit_at_once(number)
        self._serving = False
        self._loop.call_soon_threadsafe(self._asked.set)
