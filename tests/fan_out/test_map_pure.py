"""The parts of the map that are plain functions of values: cutting up, counting, merging, showing."""

from __future__ import annotations

import heapq
import random
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fan_out.maps import ledger, outcome
from fan_out.maps.pace import BATCHES, LANE, STAGE, WAVE, Batches, Child, Pace, Sections, Stages, Waves
from fan_out.maps.parts import Job, Part, Supply, Tally
from fan_out.maps.register import claimed
from fan_out.maps.run import Terms
from fan_out.maps.settle import error_text


def job(bound: int = 8, batch: int | None = None, total: int = 0) -> Job:
    return Job("m", "work", False, 1, 1.0, bound, batch, None, total)


# -- pace: a clock and no orchestrator --------------------------------------------------------------------------


class Clock:
    """Runs parts in simulated time, as `roll` hands them out, down to batches."""

    def __init__(self, seconds: list[float], job: Job, cost: float = 0.0) -> None:
        self.seconds, self.job, self.cost = seconds, job, cost
        self.marks: list[tuple[float, int]] = []
        self.parts = 0  # handed out by the busiest orchestration
        self.batches: list[Child] = []

    def run(self) -> float:
        end, tally = self.part(Stages(self.job, len(self.seconds)), 0, len(self.seconds), self.job.bound, 0.0)
        assert not tally.undone
        return end

    @property
    def most_in_flight(self) -> int:
        most = running = 0
        for _, change in sorted(self.marks):
            running += change
            most = max(most, running)
        return most

    def part(self, pace: Pace, first: int, count: int, slots: int, now: float) -> tuple[float, Tally]:
        began, supply, tally, parts = now, Supply(count), Tally([None] * count), 0
        running: list[tuple[float, int, Child, Tally]] = []
        used = 0
        while True:
            while supply.left and not pace.stop:
                free = slots - used if slots else supply.left
                asked = pace.child(free, supply.left)
                if asked is None:
                    break
                start, taken = supply.take(asked.count)
                slots_taken = min(asked.slots, taken) if asked.kind == "batch" else asked.slots
                child = Child(asked.kind, taken, slots_taken, asked.plan)
                end, done = self.child(child, first + start, taken, now + self.cost)
                heapq.heappush(running, (end, parts, child, done, start))  # type: ignore[arg-type]
                used += child.slots
                parts += 1
            if not running:
                assert pace.stop or not supply.left
                break
            now, _, child, done, start = heapq.heappop(running)  # type: ignore[misc]
            used -= child.slots
            tally.absorb(start, done)
            supply.put_back([(start + a, start + b) for a, b in done.undone])
            pace.learn(child, done)
        self.parts = max(self.parts, parts)
        tally.undone, tally.stop, tally.seconds = list(supply.rest()), pace.stop, now - began
        tally.way = pace.way
        return now, tally

    def child(self, child: Child, first: int, count: int, now: float) -> tuple[float, Tally]:
        if child.kind == "batch":
            self.batches.append(child)
            end = now
            for position in range(first, first + count):
                start = now if child.slots > 1 else end
                stop = start + self.seconds[position]
                self.marks += [(start, 1), (stop, -1)]
                end = max(end, stop)
            return end, Tally([0] * count, seconds=end - now)
        if child.kind == "stage":
            return self.part(Sections(self.job, count), first, count, child.slots, now)
        slots = child.slots or count
        pace: Pace
        if "width" in child.plan:
            pace = Waves(slots, child.plan["width"])
        else:
            pace = Batches(slots, self.job.bound, child.plan["way"])
        return self.part(pace, first, count, child.slots, now)


def uneven(count: int, seed: int) -> list[float]:
    chance = random.Random(seed)
    return [1.0 if chance.random() < 0.1 else 0.1 for _ in range(count)]


LOADS = {
    "every tenth": [1.0 if n % 10 == 9 else 0.1 for n in range(120)],
    "slow first": [1.0 if n < 12 else 0.1 for n in range(120)],
    "slow last": [1.0 if n >= 108 else 0.1 for n in range(120)],
    "even": [0.1] * 120,
    **{f"random {seed}": uneven(120, seed) for seed in range(5)},
}


@pytest.mark.parametrize("load", LOADS)
def test_eight_lanes_are_kept_busy_however_the_slow_items_lie(load):
    seconds = LOADS[load]
    clock = Clock(seconds, job(8, total=120))
    ideal = sum(seconds) / 8
    # What no one can avoid who does not know which item is slow: the last one to start may be.
    assert clock.run() <= 1.1 * ideal + max(seconds)
    assert clock.most_in_flight == 8


