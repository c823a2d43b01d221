"""The app's own tests with `dfhost.testing`, as its users would write theirs."""

from __future__ import annotations

import json

import pytest

from dfhost.testing import Durable, StillWaiting
from tests.support.apps import ROOT


@pytest.fixture
def durable_app() -> str:
    return str(ROOT)


# -- the recipe and the worked examples ------------------------------------------------------------------------


def test_the_recipe(durable: Durable) -> None:
    response = durable.post("/api/start-fanout")
    assert response.status == 202
    run = response.run
    assert run.result() == [f"Processed item-{number}" for number in range(1, 6)]
    assert run.calls("process_item") == [f"item-{number}" for number in range(1, 6)]


def test_one_failed_item_fails_the_recipe(durable: Durable) -> None:
    durable.fail("process_item", on_call=3, error=ValueError("no"))
    run = durable.post("/api/start-fanout").run
    assert "Activity function 'process_item' failed: ValueError: no" in run.failure()


def test_a_bad_body_starts_nothing(durable: Durable) -> None:
    assert durable.post("/api/start-fanout", json={"items": "a"}).status == 400
    assert durable.runs == []


def test_an_order_goes_through_all_its_steps(durable: Durable) -> None:
    durable.stub("notify_customer", returns="told")
    run = durable.post("/api/process-order/order-7").run
    output = run.result()
    assert (output["order_id"], output["notification"]) == ("order-7", "told")
    assert run.calls("get_order_details") == run.calls("complete_order") == ["order-7"]


def test_an_order_that_is_out_of_stock_is_not_completed(durable: Durable) -> None:
    run = durable.post("/api/process-order/order-8-out-of-stock").run
    assert "out of stock" in run.failure()
    assert run.calls("schedule_shipping") and not run.calls("complete_order")


def test_customers_wait_for_nobody(durable: Durable) -> None:
    durable.stub("process_customer", lambda customer: f"Processed {customer}")  # the real one takes a second
    run = durable.post("/api/process-customers", json={"customers": ["b", "a"]}).run
    assert run.result() == ["Processed b", "Processed a"]


# -- the map ---------------------------------------------------------------------------------------------------


def start_map(durable: Durable, **options: object) -> str:
    body = {
        "items": [f"i{n}" for n in range(10)],
        "activity": "process_item",
        "max_concurrency": 2,
        **options,
    }
    return durable.post("/api/start-map", json=body).run.id


def test_a_map_that_still_runs_is_explained_without_its_inner_events(durable: Durable) -> None:
    durable.slow("process_item", minutes=1)
    run = durable.run(start_map(durable))
    with pytest.raises(StillWaiting) as failed:
        run.result()
    text = str(failed.value)
    assert "Its map over process_item: 0 of 10 items have ended, 0 failed." in text
    assert "raise_event" not in text
    assert "durable.advance(minutes=1) moves the clock to the next time that it waits for.\n" in text
    assert len(text.splitlines()) < 8


def test_the_report_of_a_large_map_is_short_and_has_what_failed(durable: Durable) -> None:
    durable.fail("process_item", on_call=150, error=ConnectionError("down"))
    items = [f"i{number}" for number in range(300)]
    run = durable.run(start_map(durable, items=items, max_concurrency=10))
    assert run.wait() == "Failed"
    report = durable.report()
    assert len(report.splitlines()) < 60
    assert "ConnectionError: down" in report and "More sub-orchestrations without a failed task: " in report


def test_the_report_shows_some_of_many_that_still_run(durable: Durable) -> None:
    durable.slow("process_item", minutes=1)
    items = [f"i{number}" for number in range(300)]
    start_map(durable, items=items, max_concurrency=8)
    report = durable.report()
    assert len(report.splitlines()) < 80
    assert report.count("\nmap_chunk ") == 3 and "5 of map_chunk (Running)" in report


def test_a_map_keeps_its_bound_and_reports_progress(durable: Durable) -> None:
    durable.slow("process_item", minutes=1)
    run = start_map(durable)
    shown = durable.get(f"/api/maps/{run}").json()
    assert (shown["phase"], shown["total"], shown["succeeded"]) == ("running", 10, 0)
    assert len(durable.calls("process_item")) == 2
    durable.advance(minutes=5)
    assert durable.get(f"/api/maps/{run}").json()["succeeded"] == 10
    results = durable.run(run).result()["results"]
    assert [each["result"] for each in results] == [f"Processed i{n}" for n in range(10)]


def test_a_cancelled_map_ends_with_what_is_done(durable: Durable) -> None:
    durable.slow("process_item", minutes=1)
    run = start_map(durable)
    durable.advance(seconds=90)
    assert durable.post(f"/api/maps/{run}/cancel").status == 202
    durable.advance(minutes=1)
    outcome = durable.run(run).result()
    assert (outcome["reason"], outcome["succeeded"], outcome["not_started"]) == ("cancelled", 4, 6)
    assert durable.post(f"/api/maps/{run}/cancel").status == 409


@pytest.mark.parametrize("failures", ["worker", "request"])
def test_a_cancellation_reaches_every_part_though_telling_them_fails_at_first(
    durable: Durable, failures: str
) -> None:
    durable.slow("process_item", minutes=1)
    run = start_map(durable)
    if failures == "worker":
        durable.fail("map_stop_children", times=2)
    else:
        refused = iter([True])  # once
        durable.stub(
            "client.raise_event",
            answers=[Exception("Webhook returned unrecognized status code 503")],
            when=lambda instance, event: event == "map-stop" and next(refused, False),
        )
    assert durable.post(f"/api/maps/{run}/cancel").status == 202
    durable.advance(minutes=1)
    outcome = durable.run(run).result()
    assert (outcome["reason"], outcome["succeeded"], outcome["not_started"]) == ("cancelled", 2, 8)


def test_a_map_out_of_time_starts_nothing_more(durable: Durable) -> None:
    durable.slow("process_item", minutes=1)
    run = start_map(durable, timeout_seconds=150)
    durable.advance(minutes=5)
    reason = durable.run(run).failure()
    assert json.loads(reason[reason.index("{") :])["reason"] == "timeout"
    outcome = durable.get(f"/api/maps/{run}/outcome").json()
    assert (outcome["succeeded"], outcome["not_started"]) == (6, 4)


def test_a_redrive_runs_only_what_is_missing(durable: Durable, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(item: object) -> str:
        raise ConnectionError("down")

    monkeypatch.setattr("fan_out.work.process_item", refuse)
    run = start_map(durable, retry={"max_attempts": 1}, tolerated_failure_count=3)
    assert "failures" in durable.run(run).failure()
    monkeypatch.undo()
    called = len(durable.calls("process_item"))
    redriven = durable.post(f"/api/maps/{run}/redrive", json={}).run
    outcome = redriven.result()
    assert (outcome["succeeded"], outcome["failed"], outcome["redrive_of"]) == (10, 0, run)
    assert len(durable.calls("process_item")) == called + 10


def test_a_redrive_that_failed_before_it_began_can_be_asked_for_again(durable: Durable) -> None:
    durable.fail("process_item", times=1)
    run = start_map(durable, tolerated_failure_count=1)
    assert durable.run(run).result()["failed"] == 1
    durable.fail("load_outcome", times=1)
    first = durable.post(f"/api/maps/{run}/redrive").run
    assert first.failure()
    second = durable.post(f"/api/maps/{run}/redrive").run
    assert second.result()["succeeded"] == 10
    assert durable.post(f"/api/maps/{run}/redrive").run == second
    assert durable.get(f"/api/maps/{run}").json()["redriven_by"] == second.id


@pytest.mark.parametrize("commits", [3, 7, 12, 20])
def test_a_map_goes_on_after_a_crash(durable: Durable, commits: int) -> None:
    durable.slow("process_item", minutes=1)
    run = start_map(durable)
    durable.crash(after_commits=commits)
    durable.advance(minutes=10)
    assert durable.run(run).result()["succeeded"] == 10
