"""The number of calls that ran at once, from their spans."""

from __future__ import annotations

from dfhost.timeline.in_flight import in_flight


def at(second: float) -> str:
    return f"2026-11-28T08:00:{second:09.6f}Z"


def counts(*spans: tuple[float, float | None], steps: int = 4) -> list[int]:
    texts = [(at(start), None if end is None else at(end)) for start, end in spans]
    return [count for _, count in in_flight(texts, steps)]


def test_nothing_has_no_steps() -> None:
    assert in_flight([]) == []


def test_each_step_has_the_most_that_ran_in_it() -> None:
    assert counts((0, 4)) == [1, 1, 1, 1]
    assert counts((0, 2), (1, 4)) == [1, 2, 1, 1]
    assert counts((0, 4), (2.1, 2.2)) == [1, 1, 2, 1]


def test_one_that_ends_gives_its_place_to_one_that_starts() -> None:
    assert counts((0, 1), (1, 2), (2, 4)) == [1, 1, 1, 1]


def test_what_runs_still_runs_to_the_end() -> None:
    assert counts((0, None), (2, 4)) == [1, 1, 2, 2]


def test_the_times_are_the_begins_of_the_steps() -> None:
    assert [time for time, _ in in_flight([(at(0), at(4))], 4)] == [at(0), at(1), at(2), at(3)]
