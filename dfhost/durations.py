"""Durations in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_UNITS = (("day", _DAY), ("hour", _HOUR), ("minute", _MINUTE), ("second", 1))


def duration(seconds: float) -> str:
    """0.0004 -> "<1 ms", 0.25 -> "250 ms", 2.04 -> "2.0 s", 125 -> "2 min 5 s", 7500 -> "2 h 5 min"."""
    if seconds < 0.001:
        return "<1 ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    return _two_units(round(seconds))


def time_left(seconds: float) -> str:
    """How soon something is due: "now", "in 12 s", "in 5 min", "in 2 d 23 h".

    In seconds, from a minute on in minutes, from a day on in hours: what is far away changes seldom.
    """
    if seconds <= 0:
        return "now"
    step = 1 if seconds < 59.5 else _MINUTE if round(seconds / _HOUR) < 24 else _HOUR
    return f"in {_two_units(max(1, round(seconds / step)) * step)}"


def _two_units(seconds: int) -> str:
    for size, unit, below, small in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "min"),
        (_MINUTE, "min", 1, "s"),
    ):
        if seconds >= size:
            rest = seconds % size // below
            return f"{seconds // size} {unit}" + (f" {rest} {small}" if rest else "")
    return f"{seconds} s"


def exact_duration(span: timedelta) -> str:
    """The span with all units, to the microsecond: timedelta(days=3, hours=1) -> "3 days 1 hour"."""
    if span < timedelta():
        return f"{exact_duration(-span)} ago"
    words = [f"{count:g} {unit}{'' if count == 1 else 's'}" for count, unit in in_units(span)]
    return " ".join(words) or "0 seconds"


def in_units(span: timedelta) -> Iterator[tuple[float, str]]:
    """timedelta(days=3, hours=1) -> (3, "day"), (1, "hour"). `span`: not negative."""
    left = round(span.total_seconds(), 6)
    for unit, seconds in _UNITS:
        count = left if seconds == 1 else left // seconds
        left -= count * seconds
        if count:
            yield count, unit
