"""Time is the test's: it stands still, and whatever is due happens at its own moment."""

from __future__ import annotations

import sys
import threading
from datetime import datetime, timedelta, timezone

import pytest

from dfhost.durations import exact_duration
from dfhost.testing import Durable, NotIdle, StillWaiting

START = datetime(2030, 1, 1, tzinfo=timezone.utc)


def test_time_stands_still_until_it_is_moved(durable: Durable) -> None:
    assert durable.now == START
    run = durable.start("approval", {"amount": 1})
    assert durable.now == START
    durable.advance(days=2, hours=23, minutes=59, seconds=59.999999)
    assert run.status == "Running"
    durable.advance(timedelta(microseconds=1))
    assert (run.result(), durable.now) == ("escalated", START + timedelta(days=3))
    assert run.history[-1]["Timestamp"] == "2030-01-04T00:00:00.000000Z"


def test_advance_without_a_duration_goes_to_what_is_due_next(durable: Durable) -> None:
    assert durable.next_due == START + timedelta(hours=3)  # the timer function of the app
    durable.start("approval", {"amount": 1})
    durable.advance()
    assert durable.now == START + timedelta(hours=3)
    durable.advance_to(datetime(2030, 1, 3, 23))
    assert durable.next_due == START + timedelta(days=3)


def test_a_duration_of_nothing_moves_nothing(durable: Durable) -> None:
    durable.advance(hours=0)
    assert durable.now == START


def test_the_clock_does_not_go_back(durable: Durable) -> None:
    with pytest.raises(ValueError, match="cannot go back"):
        durable.advance(hours=-1)


@pytest.mark.durable(now=datetime(2028, 2, 28, 23, 30))
def test_a_test_may_begin_at_another_time(durable: Durable) -> None:
    run = durable.start("monitor")
    durable.advance(hours=24)
    assert durable.now == datetime(2028, 2, 29, 23, 30, tzinfo=timezone.utc)
    assert len(run.calls("look")) == 25  # in all its generations


@pytest.mark.durable(timer_triggers=False)
def test_timer_functions_may_be_kept_from_running(durable: Durable) -> None:
    assert durable.next_due is None
    run = durable.start("approval", {"amount": 1})
    durable.advance(days=3)
    assert durable.runs == [run], "nightly would have started others"
    durable.trigger("nightly")
    assert [each.input for each in durable.runs] == [{"amount": 1}, "nightly"]


def test_generations_of_one_moment_have_timers_of_one_id(durable: Durable) -> None:
    run = durable.start("rolls_on_event", 0)
    run.waits_for(event="go").raise_event("go")
    assert run.waits_for(event="go").input == 2


def test_retries_wait_by_the_clock(durable: Durable) -> None:
    durable.fail("charge", times=2, error=ConnectionError("down"))
    run = durable.start("pay", "book")
    run.waits_for(retry="charge")
    assert durable.next_due == START + timedelta(minutes=1)
    durable.advance(minutes=1)
    run.waits_for(retry="charge")
    durable.advance(minutes=1)
    assert run.result() == {"order": "book", "price": 4}
    assert run.calls("charge") == ["book"] * 3


def test_pauses_of_a_functions_own_retry_policy_follow_the_clock(durable: Durable) -> None:
    answers = [ConnectionError("down"), ConnectionError("down"), "at last"]
    durable.stub("charge_stubbornly", answers=answers)
    run = durable.start("pay_stubbornly", "book")
    run.waits_for(activity="charge_stubbornly")
    durable.advance(minutes=9, seconds=59)
    assert run.status == "Running"
    durable.advance(seconds=1)
    assert run.result() == "at last"


def test_auto_advance_moves_time_only_while_a_test_waits(durable: Durable) -> None:
    durable.fail("charge", times=2)
    durable.auto_advance = True
    run = durable.start("pay", "book")
    assert durable.now == START
    assert run.result()["price"] == 4
    assert durable.now == START + timedelta(minutes=2)


@pytest.mark.durable(auto_advance=True)
def test_an_eternal_orchestration_does_not_keep_a_test_for_ever(durable: Durable) -> None:
    run = durable.start("monitor")
    with pytest.raises(StillWaiting, match=r"monitor .* has not ended") as given_up:
        run.result(timeout=0.2)
    assert durable.now > START
    assert f"auto_advance stopped after {exact_duration(durable.now - START)}" in str(given_up.value)
    assert "durable.advance(…)" in str(given_up.value)


@pytest.mark.durable(auto_advance=True)
def test_an_eternal_orchestration_can_be_waited_for_round_by_round(durable: Durable) -> None:
    durable.start("monitor").until(lambda run: len(run.calls("look")) == 4)
    assert durable.now == START + timedelta(hours=3)


def test_of_a_long_timer_the_whole_is_told(durable: Durable) -> None:
    run = durable.start("reminds")
    run.waits_for(timer=timedelta(days=10))
    durable.advance(days=4)  # beyond the first part
    run.waits_for(timer=timedelta(days=6))
    assert run.explanation == "It waits for a timer due in 6 d (2030-01-11T00:00:00Z)."
    durable.advance(days=6)
    assert run.result() == "reminded"


def test_a_monitor_ends_on_the_third_look(durable: Durable) -> None:
    durable.stub("look", answers=["nothing yet", "nothing yet", "done"])
    run = durable.start("monitor")
    durable.advance(hours=2)
    assert run.result() == "done"


def test_an_activity_may_take_its_time(durable: Durable) -> None:
    durable.slow("charge", minutes=10)
    run = durable.start("fan", ["a", "b"])
    run.waits_for(activity="charge")
    durable.advance(minutes=9)
    assert run.status == "Running"
    durable.advance(minutes=1)
    assert [each["order"] for each in run.result()] == ["a", "b"]


def test_a_timer_function_runs_on_its_schedule(durable: Durable) -> None:
    durable.advance(days=2)
    assert durable.calls("charge") == ["nightly", "nightly"]
    assert [run.input for run in durable.runs] == ["nightly", "nightly"]
    durable.trigger("nightly")
    assert len(durable.runs) == 3


def test_a_timer_function_is_retried_by_the_clock(durable: Durable) -> None:
    durable.stub("client.start_new", answers=[RuntimeError("no storage"), "started"])
    durable.advance(hours=3, minutes=4)
    assert durable.next_due == START + timedelta(hours=3, minutes=5)
    durable.advance(minutes=1)
    assert durable.next_due == START + timedelta(days=1, hours=3)


def test_an_http_function_is_retried_by_the_clock(durable: Durable) -> None:
    sys.modules["function_app"].charged.clear()
    assert durable.get("/api/stubborn").text == "at last"
    assert durable.now == START + timedelta(minutes=10)


@pytest.mark.durable(timeout=1)
def test_an_app_that_does_not_come_to_rest_is_given_up(durable: Durable) -> None:
    gate = threading.Event()
    durable.stub("charge", lambda _: gate.wait(30))
    with pytest.raises(
        NotIdle, match=r"not come to rest within 1 s of real time. It runs: activity charge of instance"
    ):
        durable.start("fan", ["a"])
    gate.set()


@pytest.mark.durable(timeout=1)
def test_a_function_that_does_not_answer_is_given_up(durable: Durable) -> None:
    gate = threading.Event()
    durable.stub("client.start_new", lambda *_, **__: gate.wait(30))
    with pytest.raises(NotIdle, match="It runs: HTTP function start_approval"):
        durable.post("/api/approvals", json={"amount": 1})
    gate.set()
