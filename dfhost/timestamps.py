"""Times as texts: ISO 8601 in UTC with a fraction and Z, as .NET and the SDK write them. Pure."""

from __future__ import annotations

from datetime import datetime, timezone

_LENGTH = len("2026-11-22T15:29:11.170000Z")


def timestamp(at: datetime) -> str:
    """``2026-11-22T15:29:11.170000Z``. `at`: aware."""
    return at.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def padded(text: str) -> str:
    """A timestamp of the SDK's with four digits for the year, where it writes 999: times are compared as texts."""
    return text.zfill(_LENGTH)


def timestamp_of(seconds: float) -> str:
    """The timestamp of so many seconds since the epoch, such as `Clock.time` gives."""
    return timestamp(datetime.fromtimestamp(seconds, timezone.utc))


def parse_timestamp(text: str) -> datetime:
    """The time in `text`, read as UTC. ValueError if there is none.

    Of the fraction seven digits, as .NET writes them, are read as six, and none as 0: Python 3.10 takes neither.
    """
    whole, _, fraction = text.partition("+")[0].rstrip("Z").partition(".")
    return datetime.fromisoformat(whole).replace(
        microsecond=int((fraction + "000000")[:6]), tzinfo=timezone.utc
    )


def whole_second(text: str) -> str:
    """A timestamp without its fraction, for people: ``2026-11-22T15:29:11Z``."""
    return f"{text[:19]}Z"
