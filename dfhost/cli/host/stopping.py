"""What ends `start` and `run` early: ctrl-C, SIGTERM, and a failure after which the host cannot go on.

Ending at once is safe: whatever was acknowledged is already in the database. Signal handlers neither lock nor
print through Python's streams, because they may interrupt a thread that is doing just that.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import FrameType
from typing import Any

from dfhost import forked_children
from dfhost.errors import HostError

SignalHandler = Callable[[int, "FrameType | None"], None]


def handle_signals(handler: SignalHandler, *numbers: signal.Signals) -> None:
    """Have `handler` called for these signals, even while the loop is busy. Call this on the loop."""
    loop = asyncio.get_running_loop()
    for number in numbers:
        # The kernel may deliver a signal to any thread. A main thread that only waits for input then notices
        # it through the loop's wake-up descriptor, which `add_signal_handler` sets up.
        with suppress(NotImplementedError):  # Windows, whose loop needs no such help
            loop.add_signal_handler(number, lambda: None)
        signal.signal(number, handler)
    if signal.SIGTERM in numbers:
        forked_children.end_at_sigterm(handler)


def exit_at_once(number: int, _: object = None) -> None:
    """End the process with the exit code that a shell gives a process killed by signal `number`."""
    os.write(2, b"\nStopped at once.\n")
    os._exit(128 + number)


class StopSignals:
    """SIGINT and SIGTERM. The first asks the host to stop; the second ends the process at once.

    Until `host_is_ready` is called there is nothing to stop, so the first signal already ends the process.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._requested = asyncio.Event()
        self._can_drain = False
        self._before_exit: Callable[[], None] = lambda: None
        handle_signals(self._on_signal, signal.SIGINT, signal.SIGTERM)

    def host_is_ready(self, before_exit: Callable[[], None]) -> None:
        """From now on the first signal asks the host to stop. Handlers that the app has installed are replaced.

        `before_exit` is called in the signal handler when the second signal ends the process.
        """
        self._before_exit = before_exit
        self._can_drain = True
        handle_signals(self._on_signal, signal.SIGINT, signal.SIGTERM)

    async def wait(self) -> None:
        """Return once somebody has asked the host to stop."""
        await self._requested.wait()

    def _on_signal(self, number: int, _: object) -> None:
        if not self._can_drain:
            self._before_exit()
            exit_at_once(number)
        self._can_drain = False
        self._loop.call_soon_threadsafe(self._requested.set)


class FatalFailure:
    """What leaves a running host nothing to do but stop: a database that fails, an app that ends its event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._error: asyncio.Future[HostError] = self._loop.create_future()

    def report(self, error: HostError) -> None:
        """Call this from any thread, as often as it happens; the first error counts."""
        with suppress(RuntimeError):  # the process ends already
            self._loop.call_soon_threadsafe(self._set_error, error)

    async def watch(self, work: Awaitable[Any], timeout: float | None = None) -> None:
        """Wait until `work` has ended, with or without an error, for at most `timeout` seconds.

        Raises the failure as soon as it is reported.
        """
        task = asyncio.ensure_future(work)
        await asyncio.wait({task, self._error}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if self._error.done():
            task.cancel()
            raise self._error.result()

    def _set_error(self, error: HostError) -> None:
        if not self._error.done():
            self._error.set_result(error)
