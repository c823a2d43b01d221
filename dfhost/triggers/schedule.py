"""Parses the schedule of a timer trigger. Pure; `triggers/timer_triggers.py` runs the functions.

An NCRONTAB expression or a time span becomes a `Schedule`: a function from a moment to the next occurrence after it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone, tzinfo

Schedule = Callable[[datetime], datetime]
"""The first occurrence after the given moment (both aware), or ValueError if there is none."""

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_FIELD = re.compile(r"[0-9*,/\-]+")
# .NET's TimeSpan: [d.]hh:mm[:ss]; hours of 24 and more are read as days.
_SPAN = re.compile(r"(?:(?P<days>\d+)\.)?(?P<hours>\d{1,2}):(?P<minutes>\d{1,2})(?::(?P<seconds>\d{1,2}))?")


def parse_schedule(text: str, zone: tzinfo = timezone.utc) -> Schedule:
    """NCRONTAB of five or six fields (seconds first), or a time span such as ``01:30:00``.

    Day of month and day of week must *both* match, Sunday is 0, and names may be written out, as in NCRONTAB.
    ValueError, with the reason, for anything else.
    """
    if span := _SPAN.fullmatch(text.strip()):
        return _every(_timedelta(span))
    fields = text.split()
    if len(fields) not in (5, 6):
        raise ValueError("it has neither five or six fields nor the form hh:mm:ss")
    *others, month, weekday = fields
    expression = " ".join([*others, _with_numbers(month, _MONTHS, 1), _with_numbers(weekday, _DAYS, 0)])
    for field in expression.split():
        if not _FIELD.fullmatch(field):
            raise ValueError(f"'{field}' is not an NCRONTAB field")
    if re.search(r"(?<!/)\b7\b", expression.split()[-1]):
        raise ValueError("days of the week go from 0 (Sunday) to 6")
    return _cron(expression if len(fields) == 6 else f"0 {expression}", zone)


def _with_numbers(field: str, names: tuple[str, ...], first: int) -> str:
    def number(word: re.Match[str]) -> str:
        short = word[0].lower()[:3]
        if short not in names:
            raise ValueError(f"'{word[0]}' is not the name of a day or month")
        return str(names.index(short) + first)

    return re.sub(r"[A-Za-z]+", number, field)


def _cron(expression: str, zone: tzinfo) -> Schedule:
    from croniter import croniter  # imported only by apps with timers

    def next_occurrence(now: datetime) -> datetime:
        # day_or=False: both day fields must match, which is NCRONTAB's rule and not cron's.
        occurrences = croniter(expression, now.astimezone(zone), second_at_beginning=True, day_or=False)
        found: datetime = occurrences.get_next(datetime)
        return found.astimezone(timezone.utc)

    next_occurrence(datetime(2000, 1, 1, tzinfo=timezone.utc))  # croniter checks an expression on first use
    return next_occurrence


def _timedelta(span: re.Match[str]) -> timedelta:
    days, hours, minutes, seconds = (int(part or 0) for part in span.groups())
    if hours > 23 and not span["days"]:
        days, hours = hours, 0
    try:
        return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        raise ValueError("the interval is too long") from None


def _every(span: timedelta) -> Schedule:
    if not span:
        raise ValueError("the interval is zero")

    def next_occurrence(now: datetime) -> datetime:
        try:
            return now + span
        except OverflowError:
            raise ValueError("its next occurrence would be after the year 9999") from None

    return next_occurrence


def time_zone(name: str) -> tzinfo:
    """The time zone named by `WEBSITE_TIME_ZONE` (IANA); UTC if empty. ValueError for an unknown name."""
    if not name:
        return timezone.utc
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
        raise ValueError(f"'{name}' is not a time zone of the IANA database, such as Europe/Paris") from None
