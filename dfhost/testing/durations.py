"""Durations in words. Pure."""

from __future__ import annotations

from datetime import timedelta

_UNITS = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))


def spoken(duration: timedelta) -> str:
    """timedelta(days=3, hours=1) -> "3 days 1 hour"."""
    left = round(duration.total_seconds(), 6)
    if left < 0:
        return f"{spoken(-duration)} ago"
    words = []
    for unit, seconds in _UNITS:
        count = left if seconds == 1 else left // seconds
        left -= count * seconds
        if count:
            words.append(f"{count:g} {unit}{'' if count == 1 else 's'}")
    return " ".join(words) or "0 seconds"


def as_arguments(duration: timedelta) -> str:
    """What `advance` is to be called with: timedelta(days=3, hours=1) -> "days=3, hours=1"."""
    left = round(duration.total_seconds(), 6)
    words = []
    for unit, seconds in _UNITS:
        count = left if seconds == 1 else left // seconds
        left -= count * seconds
        if count:
            words.append(f"{unit}s={count:g}")
    return ", ".join(words) or "seconds=0"
