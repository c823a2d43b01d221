"""Durations in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

_UNITS = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))


def spoken(duration: timedelta) -> str:
    """timedelta(days=3, hours=1) -> "3 days 1 hour"."""
    if duration < timedelta():
        return f"{spoken(-duration)} ago"
    words = [f"{count:g} {unit}{'' if count == 1 else 's'}" for count, unit in _parts(duration)]
    return " ".join(words) or "0 seconds"


def as_arguments(duration: timedelta) -> str:
    """What `advance` is to be called with: timedelta(days=3, hours=1) -> "days=3, hours=1"."""
    return ", ".join(f"{unit}s={count:g}" for count, unit in _parts(duration)) or "seconds=0"


def _parts(duration: timedelta) -> Iterator[tuple[float, str]]:
    """timedelta(days=3, hours=1) -> (3, "day"), (1, "hour"). `duration`: not negative."""
    left = round(duration.total_seconds(), 6)
    for unit, seconds in _UNITS:
        count = left if seconds == 1 else left // seconds
        left -= count * seconds
        if count:
            yield count, unit
