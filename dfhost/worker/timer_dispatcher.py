"""Firing durable timers: sleep exactly until the next one is due.

The store has all timers; only the next due time is kept here. Timers never fire early.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from dfhost.engine import history as h
from dfhost.store.open_tasks import DueTimer
from dfhost.store.store import Store
from dfhost.worker.clock import now

# The wall clock may be set while we sleep; an hour bounds the error.
_LONGEST_SLEEP = 3600.0


class TimerDispatcher:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._wake_up = asyncio.Event()
        self._next_due: str | None = None
        self._task: asyncio.Task[None] | None = None
        self._draining = False

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    @property
    def idle(self) -> bool:
        return self._task is None or self._task.done()

    def drain(self) -> None:
        """Fire no more timers; they stay in the store for the next host."""
        self._draining = True
        self._wake_up.set()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def add(self, fire_at: Iterable[str]) -> None:
        """New timers were stored: wake up if one of them is due sooner than the next one known."""
        soonest = min(fire_at, default=None)
        if soonest is not None and (self._next_due is None or soonest < self._next_due):
            self._wake_up.set()

    async def _run(self) -> None:
        while not self._draining:
            self._wake_up.clear()
            self._next_due = self._store.next_due()
            at = now()
            if self._next_due is not None and self._next_due <= at:
                await self._store.fire_timers(at, _fired)
                continue
            seconds = _LONGEST_SLEEP
            if self._next_due is not None:
                # The event loop's clock may be a little ahead of the wall clock, hence the millisecond.
                seconds = min(seconds, (h.moment(self._next_due) - h.moment(at)).total_seconds() + 0.001)
            try:
                await asyncio.wait_for(self._wake_up.wait(), seconds)
            except asyncio.TimeoutError:
                pass


def _fired(timer: DueTimer) -> str:
    return h.timer_fired(now(), timer.timer_id, timer.fire_at).text
