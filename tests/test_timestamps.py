"""Times as texts: what is written, and the spellings that are read."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from dfhost.timestamps import parse_timestamp, timestamp, timestamp_of, whole_second

AT = datetime(2026, 11, 22, 15, 29, 11, 170_000, tzinfo=timezone.utc)


def test_a_time_is_written_in_utc_with_six_digits() -> None:
    assert timestamp(AT) == timestamp_of(AT.timestamp()) == "2026-11-22T15:29:11.170000Z"
    assert timestamp(AT.astimezone(timezone(timedelta(hours=5)))) == timestamp(AT)
    assert whole_second(timestamp(AT)) == "2026-11-22T15:29:11Z"


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T15:29:11.170000Z",
        "2026-11-22T15:29:11.1700009Z",  # .NET's seven digits
        "2026-11-22T15:29:11.17Z",
        "2026-11-22T15:29:11.17+00:00",
        "2026-11-22T15:29:11.17",
    ],
)
def test_the_spellings_that_are_read(text: str) -> None:
    assert parse_timestamp(text) == AT


@pytest.mark.parametrize("text", ["2026-11-22T15:29:11Z", "2026-11-22T15:29:11+00:00", "2026-11-22T15:29:11"])
def test_a_time_without_a_fraction(text: str) -> None:
    assert parse_timestamp(text) == AT.replace(microsecond=0)


@pytest.mark.parametrize("text", ["", "soon", "2026-11-22T15:29:11.soonZ"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_timestamp(text)
