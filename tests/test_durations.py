"""Durations in words."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dfhost.durations import duration, exact_duration, time_left


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "<1 ms"),
        (0.0004, "<1 ms"),
        (0.001, "1 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (2.04, "2.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min"),
        (125, "2 min 5 s"),
        (3599.9, "1 h"),
        (7500, "2 h 5 min"),
        (90000, "1 d 1 h"),
    ],
)
def test_durations_have_two_figures_that_matter(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "now"),
        (0, "now"),
        (0.2, "in 1 s"),
        (57.7, "in 58 s"),
        (59.6, "in 1 min"),
        (125, "in 2 min"),
        (7500, "in 2 h 5 min"),
        (23.75 * 3600, "in 1 d"),
        (71 * 3600 + 120, "in 2 d 23 h"),
    ],
)
def test_what_is_far_away_is_told_roughly(seconds: float, text: str) -> None:
    assert time_left(seconds) == text


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(days=3, hours=1), "3 days 1 hour"),
        (timedelta(minutes=1, seconds=0.5), "1 minute 0.5 seconds"),
        (timedelta(seconds=-2), "2 seconds ago"),
        (timedelta(), "0 seconds"),
    ],
)
def test_an_exact_duration_has_all_units(span: timedelta, text: str) -> None:
    assert exact_duration(span) == text
