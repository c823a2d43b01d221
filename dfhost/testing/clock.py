"""A clock that stands still until somebody moves it. All times of a host under test follow it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from dfhost.clock import Clock

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(eq=False, slots=True)
class _Sleeper:
    due: int  # microseconds since the epoch
    wake_up: asyncio.Event
    is_pause: bool


class ManualClock(Clock):
    """Everything but reading the time is for the host loop.

    `sleep_until` is for timers, which wait for nothing but the time; `pause` is for what counts as running.
    """

    def __init__(self, now: datetime) -> None:
        self._now = _microseconds(now)
        super().__init__(wall=lambda: self._now * 1000, elapsed=lambda: 0)
        self._sleepers: set[_Sleeper] = set()
        self.on_pause: Callable[[], None] = lambda: None

    @property
    def pauses(self) -> int:
        return sum(each.is_pause and each.due > self._now for each in self._sleepers)

    @property
    def next_due(self) -> datetime | None:
        """The next time at which something goes on; None if nothing waits for a time."""
        due = min((each.due for each in self._sleepers), default=None)
        return None if due is None else _EPOCH + due * _MICROSECOND

    def move_to(self, moment: datetime) -> None:
        """What was due until then goes on. The clock never goes back."""
        self._now = max(self._now, _microseconds(moment))
        for each in self._sleepers:
            if each.due <= self._now:
                each.wake_up.set()

    async def pause(self, seconds: float) -> None:
        await self._sleep(self._now + round(seconds * 1_000_000), asyncio.Event(), is_pause=True)

    async def sleep_until(self, due: float, wake_up: asyncio.Event | None = None) -> None:
        await self._sleep(round(due * 1_000_000), wake_up or asyncio.Event(), is_pause=False)

    async def _sleep(self, due: int, wake_up: asyncio.Event, *, is_pause: bool) -> None:
        if due <= self._now:
            return
        sleeper = _Sleeper(due, wake_up, is_pause)
        self._sleepers.add(sleeper)
        if is_pause:
            self.on_pause()
        try:
            await wake_up.wait()
        finally:
            with suppress(KeyError):
                self._sleepers.remove(sleeper)


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND
