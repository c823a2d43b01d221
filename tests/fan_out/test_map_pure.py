"""The parts of the map that are plain functions of values: cutting up, counting, merging, showing."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fan_out.idempotency import apply_claim
from fan_out.maps import ledger, outcome
from fan_out.maps.map_activity import gets_envelope, map_activity
from fan_out.maps.plan import CHUNK_ITEMS, MAX_TURNS, Part, Share, lanes_of, next_shares
from fan_out.maps.results import ItemResult, as_json, merge
from fan_out.maps.run import Options, fan_out_map
from fan_out.settle import error_text

# -- the planner: a clock and no orchestrator ---------------------------------------------------------------------


class Clock:
    """Runs a map in simulated time, as the orchestrations hand its items out, down to the batches of its chunks."""

    def __init__(self, seconds: list[float], bound: int, width: int | None = None) -> None:
        self.seconds, self.bound, self.width = seconds, bound, width
        self.marks: list[tuple[float, int]] = []
        self.ran: list[int] = []
        self.orchestrations = 1
        self.longest = 0  # children of one orchestration, or batches of one chunk
        self.widest = 0  # items that start together

    def run(self) -> float:
        count = len(self.seconds)
        slots = min(self.bound or count, count)
        return self.section(list(range(count)), lanes_of(count, slots, self.width), 0.0)

    @property
    def most_in_flight(self) -> int:
        most = running = 0
        for _, change in sorted(self.marks):
            running += change
            most = max(most, running)
        return most

    def section(self, items: list[int], lanes: list[int], now: float) -> float:
        left, children = list(range(len(items))), 0
        while left:
            shares = next_shares(left, lanes)
            assert shares and all(share.positions and share.lanes for share in shares)
            taken = [position for share in shares for position in share.positions]
            assert sorted(taken) == left[: len(taken)], "a round is a prefix, each item in one share"
            left = left[len(taken) :]
            children += len(shares)
            now = max(self.child(share, [items[at] for at in share.positions], now) for share in shares)
        self.longest = max(self.longest, children)
        return now

    def child(self, share: Share, items: list[int], now: float) -> float:
        self.orchestrations += 1
        if share.kind != "chunk":
            return self.section(items, share.lanes, now)
        (slots,) = share.lanes
        batches = [items[first : first + slots] for first in range(0, len(items), slots)]
        for batch in batches:
            ends = [now + self.seconds[item] for item in batch]
            self.marks += [(now, 1) for _ in batch] + [(end, -1) for end in ends]
            self.ran += batch
            self.widest = max(self.widest, len(batch))
            now = max(ends)
        self.longest = max(self.longest, len(batches))
        return now


def uneven(count: int, seed: int) -> list[float]:
    chance = random.Random(seed)
    return [1.0 if chance.random() < 0.1 else 0.1 for _ in range(count)]


LOADS = {
    **{
        f"every tenth from {first}": [1.0 if n % 10 == first else 0.1 for n in range(120)]
        for first in (0, 5, 9)
    },
    "slow first": [1.0 if n < 12 else 0.1 for n in range(120)],
    "slow last": [1.0 if n >= 108 else 0.1 for n in range(120)],
    "even": [0.1] * 120,
}


@pytest.mark.parametrize("load", LOADS)
def test_eight_lanes_are_kept_busy_however_the_slow_items_lie(load):
    seconds = LOADS[load]
    clock = Clock(seconds, 8)
    ideal = sum(seconds) / 8
    # What no one can avoid who does not know which item is slow: the last one to start may be.
    assert clock.run() <= 1.1 * ideal + max(seconds)
    assert clock.most_in_flight == 8
    assert clock.orchestrations == 9


@pytest.mark.parametrize("seed", range(5))
def test_slow_items_that_lie_anyhow_hold_up_their_own_lanes_only(seed):
    # Lanes are dealt out beforehand: the worst of eight gets up to twice its share of slow items, never a heap.
    seconds = uneven(120, seed)
    assert Clock(seconds, 8).run() <= 2 * sum(seconds) / 8 + max(seconds)


def test_one_lane_is_never_handed_a_heap_of_slow_items():
    assert Clock(LOADS["slow first"], 8).run() <= 1.5 * sum(LOADS["slow first"]) / 8


@pytest.mark.parametrize("bound", [8, 16, 50, 64])
def test_a_large_map_of_uneven_items_keeps_its_slots_busy_one_by_one(bound):
    # Wider batches wait for their slowest: for uneven items the caller asks for one at a time.
    seconds = uneven(60 * bound, bound)
    clock = Clock(seconds, bound, 1)
    assert clock.run() <= 1.7 * sum(seconds) / bound
    assert clock.most_in_flight <= bound


@pytest.mark.parametrize(
    ("bound", "lanes"),
    [
        (1, [1]),
        (10, [1] * 10),
        (11, [6, 5]),
        (50, [25, 25]),
        (99, [33, 33, 33]),
        (100, [25] * 4),
        (500, [125] * 4),
        (1000, [125] * 8),
    ],
)
def test_the_lanes_of_a_large_map(bound, lanes):
    assert lanes_of(100_000, bound, None) == lanes
    clock = Clock([0.1] * 3000, bound)
    clock.run()
    assert clock.most_in_flight == bound


@pytest.mark.parametrize(("bound", "most"), [(10, 51), (50, 11), (100, 13), (500, 13)])
def test_what_a_thousand_items_cost(bound, most):
    clock = Clock([0.0] * 1000, bound)
    clock.run()
    assert clock.orchestrations == most


@settings(max_examples=min(60, settings().max_examples))
@given(
    count=st.integers(0, 3000),
    bound=st.sampled_from([0, 1, 2, 3, 7, 8, 9, 10, 11, 16, 50, 333, 1000, 10_000]),
    batch=st.none() | st.integers(1, 250),
    seed=st.integers(0, 2**32),
)
def test_every_item_is_run_once_within_the_bound_and_no_orchestration_grows_long(count, bound, batch, seed):
    if batch is not None and bound:
        batch = min(batch, bound)
    chance = random.Random(seed)
    clock = Clock([chance.choice([0.0, 0.01, 0.1, 2.0]) for _ in range(count)], bound, batch)
    clock.run()
    assert sorted(clock.ran) == list(range(count))
    if bound:
        assert clock.most_in_flight <= bound
    assert clock.widest <= (batch or CHUNK_ITEMS)
    # Sections that run at once because there are more lanes than MAX_TURNS may be a few more than that themselves.
    assert clock.longest <= max(2 * MAX_TURNS, count / MAX_TURNS + 1)


@pytest.mark.parametrize("bound", [1, 4, 50, 500])
def test_no_orchestration_of_the_largest_map_grows_long(bound):
    clock = Clock([0.0] * 100_000, bound)
    clock.run()
    assert len(clock.ran) == 100_000
    assert clock.longest <= 2 * MAX_TURNS


# -- parts ------------------------------------------------------------------------------------------------------


def part(**more: Any) -> Part:
    same = dict(map_id="m", activity="work", envelope=False, attempts=1, pause=1.0, deadline=None, total=10)
    own = dict(items=list("abc"), indexes=[5, 9, 7], lanes=[3], failure_budget=10, whole_budget=True)
    return Part(**{**same, **own, **more})


def test_a_part_of_a_part_knows_its_places_in_the_map():
    child = Part(**part().child(Share("lane", [0, 2], [1]), 0, 2))
    assert (child.items, child.indexes, child.lanes, child.map_id) == (["a", "c"], [5, 7], [1], "m")
    assert Part(**part(envelope=True).child(Share("chunk", [2], [1]), 0, 1)).argument(0) == {
        "item": "c",
        "index": 7,
        "map_id": "m",
    }


@pytest.mark.parametrize(
    ("budget", "failures", "siblings", "share", "whole"),
    [
        (10, 3, 1, 7, True),
        (12, 0, 4, 3, False),
        (12, 5, 1, 7, True),
        (5, 0, 8, 0, False),
        (0, 0, 8, 0, True),
        (2, 3, 4, 0, True),
    ],
)
def test_the_failure_budget_is_shared(budget, failures, siblings, share, whole):
    child = part(failure_budget=budget).child(Share("lane", [1], [1]), failures, siblings)
    assert (child["failure_budget"], child["whole_budget"]) == (share, whole)


def test_what_a_child_did_is_put_in_its_places_and_what_it_left_comes_back():
    results: list[Any] = [None] * 6
    assert merge(results, [2, 3, 4, 5], [[1, "C", None], [2, None, "no"], None, [2, "F", None]]) == ([4], 1)
    assert results == [None, None, [1, "C", None], [2, None, "no"], None, [2, "F", None]]


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
    one, other = as_json([ItemResult(1, 1), ItemResult(2, Celsius(21.5))])
    assert list(one) == [1, 1, None]
    assert other[1]["__class__"] == "Celsius" and other[1]["__data__"] == "21.5"


# -- outcome ----------------------------------------------------------------------------------------------------


def an_outcome() -> dict[str, Any]:
    results = [ItemResult(1, "A"), ItemResult(3, None, "ValueError: no"), ItemResult(2, "C"), None, None]
    return outcome.outcome_of(list("abcde"), results, "timeout")


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
    new = outcome.outcome_of(
        ["b", "d", "e"], [ItemResult(1, "B"), ItemResult(1, None, "KeyError: 'd'"), ItemResult(1, "E")], None
    )
    merged = outcome.merge_redrive(old, new, [1, 3, 4])
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
    ("options", "total", "tolerated"),
    [
        ({}, 10, 0),
        ({"tolerated_failure_count": 3}, 10, 3),
        ({"tolerated_failure_percentage": 25}, 10, 2),
        ({"tolerated_failure_count": 3, "tolerated_failure_percentage": 50}, 10, 3),
        ({"tolerated_failure_count": 9, "tolerated_failure_percentage": 50}, 10, 5),
        ({"tolerated_failure_percentage": 100}, 10, 10),
        ({"tolerated_failure_percentage": 32.3}, 1000, 323),
        ({"tolerated_failure_count": 10}, 10, 10),
        ({}, 0, 0),
    ],
)
def test_tolerated_failures(options, total, tolerated):
    assert Options("work", **options).tolerated(total) == tolerated


@pytest.mark.parametrize(
    "options",
    [
        {"max_concurrency": -1},
        {"max_concurrency": 2.5},
        {"max_concurrency": None},
        {"items_per_batch": 1.0},
        {"items_per_batch": 0},
        {"items_per_batch": 9, "max_concurrency": 8},
        {"items_per_batch": 251, "max_concurrency": 0},
        {"max_attempts": 0},
        {"tolerated_failure_count": -1},
        {"tolerated_failure_percentage": 101},
        {"timeout_seconds": 0},
    ],
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ValueError, match=r"\.$"):
        Options("work", **options)


def test_an_activity_gets_its_envelope_by_its_name_in_any_case():
    @map_activity(envelope=True)
    def weighs_parcels(entry): ...

    assert gets_envelope("Weighs_Parcels") and not gets_envelope("weighs")


def test_items_without_an_order_are_refused():
    context: Any = None
    items: Any = {"a", "b"}
    with pytest.raises(ValueError, match="items must be a list of JSON values, not a set"):
        next(fan_out_map(context, "work", items))


# -- the extension's text of a failure -----------------------------------------------------------------------------


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
    return ledger.apply_operation({}, "open", entry)


def report(seconds: float, succeeded: int, failed: int = 0, **more: Any) -> dict[str, Any]:
    counts = {"succeeded": succeeded, "failed": failed, "failures": [], "in_flight": 0}
    return {"by": "p", "at": at(seconds), **counts, **more}


def test_reports_add_up_and_progress_tells_rate_and_end():
    state = opened()
    state = ledger.apply_operation(state, "report", report(0, 0, in_flight=4))
    state = ledger.apply_operation(
        state, "report", report(10, 18, 2, failures=[(7, "b"), (3, "a")], in_flight=4)
    )
    shown = ledger.progress(state, BEGIN + timedelta(seconds=10))
    assert shown["succeeded"] == 18 and shown["failed"] == 2 and shown["remaining"] == 80
    assert shown["in_flight"] == 4 and shown["percent"] == 20.0
    assert shown["rate_per_second"] == 2.0
    assert shown["estimated_end"] == "2026-01-01T00:00:50+00:00"
    assert shown["first_failures"] == [{"index": 3, "error": "a"}, {"index": 7, "error": "b"}]


def test_the_rate_is_that_of_late():
    state = opened(1000)
    for second in range(0, 300, 5):
        state = ledger.apply_operation(state, "report", report(second, 1 if second < 200 else 10))
    assert ledger.progress(state, BEGIN + timedelta(seconds=295))["rate_per_second"] == pytest.approx(2.0)


def test_batches_that_have_ended_are_in_flight_no_more():
    state = opened()
    for batch, number in (("p", 3), ("q", 2), ("p", 0)):
        state = ledger.apply_operation(state, "report", {**report(1, 0), "by": batch, "in_flight": number})
    assert ledger.progress(state, BEGIN)["in_flight"] == 2


def test_the_end_has_the_true_totals_and_keeps_them():
    state = ledger.apply_operation(opened(), "report", report(1, 3))
    closing = {
        "at": at(20),
        "reason": "cancelled",
        "succeeded": 40,
        "failed": 10,
        "not_started": 50,
        "failures": [[1, "x"]],
    }
    state = ledger.apply_operation(state, "close", closing)
    assert ledger.apply_operation(state, "report", report(3, 1)) == state  # it comes too late to count
    shown = ledger.progress(state, BEGIN + timedelta(days=1))
    assert [shown[key] for key in ("succeeded", "failed", "not_started", "remaining")] == [40, 10, 50, 50]
    assert shown["rate_per_second"] == 2.5 and shown["estimated_end"] is None
    assert shown["ended_at"] == at(20)


def test_a_map_of_nothing_is_complete():
    shown = ledger.progress(opened(0), BEGIN)
    assert shown["percent"] == 100.0 and shown["rate_per_second"] is None


def test_a_note_before_the_opening_is_kept():
    state = ledger.apply_operation({}, "note", {"cancelled_at": at(0)})
    state = ledger.apply_operation(
        state, "open", {"map_id": "m", "total": 1, "max_concurrency": 1, "at": at(1)}
    )
    assert state["cancelled_at"] == at(0) and state["total"] == 1


def test_nothing_is_left_of_an_earlier_map_of_the_same_id():
    state = ledger.apply_operation(opened(), "note", {"cancelled_at": at(1), "redriven_by": "n"})
    entry = {"map_id": "m", "total": 100, "max_concurrency": 4, "at": at(0)}
    assert ledger.apply_operation(state, "open", entry) == opened()


def test_tenths_count_what_has_ended():
    state = ledger.apply_operation(opened(), "report", report(1, 29, 2))
    assert state["tenths"] == 3


# -- register -----------------------------------------------------------------------------------------------------


def test_the_first_claim_wins_until_someone_takes_over_from_it():
    first = apply_claim(None, {"run": "a", "body": "x", "over": None})
    assert first == {"run": "a", "body": "x"}
    assert apply_claim(first, {"run": "b", "body": "x", "over": None}) == first
    second = apply_claim(first, {"run": "b", "body": "y", "over": "a"})
    assert second == {"run": "b", "body": "y"}
    assert apply_claim(second, {"run": "c", "body": "x", "over": "a"}) == second
    assert apply_claim(second, {"run": "b", "body": "y", "over": "a"}) == second
