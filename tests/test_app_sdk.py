"""The seam to the SDK: what dfhost puts under it changes no answer."""

import time

import pytest
from azure.durable_functions.models.history import HistoryEvent, HistoryEventType
from dateutil.parser import parse

import dfhost.app.sdk  # noqa: F401  puts the memory in place

STAMPS = (
    "2026-11-22T15:29:11.170000Z",
    "2026-11-22T15:29:11.1700001Z",
    "2026-11-22T15:29:11Z",
    "2026-11-22T15:29:11.17+02:00",
    "2026-11-22T15:29:11.17",
)


def _read(stamp: str):
    event = HistoryEvent(
        EventType=HistoryEventType.ORCHESTRATOR_STARTED, EventId=-1, IsPlayed=False, Timestamp=stamp
    )
    return event.timestamp


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the process cannot change its time zone")
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
@pytest.mark.parametrize("stamp", STAMPS)
def test_a_remembered_timestamp_is_the_one_that_the_sdk_reads(stamp, zone, monkeypatch):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        for _ in range(2):
            seen, expected = _read(stamp), parse(stamp)
            assert seen == expected
            assert seen.tzname() == expected.tzname()
            assert seen.utcoffset() == expected.utcoffset()
    finally:
        monkeypatch.undo()
        time.tzset()


def test_each_timestamp_is_read_once():
    assert _read("2031-01-02T03:04:05.678000Z") is _read("2031-01-02T03:04:05.678000Z")


def test_what_is_no_timestamp_is_refused_every_time():
    for _ in range(2):
        with pytest.raises(ValueError, match="Unknown string format"):
            _read("tomorrow-ish?")
