"""The whole app through HTTP alone, on any host that serves it: dfhost, the extension under `func start`, Azure.

Durations are compared only with what the same work takes one after another, and only where that is far apart.
"""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest

from tests.e2e.conftest import App

# -- the recipe and the two examples --------------------------------------------------------------------------


def test_the_recipe_fans_out_and_in_again(app: App) -> None:
    links = app.start("/api/start-fanout")
    assert {"id", "statusQueryGetUri", "sendEventPostUri", "terminatePostUri"} <= set(links)
    shown = app.end(links)
    assert shown["runtimeStatus"] == "Completed"
    assert shown["output"] == [f"Processed item-{number}" for number in range(1, 6)]


@pytest.mark.parametrize("items", [["a"], ["b", "a", "b"], ["ä ö", ""], []])
def test_the_recipe_takes_other_items(app: App, items: list[str]) -> None:
    shown = app.run("/api/start-fanout", {"items": items})
    assert shown["output"] == [f"Processed {item}" for item in items]


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'"x"', {"items": "a"}, {"items": [1]}, {"items": None}, {"other": 1}]
)
def test_the_recipe_refuses_what_it_does_not_understand(app: App, body: Any) -> None:
    status, answer = app.call("POST", "/api/start-fanout", body)
    assert status == 400 and answer["error"].endswith(".")


@pytest.mark.long
def test_customers_are_processed_in_parallel_and_come_back_in_order(app: App) -> None:
    customers = [f"customer {number}" for number in range(20)]
    shown = app.run("/api/process-customers", {"customers": customers})
    assert shown["output"] == [f"Processed {customer}" for customer in customers]
    # Each takes a second: one after another they would take twenty.
    assert seconds(shown) < 15


@pytest.mark.long
def test_the_customers_of_the_article(app: App) -> None:
    shown = app.run("/api/process-customers")
    assert shown["output"] == [f"Processed cust{number}" for number in range(1, 6)]
    assert app.call("POST", "/api/process-customers", {"customers": [1]})[0] == 400


def test_an_order_goes_through_all_its_steps(app: App) -> None:
    output = app.run("/api/process-order/order-7")["output"]
    assert output["order_id"] == output["details"]["order_id"] == "order-7"
    assert all(output[step] for step in ("notification", "inventory", "shipping", "completion"))


@pytest.mark.long
def test_an_order_fails_visibly(app: App) -> None:
    shown = app.run("/api/process-order/order-8-out-of-stock")
    assert shown["runtimeStatus"] == "Failed"
    assert "update_inventory" in shown["output"] and "out of stock" in shown["output"]


# -- the map ----------------------------------------------------------------------------------------------------


def test_a_map_gives_every_result_in_order(app: App) -> None:
    items = [f"i{number}" for number in range(60)]
    links = app.start("/api/start-map", {"items": items, "activity": "process_item", "max_concurrency": 10})
    assert links["progressGetUri"].endswith(f"/api/maps/{links['id']}")
    shown = app.end(links)
    assert shown["runtimeStatus"] == "Completed"
    assert [entry["result"] for entry in shown["output"]["results"]] == [f"Processed {i}" for i in items]
    assert [entry["item"] for entry in shown["output"]["results"]] == items
    progress = app.until(lambda: app.progress(links), lambda seen: seen["phase"] == "completed")
    assert (progress["total"], progress["succeeded"], progress["in_flight"]) == (60, 60, 0)


@pytest.mark.long
@pytest.mark.parametrize(
    "options",
    [{"max_concurrency": 0}, {"max_concurrency": 1}, {"max_concurrency": 6, "items_per_batch": 3}, {}],
)
def test_a_map_is_cut_up_in_any_way_without_losing_anything(app: App, options: dict[str, Any]) -> None:
    body = {"source": "orders", "count": 45, "activity": "process_item", "results": "values", **options}
    output = app.run("/api/start-map", body)["output"]
    assert output["results"] == [f"Processed order-{number}" for number in range(1, 46)]
    assert output["unfinished"] == [] and output["reason"] is None


@pytest.mark.long
def test_failures_are_listed_and_flaky_items_are_tried_again(app: App) -> None:
    # The downstream of this activity refuses one key in three the first time; statements that do not exist fail.
    items = ["account-01.csv"] * 40
    items[3] = items[30] = "no-such.csv"
    body = {
        "items": items,
        "activity": "reconcile_statement",
        "max_concurrency": 20,
        "retry": {"max_attempts": 5, "first_interval_seconds": 0.1},
        "tolerated_failure_count": 2,
    }
    shown = app.run("/api/start-map", body)
    assert shown["runtimeStatus"] == "Completed"
    output = shown["output"]
    assert [output[key] for key in ("total", "succeeded", "failed", "not_started")] == [40, 38, 2, 0]
    for index, entry in enumerate(output["results"]):
        if index in (3, 30):
            assert entry["status"] == "failed" and entry["attempts"] == 5
            assert entry["error"] == "FileNotFoundError: There is no statement 'no-such.csv'."
        else:
            assert entry["result"]["statement"] == "account-01.csv"
    tries = [entry["attempts"] for entry in output["results"] if entry["status"] == "succeeded"]
    assert min(tries) == 1 and max(tries) >= 2


@pytest.mark.long
def test_too_many_failures_end_the_run_and_a_redrive_goes_on(app: App) -> None:
    body = {
        "items": ["no-such.csv"] * 5 + ["account-01.csv"] * 25,
        "activity": "reconcile_statement",
        "max_concurrency": 2,
        "retry": {"max_attempts": 1},
        "tolerated_failure_count": 3,
    }
    old = app.start("/api/start-map", body)
    shown = app.end(old)
    assert shown["runtimeStatus"] == "Failed" and shown["customStatus"]["reason"] == "failures"
    status, outcome = app.call("GET", f"/api/maps/{old['id']}/outcome")
    assert status == 200 and adds_up(outcome) and outcome["not_started"] > 0
    assert summary_in(shown["output"])["failed"] == outcome["failed"]

    # The five fail again, and of the others none may be lost.
    changes = {
        "tolerated_failure_count": 5,
        "max_concurrency": 10,
        "retry": {"max_attempts": 5, "first_interval_seconds": 0.1},
    }
    status, new = app.call("POST", f"/api/maps/{old['id']}/redrive", changes)
    assert status == 202
    merged = app.end(new)["output"]
    assert adds_up(merged) and (merged["total"], merged["succeeded"], merged["failed"]) == (30, 25, 5)
    assert [entry["status"] for entry in merged["results"]] == ["failed"] * 5 + ["succeeded"] * 25
    assert merged["redrive_of"] == old["id"]
    assert app.progress(old)["redriven_by"] == new["id"]


@pytest.mark.long
def test_a_cancelled_map_ends_with_what_is_done(app: App) -> None:
    body = {
        "items": ["account-01.csv"] * 500,
        "activity": "reconcile_statement",
        "max_concurrency": 4,
        "retry": {"max_attempts": 5},
    }
    links = app.start("/api/start-map", body)
    seen = app.until(lambda: app.progress(links), lambda seen: seen.get("succeeded", 0) > 0)
    assert seen["phase"] == "running" and seen["total"] == 500
    assert app.call("POST", f"/api/maps/{links['id']}/cancel")[0] == 202
    shown = app.end(links)
    assert shown["runtimeStatus"] == "Completed"
    assert adds_up(shown["output"]) and shown["output"]["reason"] == "cancelled"
    assert 0 < shown["output"]["succeeded"] < 500
    assert app.call("POST", f"/api/maps/{links['id']}/cancel")[0] == 409


@pytest.mark.long
def test_a_map_that_is_out_of_time_says_so(app: App) -> None:
    body = {
        "items": ["account-01.csv"] * 500,
        "activity": "reconcile_statement",
        "max_concurrency": 4,
        "retry": {"max_attempts": 5},
        "timeout_seconds": 2,
    }
    links = app.start("/api/start-map", body)
    shown = app.end(links)
    assert shown["runtimeStatus"] == "Failed"
    assert summary_in(shown["output"])["reason"] == "timeout"
    outcome = app.call("GET", f"/api/maps/{links['id']}/outcome")[1]
    assert adds_up(outcome) and outcome["not_started"] > 0


def test_one_key_is_one_run(app: App) -> None:
    key = f"key {uuid.uuid4()}"
    body = {"items": ["a", "b"], "activity": "process_item"}
    with ThreadPoolExecutor(4) as pool:
        answers = list(
            pool.map(lambda _: app.start("/api/start-map", body, **{"Idempotency-Key": key}), range(4))
        )
    (run,) = {links["id"] for links in answers}
    assert app.end(answers[0])["output"]["succeeded"] == 2
    assert app.start("/api/start-map", {**body, "key": key})["id"] == run
    assert app.call("POST", "/api/start-map", {**body, "items": ["c"], "key": key})[0] == 409


def test_progress_hands_out_no_keys(app: App) -> None:
    links = app.start("/api/start-map", {"items": ["a"], "activity": "process_item"})
    app.end(links)
    text = json.dumps(app.progress(links))
    assert "code=" not in text and "webhooks" not in text
    assert "code=" not in links["progressGetUri"]
    assert app.call("GET", "/api/maps/no-such-map")[0] == 404


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"items": ["a"]}, 400, "activity"),
        ({"items": ["a"], "activity": "nobody"}, 400, "activity"),
        ({"activity": "process_item"}, 400, "items"),
        ({"items": "a", "activity": "process_item"}, 400, "items"),
        ({"items": [], "activity": "process_item", "max_concurrency": -1}, 400, "max_concurrency"),
        ({"items": [], "activity": "process_item", "retry": {"max_attempts": 0}}, 400, "retry.max_attempts"),
        ({"source": "orders", "count": 100_001, "activity": "process_item"}, 413, "count"),
        (
            {"source": "lines", "path": "/etc/passwd", "format": "csv", "activity": "process_item"},
            400,
            "path",
        ),
        ({"items": [], "activity": "process_item", "itmes": 1}, 400, "itmes"),
    ],
)
def test_a_bad_request_names_the_field(app: App, body: Any, status: int, field: str) -> None:
    answered, answer = app.call("POST", "/api/start-map", body)
    assert (answered, answer["field"]) == (status, field)


@pytest.mark.long
def test_the_worked_example_reconciles_a_folder(app: App) -> None:
    links = app.start("/api/reconcile")
    output = app.end(links)["output"]
    assert (output["statements"], output["agree"], len(output["differ"])) == (12, 5, 6)
    assert [one["statement"] for one in output["unreadable"]] == ["account-09.csv"]
    progress = app.until(lambda: app.progress(links), lambda seen: seen["phase"] == "completed")
    assert (progress["succeeded"], progress["failed"]) == (11, 1)


# -- helpers ----------------------------------------------------------------------------------------------------


def seconds(shown: dict[str, Any]) -> float:
    began, ended = (datetime.fromisoformat(shown[time][:19]) for time in ("createdTime", "lastUpdatedTime"))
    return (ended - began).total_seconds()


def adds_up(outcome: dict[str, Any]) -> bool:
    found = [entry["status"] for entry in outcome["results"]]
    return len(found) == outcome["total"] and all(
        found.count(status) == outcome[status] for status in ("succeeded", "failed", "not_started")
    )


def summary_in(text: str) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads(text[text.index("{") :])
    return summary