def test_one_lane_is_never_handed_a_heap_of_slow_items():
    clock = Clock(LOADS["slow first"], job(8, total=120))
    assert clock.run() <= 1.25 * sum(LOADS["slow first"]) / 8


@pytest.mark.parametrize("bound", [16, 50, 64])
def test_a_large_map_of_uneven_items_keeps_its_slots_busy_too(bound):
    seconds = uneven(60 * bound, bound)
    clock = Clock(seconds, job(bound, total=len(seconds)))
    assert clock.run() <= 1.4 * sum(seconds) / bound
    assert clock.most_in_flight <= bound


def test_quick_items_are_worked_off_in_waves_and_slow_ones_in_lanes():
    quick = Clock([0.001] * 4000, job(50, total=4000))
    quick.run()
    assert len(quick.batches) < 4000 / 25
    assert quick.batches[0].slots == 6 and quick.batches[-2].slots == 50
    slow = Clock([0.6] * 4000, job(50, total=4000))
    slow.run()
    waves = [child for child in slow.batches if child.slots > 1]
    assert sum(child.count for child in waves) <= 50  # found out by the first


def test_items_that_become_slow_are_noticed():
    clock = Clock([0.001] * 5000 + uneven(3000, 1), job(50, total=8000))
    assert clock.run() <= 1.4 * sum(uneven(3000, 1)) / 50 + 2


