"""The host's clock: the current time as events have it."""

from __future__ import annotations

import time
from datetime import datetime, timezone

from dfhost.engine.history import timestamp

_cached_second = (-1, "")


def now() -> str:
    """UTC, ``2026-11-22T15:29:11.170000Z``. Called for every activity, so the second is formatted once."""
    global _cached_second
    whole, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    second, text = _cached_second
    if second != whole:
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
        _cached_second = (whole, text)
    return f"{text}.{nanoseconds // 1000:06d}Z"


def timestamp_of(seconds: float) -> str:
    """The same text for a `time.time()`."""
    return timestamp(datetime.fromtimestamp(seconds, timezone.utc))
