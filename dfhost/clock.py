"""The host's clock. The events' times, the durable timers and the timer triggers follow it.

It follows the wall clock, which may be set at any moment, and which goes on while a laptop sleeps; a timer that waits
on the event loop's own clock would miss both. The clock never goes back: after the wall clock was set back it goes on
at half speed until the wall clock has caught up. So no timer stalls, and none fires before its time by this clock.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone

_SECOND = 1_000_000_000
_LOOK_SECONDS = 1.0  # a sleeper looks at the wall clock at least this often


class Clock:
    """For any thread, but `sleep_until`. Whoever needs another time passes another source of nanoseconds."""

    def __init__(
        self, wall: Callable[[], int] = time.time_ns, elapsed: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._wall = wall
        self._elapsed = elapsed
        self._latest = self._read_at = 0  # the newest reading, and `elapsed` then
        self._formatted = ("", "")  # a second since the epoch and its text

    def time_ns(self) -> int:
        """Nanoseconds since the epoch."""
        time_ns, elapsed = self._wall(), self._elapsed()
        if time_ns < self._latest:
            time_ns = self._latest + (elapsed - self._read_at) // 2
        self._latest, self._read_at = time_ns, elapsed
        return time_ns

    def time(self) -> float:
        """Seconds since the epoch."""
        return self.time_ns() / _SECOND

    def now(self) -> datetime:
        """UTC."""
        return datetime.fromtimestamp(self.time(), timezone.utc)

    def timestamp(self) -> str:
        """UTC, ``2026-11-22T15:29:11.170000Z``. Called for every activity, so the second is formatted once."""
        digits = str(self.time_ns()).zfill(10)
        second, text = self._formatted
        if second != digits[:-9]:
            second = digits[:-9]
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(int(second)))
            self._formatted = (second, text)
        return f"{text}.{digits[-9:-3]}Z"

    async def pause(self, seconds: float) -> None:
        """Sleep in the middle of something that counts as running, such as a call between two attempts."""
        await asyncio.sleep(seconds)

    @property
    def pauses(self) -> int:
        """How many pauses end only when somebody moves the clock: none, since this one moves by itself."""
        return 0

    async def sleep_until(self, due: float, wake_up: asyncio.Event | None = None) -> None:
        """Sleep until `time()` is `due`, or until `wake_up` is set."""
        while (left := due - self.time()) > 0:
            # The event loop's clock may be a little ahead of this one, hence the millisecond.
            seconds = min(left + 0.001, _LOOK_SECONDS)
            if wake_up is None:
                await asyncio.sleep(seconds)
                continue
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(wake_up.wait(), seconds)
                return