@settings(deadline=None, max_examples=60)
@given(
    count=st.integers(0, 3000),
    bound=st.sampled_from([0, 1, 2, 3, 7, 8, 9, 16, 50, 333, 1000, 10_000]),
    batch=st.none() | st.integers(1, 250),
    seed=st.integers(0, 2**32),
)
def test_every_item_is_run_once_within_the_bound_and_no_orchestration_grows_long(count, bound, batch, seed):
    if batch is not None and bound:
        batch = min(batch, bound)
    chance = random.Random(seed)
    seconds = [chance.choice([0.0, 0.01, 0.1, 2.0]) for _ in range(count)]
    clock = Clock(seconds, job(bound, batch, count))
    clock.run()
    assert sum(child.count for child in clock.batches) == count
    assert len(clock.marks) == 2 * count
    if bound:
        assert clock.most_in_flight <= bound
    if batch is not None:
        assert max((child.count for child in clock.batches), default=0) <= batch
    assert max((child.count for child in clock.batches), default=0) <= max(WAVE, batch or 0)
    assert clock.parts <= max(BATCHES, bound // 4)


def test_the_bound_on_a_lane_and_a_stage_hold():
    clock = Clock([0.0] * 40_000, job(4, total=40_000))
    clock.run()
    assert max(child.count for child in clock.batches) <= LANE
    assert clock.parts <= BATCHES and clock.parts < STAGE


# -- parts ------------------------------------------------------------------------------------------------------


def test_supply_hands_out_in_order_and_what_comes_back_comes_next():
    supply = Supply(10)
    assert [supply.take(3), supply.take(3)] == [(0, 3), (3, 3)]
    supply.put_back([(1, 3), (4, 6)])
    assert supply.left == 8
    assert [supply.take(9), supply.take(9), supply.take(9)] == [(1, 2), (4, 2), (6, 4)]
    assert supply.left == 0 and list(supply.rest()) == []


def test_supply_joins_what_is_left():
    supply = Supply(10)
    supply.take(4)
    supply.put_back([(2, 4)])
    assert list(supply.rest()) == [(2, 10)]


def test_a_part_of_a_part_knows_its_places_in_the_map():
    part = Part(job(), list("abcdef"), 100, 3, None, True, {})
    assert [part.slice(2, 3, 1, 0, False, {}).index(p) for p in range(3)] == [102, 103, 104]
    scattered = Part(job(), list("abc"), [5, 9, 7], 3, None, True, {})
    assert scattered.slice(1, 2, 1, 0, False, {}).index(1) == 7
    assert Part.of(scattered.to_input()) == scattered


class Celsius:
    def __init__(self, degrees: float) -> None:
        self.degrees = degrees

    @staticmethod
    def to_json(value: Celsius) -> str:
        return str(value.degrees)

    @staticmethod
    def from_json(text: str) -> Celsius:
        return Celsius(float(text))


def test_objects_that_an_activity_returned_travel_as_the_sdk_writes_them():
    values = Tally([1, Celsius(21.5)]).to_output()["values"]
    assert values[0] == 1
    assert values[1]["__class__"] == "Celsius" and values[1]["__data__"] == "21.5"


# -- outcome ----------------------------------------------------------------------------------------------------


def an_outcome() -> dict[str, Any]:
    tally = Tally(
        ["A", None, "C", None, None],
        failed=[(1, "ValueError: no", 3)],
        tries=[(2, 2)],
        undone=[(3, 5)],
        stop="timeout",
    )
    return outcome.outcome_of(list("abcde"), tally)


def test_an_outcome_has_one_entry_an_item_in_order_and_adds_up():
    assert an_outcome() == {
        "total": 5,
        "succeeded": 2,
        "failed": 1,
        "not_started": 2,
        "reason": "timeout",
        "results": [
            {"item": "a", "status": "succeeded", "result": "A", "attempts": 1},
            {"item": "b", "status": "failed", "error": "ValueError: no", "attempts": 3},
            {"item": "c", "status": "succeeded", "result": "C", "attempts": 2},
            {"item": "d", "status": "not_started"},
            {"item": "e", "status": "not_started"},
        ],
    }


def test_the_compact_form_has_the_values_and_says_what_is_missing():
    compact = outcome.compact(an_outcome())
    assert compact["results"] == ["A", None, "C", None, None]
    assert [entry["index"] for entry in compact["unfinished"]] == [1, 3, 4]
    assert compact["unfinished"][0]["error"] == "ValueError: no"
    assert outcome.unfinished(compact) == outcome.unfinished(an_outcome())


@pytest.mark.parametrize("compact", [False, True])
def test_a_redrive_fills_the_gaps(compact):
    old = outcome.compact(an_outcome()) if compact else an_outcome()
    new = outcome.outcome_of(["b", "d", "e"], Tally(["B", None, "E"], failed=[(1, "KeyError: 'd'", 1)]))
    merged = outcome.merged(old, new, [1, 3, 4])
    assert [merged[key] for key in ("total", "succeeded", "failed", "not_started", "reason")] == [
        5,
        4,
        1,
        0,
        None,
    ]
    if compact:
        assert merged["results"] == ["A", "B", "C", None, "E"]
        assert [entry["index"] for entry in merged["unfinished"]] == [3]
    else:
        assert [entry.get("result") for entry in merged["results"]] == ["A", "B", "C", None, "E"]


@pytest.mark.parametrize(
    ("terms", "total", "tolerated"),
    [
        ({}, 10, 0),
        ({"tolerated_failure_count": 3}, 10, 3),
        ({"tolerated_failure_percentage": 25}, 10, 2),
        ({"tolerated_failure_count": 3, "tolerated_failure_percentage": 50}, 10, 3),
        ({"tolerated_failure_count": 9, "tolerated_failure_percentage": 50}, 10, 5),
        ({"tolerated_failure_percentage": 100}, 10, None),
        ({"tolerated_failure_count": 10}, 10, None),
        ({}, 0, None),
    ],
)
def test_tolerated_failures(terms, total, tolerated):
    assert Terms("work", **terms).tolerated(total) == tolerated


@pytest.mark.parametrize(
    "terms",
    [
        {"max_concurrency": -1},
        {"items_per_batch": 0},
        {"items_per_batch": 9, "max_concurrency": 8},
        {"items_per_batch": 251, "max_concurrency": 0},
        {"max_attempts": 0},
        {"tolerated_failure_count": -1},
        {"tolerated_failure_percentage": 101},
        {"timeout_seconds": 0},
    ],
)
def test_terms_that_make_no_sense_are_refused(terms):
    with pytest.raises(ValueError, match=r"\.$"):
        Terms("work", **terms)


# -- what the extension says of a failure -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raised", "text"),
    [
        (
            'Activity function \'work\' failed: ValueError: no \n {"$type":"System.Exception"}',
            "ValueError: no",
        ),
        ("Activity function 'work' failed:  ValueError: no \n {}", "ValueError: no"),  # extensions until 3.15
        ("Orchestrator function 'child' failed: boom \n Message: boom, StackTrace:    at X", "boom"),
        (
            "Orchestrator function 'c' failed: Activity function 'a' failed: KeyError: 'x' \n {\"a\":1}",
            "Activity function 'a' failed: KeyError: 'x'",
        ),
        ("stopped by hand \n None", "stopped by hand"),
        ('Activity function \'a\' failed: ValueError: one\ntwo \n {"$type":"x"}', "ValueError: one\ntwo"),
        ("it's \n not details", "it's \n not details"),
        ("the entity says no", "the entity says no"),
        ("", "Exception"),
    ],
)
def test_an_error_is_what_the_activity_said(raised, text):
    assert error_text(Exception(raised)) == text


