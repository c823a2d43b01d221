"""Firing durable timers: sleep exactly until the next one is due.

The store has all timers; only the next due time is kept here. Timers never fire early. If the store fails to read or
to fire them, the dispatcher tries again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from dfhost.clock import Clock
from dfhost.errors import DatabaseError, OperationFailed
from dfhost.host_log import HostLog
from dfhost.idle_signal import nobody_waits
from dfhost.store.store import Store
from dfhost.timestamps import parse_timestamp

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0  # seconds


class TimerDispatcher:
    """To be used on the host's loop."""

    def __init__(self, store: Store, log: HostLog, clock: Clock) -> None:
        self._store = store
        self._log = log
        self._clock = clock
        self._wake_up = asyncio.Event()
        self._next_due: str | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopped_accepting = False
        self._sleeping = False
        self._pause = _FIRST_PAUSE  # seconds after a failure; each is twice as long as the one before
        self._reported: set[str] = set()  # failures
        self.on_end = nobody_waits  # see `IdleSignal.changed`

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    @property
    def unfinished(self) -> int:
        """See `IdleSignal`. A timer that is due has yet to fire."""
        if self._task is None or self._task.done():
            return 0
        is_due = self._next_due is not None and self._next_due <= self._clock.timestamp()
        return int(not self._sleeping or self._wake_up.is_set() or is_due)

    def stop_accepting(self) -> None:
        """Fire no more timers; they stay in the store for the next host."""
        self._stopped_accepting = True
        self._wake_up.set()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def add(self, fire_at: Iterable[str]) -> None:
        """New timers were stored: wake up if one of them is due sooner than the next one known."""
        soonest = min(fire_at, default=None)
        if soonest is not None and (self._next_due is None or soonest < self._next_due):
            self._wake_up.set()

    async def _run(self) -> None:
        while not self._stopped_accepting:
            self._wake_up.clear()
            if await self._fire_due():
                self._pause = _FIRST_PAUSE
                await self._sleep()
            else:
                await self._pause_after_failure()

    async def _fire_due(self) -> bool:
        """Fire all timers that are due, and learn when the next one is. False if that has failed."""
        while not self._stopped_accepting:
            try:
                self._next_due = self._store.next_due()
            except DatabaseError as error:
                self._report(error)
                return False
            if self._next_due is None or self._next_due > (at := self._clock.timestamp()):
                break
            try:
                await self._store.fire_timers(at)
            except OperationFailed:  # the store has reported it
                return False
        return True

    async def _sleep(self) -> None:
        """Until the next timer is due, or `add` knows of an earlier one."""
        self._sleeping = True
        self.on_end()
        if self._next_due is None:
            await self._wake_up.wait()
        else:
            await self._clock.sleep_until(self._seconds(self._next_due), self._wake_up)
        self._sleeping = False

    async def _pause_after_failure(self) -> None:
        """What has failed is tried again: one failure must not keep all timers from firing for ever."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._wake_up.wait(), self._pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def _report(self, error: DatabaseError) -> None:
        if str(error) not in self._reported:
            self._reported.add(str(error))
            self._log.note(f"The timers cannot be read, which is tried again. {error}")

    def _seconds(self, due: str) -> float:
        try:
            return parse_timestamp(due).timestamp()
        except ValueError:
            # The code has set a `fire_at` that is no readable time, and texts sort before or after it all the same.
            # The dispatcher looks again in a second, so that the timers behind this one fire.
            return self._clock.time() + 1
