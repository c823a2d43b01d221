"""Durable timers: sleep exactly until the next one is due.

The database knows them all; this part knows only the next moment. Timers never fire early.
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
        self._sooner = asyncio.Event()
        self._target: str | None = None

    async def run(self) -> None:
        while True:
            self._sooner.clear()
            self._target = self._store.next_due()
            at = now()
            if self._target is not None and self._target <= at:
                await self._store.fire_timers(at, _fired)
                continue
            seconds = _LONGEST_SLEEP
            if self._target is not None:
                # A millisecond of grace: the loop's clock may wake a little before the wall clock's moment.
                seconds = min(seconds, (h.moment(self._target) - h.moment(at)).total_seconds() + 0.001)
            try:
                await asyncio.wait_for(self._sooner.wait(), seconds)
            except asyncio.TimeoutError:
                pass

    def added(self, fire_at: Iterable[str]) -> None:
        """Timers were stored: wake if one of them is sooner than what is slept for."""
        soonest = min(fire_at, default=None)
        if soonest is not None and (self._target is None or soonest < self._target):
            self._sooner.set()


def _fired(timer: DueTimer) -> str:
    return h.timer_fired(now(), timer.timer_id, timer.fire_at).text
