"""Firing durable timers: sleep exactly until the next one is due.

The store has all timers; only the next due time is kept here. Timers never fire early.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from dfhost.clock import Clock
from dfhost.idle_signal import nobody_waits
from dfhost.store.store import Store
from dfhost.timestamps import parse_timestamp


class TimerDispatcher:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._wake_up = asyncio.Event()
        self._next_due: str | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopped_accepting = False
        self._sleeping = False
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
            self._next_due = self._store.next_due()
            if self._next_due is not None and self._next_due <= (at := self._clock.timestamp()):
                await self._store.fire_timers(at)
                continue
            self._sleeping = True
            self.on_end()
            if self._next_due is None:
                await self._wake_up.wait()
            else:
                await self._clock.sleep_until(self._seconds(self._next_due), self._wake_up)
            self._sleeping = False

    def _seconds(self, due: str) -> float:
        try:
            return parse_timestamp(due).timestamp()
        except ValueError:
            # The code has set a `fire_at` that is no readable time, and texts sort before or after it all the same.
            # The dispatcher looks again in a second, so that the timers behind this one fire.
            return self._clock.time() + 1