def test_an_error_is_no_page():
    assert len(error_text(Exception("x" * 5000))) == 1000


# -- ledger -----------------------------------------------------------------------------------------------------

BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc)


def at(seconds: float) -> str:
    return (BEGIN + timedelta(seconds=seconds)).isoformat()


def opened(total: int = 100) -> dict[str, Any]:
    entry = {"map_id": "m", "total": total, "max_concurrency": 4, "at": at(0)}
    return ledger.entered({}, "open", entry)


def report(seconds: float, succeeded: int, failed: int = 0, **more: Any) -> dict[str, Any]:
    return {"by": "p", "at": at(seconds), "succeeded": succeeded, "failed": failed, "failures": [], **more}


def test_reports_add_up_and_progress_tells_rate_and_end():
    state = opened()
    state = ledger.entered(state, "report", report(0, 0, in_flight=4))
    state = ledger.entered(state, "report", report(10, 18, 2, failures=[(7, "b"), (3, "a")]))
    shown = ledger.progress(state, BEGIN + timedelta(seconds=10))
    assert shown["succeeded"] == 18 and shown["failed"] == 2 and shown["remaining"] == 80
    assert shown["in_flight"] == 4 and shown["percent"] == 20.0
    assert shown["rate_per_second"] == 2.0
    assert shown["estimated_end"] == "2026-01-01T00:00:50+00:00"
    assert shown["first_failures"] == [{"index": 3, "error": "a"}, {"index": 7, "error": "b"}]


def test_the_rate_is_that_of_late():
    state = opened(1000)
    for second in range(0, 300, 5):
        state = ledger.entered(state, "report", report(second, 1 if second < 200 else 10))
    assert ledger.progress(state, BEGIN + timedelta(seconds=295))["rate_per_second"] == pytest.approx(2.0)


def test_parts_that_are_done_are_in_flight_no_more():
    state = opened()
    for part, number in (("p", 3), ("q", 2), ("p", 0)):
        state = ledger.entered(state, "report", {**report(1, 0), "by": part, "in_flight": number})
    assert ledger.progress(state, BEGIN)["in_flight"] == 2


def test_the_end_has_the_true_totals_and_keeps_them():
    state = ledger.entered(opened(), "report", report(1, 3))
    closing = {
        "at": at(20),
        "reason": "cancelled",
        "succeeded": 40,
        "failed": 10,
        "not_started": 50,
        "failures": [[1, "x"]],
    }
    state = ledger.entered(state, "close", closing)
    shown = ledger.progress(state, BEGIN + timedelta(days=1))
    assert [shown[key] for key in ("succeeded", "failed", "not_started", "remaining")] == [40, 10, 50, 50]
    assert shown["rate_per_second"] == 2.5 and shown["estimated_end"] is None
    assert shown["ended_at"] == at(20)


def test_a_map_of_nothing_is_complete():
    shown = ledger.progress(opened(0), BEGIN)
    assert shown["percent"] == 100.0 and shown["rate_per_second"] is None


def test_a_note_before_the_opening_is_kept():
    state = ledger.entered({}, "note", {"cancelled_at": at(0)})
    state = ledger.entered(state, "open", {"map_id": "m", "total": 1, "max_concurrency": 1, "at": at(1)})
    assert state["cancelled_at"] == at(0) and state["total"] == 1


def test_tenths_count_what_has_ended():
    state = ledger.entered(opened(), "report", report(1, 29, 2))
    assert state["tenths"] == 3


# -- register -----------------------------------------------------------------------------------------------------


def test_the_first_claim_wins_until_someone_takes_over_from_it():
    first = claimed(None, {"run": "a", "body": "x", "over": None})
    assert first == {"run": "a", "body": "x"}
    assert claimed(first, {"run": "b", "body": "x", "over": None}) == first
    second = claimed(first, {"run": "b", "body": "y", "over": "a"})
    assert second == {"run": "b", "body": "y"}
    assert claimed(second, {"run": "c", "body": "x", "over": "a"}) == second
    assert claimed(second, {"run": "b", "body": "y", "over": "a"}) == second
