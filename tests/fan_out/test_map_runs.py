"""Maps on a running host, through HTTP: what callers and developers are promised."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dfhost.cli import main
from tests.fan_out.map_host import MapHost


def items(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"value": number, **more} for number in range(count)]


def statuses(outcome: dict[str, Any]) -> list[str]:
    return [entry["status"] for entry in outcome["results"]]


def adds_up(outcome: dict[str, Any]) -> bool:
    counted = {status: statuses(outcome).count(status) for status in ("succeeded", "failed", "not_started")}
    return all(outcome[status] == number for status, number in counted.items()) and sum(
        counted.values()
    ) == outcome["total"] == len(outcome["results"])


# -- for the caller ----------------------------------------------------------------------------------------


def test_a_map_is_started_followed_and_ends_with_every_result_in_order(host):
    started = host.start_map({"items": ["a", "b", {"c": 1}], "activity": "process_item"})
    assert started["progressGetUri"] == f"{host.host.url}/api/maps/{started['id']}"
    assert {"id", "statusQueryGetUri", "terminatePostUri", "sendEventPostUri"} <= set(started)
    shown = host.ended(started["id"])
    assert shown["runtimeStatus"] == "Completed"
    assert shown["output"] == {
        "total": 3,
        "succeeded": 3,
        "failed": 0,
        "not_started": 0,
        "reason": None,
        "results": [
            {"item": "a", "status": "succeeded", "result": "Processed a", "attempts": 1},
            {"item": "b", "status": "succeeded", "result": "Processed b", "attempts": 1},
            {"item": {"c": 1}, "status": "succeeded", "result": "Processed {'c': 1}", "attempts": 1},
        ],
    }
    assert shown["customStatus"]["phase"] == "completed"


@pytest.mark.parametrize(
    ("count", "options"),
    [
        (0, {}),
        (1, {"max_concurrency": 1}),
        (60, {"max_concurrency": 7}),
        (60, {"max_concurrency": 6, "items_per_batch": 3}),
        (60, {"max_concurrency": 4, "items_per_batch": 1}),
        (90, {"max_concurrency": 30}),
        (400, {"max_concurrency": 10}),
        (250, {"max_concurrency": 0}),
        (250, {"max_concurrency": 0, "items_per_batch": 40}),
    ],
)
def test_each_item_runs_once_never_more_at_once_than_allowed_results_in_order(host, count, options):
    run = host.start_map({"items": items(count, seconds=0.005), **options, "results": "values"})["id"]
    output = host.ended(run)["output"]
    assert output["results"] == list(range(count))
    assert output["succeeded"] == output["total"] == count
    marks = host.marks(run)
    assert marks.starts == {index: 1 for index in range(count)}
    assert marks.most_in_flight <= (options["max_concurrency"] if options.get("max_concurrency") else count)


def test_all_slots_are_used(host, tmp_path):
    gate = tmp_path / "gate"
    run = host.start_map({"items": items(30, gate=str(gate)), "max_concurrency": 9})["id"]
    host.until(lambda: host.progress(run), lambda shown: shown.get("in_flight") == 9)
    host.until(lambda: len(host.marks(run).starts), lambda started: started == 9)
    gate.touch()
    assert host.ended(run)["output"]["succeeded"] == 30
    assert host.marks(run).most_in_flight == 9


def test_items_that_fail_are_tried_as_often_as_the_policy_says_and_no_more(host):
    given = [{"value": n, "fails": -1 if n % 10 == 0 else 1 if n % 10 in (1, 2) else 0} for n in range(100)]
    body = {
        "items": given,
        "max_concurrency": 10,
        "retry": {"max_attempts": 3, "first_interval_seconds": 0.01},
        "tolerated_failure_percentage": 10,
    }
    run = host.start_map(body)["id"]
    shown = host.ended(run)
    outcome = shown["output"]
    assert shown["runtimeStatus"] == "Completed"
    assert adds_up(outcome) and outcome["failed"] == 10 and outcome["reason"] is None
    tries = host.marks(run).starts
    for index, entry in enumerate(outcome["results"]):
        expected = 3 if index % 10 == 0 else 2 if index % 10 in (1, 2) else 1
        assert entry["attempts"] == tries[index] == expected
        if index % 10 == 0:
            assert entry["error"] == f"ValueError: item {index} fails"
        else:
            assert entry["result"] == index
    shown = host.progress(run)
    assert shown["first_failures"][0] == {"index": 0, "error": "ValueError: item 0 fails"}


def test_retries_of_a_wave_are_counted_as_well(host):
    given = [{"value": n, "fails": n % 3} for n in range(30)]
    body = {"items": given, "max_concurrency": 0, "retry": {"max_attempts": 2, "first_interval_seconds": 0}}
    run = host.start_map({**body, "tolerated_failure_percentage": 50})["id"]
    outcome = host.ended(run)["output"]
    assert statuses(outcome) == ["succeeded", "succeeded", "failed"] * 10
    assert host.marks(run).starts == {n: 2 if n % 3 else 1 for n in range(30)}


def test_a_part_that_has_used_up_its_share_of_failures_still_tries_as_often_as_the_policy_says(host):
    # Fewer failures than tolerated, but more than the share of a lane or a section: nothing may be cut short.
    given = [{"value": n, "fails": -1 if n % 20 == 0 else n % 3} for n in range(240)]
    body = {
        "items": given,
        "max_concurrency": 30,
        "retry": {"max_attempts": 3, "first_interval_seconds": 0.05},
    }
    run = host.start_map({**body, "tolerated_failure_count": 12})["id"]
    shown = host.ended(run)
    assert shown["runtimeStatus"] == "Completed", shown["output"]
    outcome = shown["output"]
    assert (outcome["succeeded"], outcome["failed"]) == (228, 12)
    tries = host.marks(run).starts
    for index, entry in enumerate(outcome["results"]):
        assert entry["attempts"] == tries[index] == (3 if index % 20 == 0 else index % 3 + 1)


def test_more_failures_than_tolerated_end_the_run_as_failed_with_nothing_lost(host):
    given = [{"value": n, "fails": -1 if n % 2 else 0, "seconds": 0.01} for n in range(300)]
    run = host.start_map({"items": given, "max_concurrency": 8, "tolerated_failure_count": 5})["id"]
    shown = host.ended(run)
    assert shown["runtimeStatus"] == "Failed"
    assert shown["customStatus"]["phase"] == "failed"
    assert shown["customStatus"]["reason"] == "failures"
    summary = json.loads(shown["output"][shown["output"].index("{") :])
    assert summary["failed"] == shown["customStatus"]["failed"]
    status, outcome = host.call("GET", f"/api/maps/{run}/outcome")
    assert status == 200 and adds_up(outcome)
    # Eight are in flight when the sixth fails; each of their lanes may start one more before its stop event.
    assert 6 <= outcome["failed"] <= 6 + 2 * 8
    assert outcome["not_started"] > 200
    marks = host.marks(run)
    assert sorted(marks.starts) == [i for i, s in enumerate(statuses(outcome)) if s != "not_started"]
    shown = host.progress(run)
    assert shown["phase"] == "failed" and shown["failed"] == outcome["failed"]


def test_a_run_out_of_time_starts_nothing_more(host):
    body = {"items": items(2000, seconds=0.05), "max_concurrency": 5, "timeout_seconds": 0.5}
    run = host.start_map(body)["id"]
    shown = host.ended(run)
    assert shown["runtimeStatus"] == "Failed" and '"reason": "timeout"' in shown["output"]
    outcome = host.call("GET", f"/api/maps/{run}/outcome")[1]
    assert adds_up(outcome) and outcome["not_started"] > 1000 and outcome["failed"] == 0
    assert len(host.marks(run).starts) == outcome["succeeded"]


@pytest.mark.parametrize("size", [40, 2000])
def test_a_cancelled_run_ends_with_what_is_done(host, tmp_path, size):
    gate = tmp_path / "gate"
    run = host.start_map({"items": items(size, gate=str(gate)), "max_concurrency": 10})["id"]
    host.until(lambda: len(host.marks(run).starts), lambda started: started == 10)
    status, answer = host.call("POST", f"/api/maps/{run}/cancel")
    assert status == 202 and answer["phase"] == "cancelling"
    host.until(lambda: host.progress(run)["phase"], lambda phase: phase == "cancelling")
    host.until(lambda: host.parts_without_event(run, "map-stop"), lambda parts: not parts)
    gate.touch()
    shown = host.ended(run)
    assert shown["runtimeStatus"] == "Completed"
    outcome = shown["output"]
    assert adds_up(outcome) and outcome["reason"] == "cancelled"
    # A lane that had no stop event yet when the gate opened may have started one more.
    assert 10 <= outcome["succeeded"] <= 20
    assert len(host.marks(run).starts) == outcome["succeeded"]
    assert host.progress(run)["phase"] == "cancelled"
    assert host.call("POST", f"/api/maps/{run}/cancel")[0] == 409


@pytest.mark.parametrize("retry", [None, {"max_attempts": 2, "first_interval_seconds": 3600}])
@pytest.mark.parametrize(
    ("size", "options"),
    [
        (120, {"max_concurrency": 8}),
        pytest.param(700, {"max_concurrency": 10}, marks=pytest.mark.long),
        pytest.param(2000, {"max_concurrency": 60}, marks=pytest.mark.long),
    ],
)
def test_every_part_gets_the_stop_event_of_a_cancellation_however_far_the_map_has_come(
    host, tmp_path, size, options, retry
):
    gate = tmp_path / "gate"
    free = size // 2
    given = [{"value": n} | ({"gate": str(gate)} if n >= free else {}) for n in range(size)]
    run = host.start_map({"items": given, **options, **({"retry": retry} if retry else {})})["id"]
    host.until(
        lambda: host.marks(run).ended,
        lambda ended: len(ended) >= free and any(index >= free for index in host.marks(run).starts),
    )
    assert host.call("POST", f"/api/maps/{run}/cancel")[0] == 202
    # All that runs now waits for the gate, so no part learns of it by ending something.
    host.until(lambda: without_stop_event(host, run), lambda parts: not parts)
    before = host.marks(run).starts
    gate.touch()
    outcome = host.ended(run)["output"]
    assert outcome["reason"] == "cancelled" and adds_up(outcome)
    assert host.marks(run).starts == before


def without_stop_event(host: MapHost, run: str) -> list[str]:
    """The running parts that could still start something and have no stop event."""
    url = f"/runtime/webhooks/durabletask/instances?instanceIdPrefix={run}:&top=1000"
    found = []
    for part in host.call("GET", url)[1]:
        given = json.loads(part["input"])
        all_started = part["name"] == "map_chunk" and sum(given["lanes"]) >= len(given["items"])
        if part["runtimeStatus"] == "Running" and not all_started:
            path = f"/runtime/webhooks/durabletask/instances/{part['instanceId']}?showHistory=true"
            history = host.call("GET", path)[1]["historyEvents"]
            if not any(event.get("Name") == "map-stop" for event in history):
                found.append(part["instanceId"])
    return found


def test_a_cancelled_run_lists_what_was_waiting_for_its_next_try_as_failed(host):
    given = [{"value": n, "fails": -1} for n in range(4)]
    retry = {"max_attempts": 2, "first_interval_seconds": 3600}
    run = host.start_map({"items": given, "max_concurrency": 4, "retry": retry})["id"]
    host.until(lambda: len(host.marks(run).starts), lambda started: started == 4)
    assert host.call("POST", f"/api/maps/{run}/cancel")[0] == 202
    shown = host.ended(run)
    assert shown["runtimeStatus"] == "Completed"
    outcome = shown["output"]
    assert outcome["reason"] == "cancelled" and outcome["failed"] == 4
    assert [entry["attempts"] for entry in outcome["results"]] == [1] * 4


def test_progress_shows_no_key_and_no_management_url(host, tmp_path):
    gate = tmp_path / "gate"
    run = host.start_map({"items": items(4, gate=str(gate))})["id"]
    shown = host.until(lambda: host.progress(run), lambda shown: shown.get("in_flight") == 4)
    assert shown["phase"] == "running" and shown["total"] == shown["remaining"] == 4
    text = json.dumps(shown)
    assert "webhooks" not in text and "code=" not in text
    gate.touch()
    host.ended(run)
    shown = host.until(lambda: host.progress(run), lambda shown: shown["phase"] != "running")
    assert (shown["phase"], shown["succeeded"], shown["in_flight"], shown["percent"]) == (
        "completed",
        4,
        0,
        100,
    )


@pytest.mark.parametrize("path", ["", "/outcome"])
def test_what_is_no_map_is_not_found(host, path):
    other = host.call("POST", "/api/start-fanout")[1]["id"]
    for run in ("nobody", other):
        status, answer = host.call("GET", f"/api/maps/{run}{path}")
        assert status == 404 and run in answer["error"]
    for verb in ("cancel", "redrive"):
        assert host.call("POST", f"/api/maps/{other}/{verb}")[0] == 404


def test_the_items_of_a_part_that_was_terminated_have_failed_and_the_others_are_as_they_were(host, tmp_path):
    gate = tmp_path / "gate"
    given = [{"value": n, "gate": str(gate)} for n in range(4)]
    run = host.start_map({"items": given, "max_concurrency": 2, "tolerated_failure_count": 3})["id"]
    host.until(lambda: len(host.marks(run).starts), lambda started: started == 2)
    url = f"/runtime/webhooks/durabletask/instances?instanceIdPrefix={run}:&top=10"
    part = next(part for part in host.call("GET", url)[1] if part["name"] == "map_chunk")
    host.call(
        "POST", f"/runtime/webhooks/durabletask/instances/{part['instanceId']}/terminate?reason=by+hand"
    )
    gate.touch()
    outcome = host.ended(run)["output"]
    assert adds_up(outcome) and outcome["reason"] is None
    failed = [entry for entry in outcome["results"] if entry["status"] == "failed"]
    assert [entry["item"]["value"] for entry in failed] == json.loads(part["input"])["indexes"]
    assert all("by hand" in entry["error"] and "attempts" not in entry for entry in failed)


def test_objects_of_an_activity_are_in_the_outcome_as_the_sdk_writes_them(host):
    body = {"activity": "measured", "items": [20, -300, 30], "tolerated_failure_count": 1}
    run = host.start_map(body)["id"]
    outcome = host.ended(run)["output"]
    assert [entry.get("result", {}).get("__data__") for entry in outcome["results"]] == [20, None, 30]
    run = host.start_map({**body, "tolerated_failure_count": 0})["id"]
    assert '"reason": "failures"' in host.ended(run)["output"]
    assert host.call("GET", f"/api/maps/{run}/outcome")[1]["results"] == outcome["results"]
    again = host.call("POST", f"/api/maps/{run}/redrive", {"tolerated_failure_count": 1})[1]["id"]
    assert host.ended(again)["output"]["results"] == outcome["results"]


# -- one run a key -----------------------------------------------------------------------------------------


def test_requests_that_race_with_one_key_get_one_run(host):
    body = {"activity": "work", "items": items(3)}

    def post(number: int) -> tuple[int, Any]:
        # Half of them have the key in the header, half in the body.
        if number % 2:
            return host.call("POST", "/api/start-map", body, {"Idempotency-Key": "raced"})
        return host.call("POST", "/api/start-map", {**body, "key": "raced"})

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(post, range(12)))
    assert {status for status, _ in answers} == {202}
    (run,) = {answer["id"] for _, answer in answers}
    assert host.ended(run)["output"]["succeeded"] == 3
    assert host.marks(run).starts == {0: 1, 1: 1, 2: 1}
    assert post(1)[1]["id"] == run  # after it ended well, too
    status, answer = host.call("POST", "/api/start-map", {**body, "items": [], "key": "raced"})
    assert status == 409 and answer["field"] == "key"
    everything = host.call("GET", "/runtime/webhooks/durabletask/instances")[1]
    losers = [one for one in everything if (one["output"] or {}) == {"duplicate_of": run}]
    for loser in losers:
        assert not host.marks(loser["instanceId"]).events
        assert host.progress(loser["instanceId"])["duplicate_of"] == run


def test_a_run_that_ended_badly_gives_its_key_free(host):
    body = {"items": items(1, fails=-1), "key": "failing"}
    first = host.start_map(body)["id"]
    assert host.ended(first)["runtimeStatus"] == "Failed"
    second = host.start_map({**body, "tolerated_failure_count": 1})["id"]
    assert second != first
    assert host.ended(second)["runtimeStatus"] == "Completed"
    assert host.start_map({**body, "tolerated_failure_count": 1})["id"] == second


def test_two_keys_in_one_request_must_agree(host):
    body = {"activity": "work", "items": [], "key": "a"}
    status, answer = host.call("POST", "/api/start-map", body, {"Idempotency-Key": "b"})
    assert status == 400 and answer["field"] == "key"


# -- redrive -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("results", ["full", "values"])
def test_a_redrive_runs_only_what_did_not_succeed_and_merges(host, results):
    # The third try of each failing item succeeds: two are made by the first run, and tries count by map and index.
    given = [{"value": n, "fails": -1 if n in (3, 4) else 0} for n in range(10)]
    body = {"items": given, "results": results, "tolerated_failure_count": 1, "max_concurrency": 1}
    old = host.start_map(body)["id"]
    assert host.ended(old)["runtimeStatus"] == "Failed"
    status, started = host.call("POST", f"/api/maps/{old}/redrive", {"tolerated_failure_count": 2})
    assert status == 202
    new = started["id"]
    shown = host.ended(new)
    assert shown["runtimeStatus"] == "Completed"
    outcome = shown["output"]
    assert [outcome[key] for key in ("total", "succeeded", "failed", "not_started")] == [10, 8, 2, 0]
    assert outcome["redrive_of"] == old
    values = [None if n in (3, 4) else n for n in range(10)]
    if results == "values":
        assert outcome["results"] == values
        assert [entry["index"] for entry in outcome["unfinished"]] == [3, 4]
    else:
        assert [entry.get("result") for entry in outcome["results"]] == values
    ran_before = set(host.marks(old).starts)
    assert set(host.marks(new).starts) == (set(range(10)) - ran_before) | {3, 4}
    assert host.progress(old)["redriven_by"] == new
    assert host.progress(new)["redrive_of"] == old
    status, answer = host.call("POST", f"/api/maps/{old}/redrive")
    assert status == 409 and new in answer["error"]  # the newer one can be redriven


def test_what_cannot_be_redriven(host, tmp_path):
    gate = tmp_path / "gate"
    run = host.start_map({"items": items(2, gate=str(gate))})["id"]
    host.until(lambda: host.progress(run), lambda shown: shown["phase"] == "running")
    status, answer = host.call("POST", f"/api/maps/{run}/redrive")
    assert status == 409 and "still running" in answer["error"]
    assert host.call("GET", f"/api/maps/{run}/outcome")[0] == 409
    gate.touch()
    host.ended(run)
    host.until(lambda: host.progress(run), lambda shown: shown["phase"] == "completed")
    status, answer = host.call("POST", f"/api/maps/{run}/redrive")
    assert status == 409 and "succeeded" in answer["error"]
    status, answer = host.call("POST", f"/api/maps/{run}/redrive", {"activity": "work"})
    assert status == 400 and answer["field"] == "activity"


def test_a_map_of_ones_own_orchestrator_cannot_be_redriven_over_http(host):
    run = host.call("POST", "/api/reconcile")[1]["id"]
    host.ended(run)
    status, answer = host.call("POST", f"/api/maps/{run}/redrive")
    assert (status, answer) == (
        409,
        {"error": f"Map {run!r} was not started over HTTP: only its own orchestrator can run items again."},
    )
    status, answer = host.call("POST", "/api/maps/nobody/redrive")
    assert status == 404 and "There is no map 'nobody'" in answer["error"]


def test_a_terminated_map_says_so(host, tmp_path):
    gate = tmp_path / "gate"
    run = host.start_map({"items": items(2, gate=str(gate))})["id"]
    host.until(lambda: host.progress(run), lambda shown: shown["phase"] == "running")
    host.call("POST", f"/runtime/webhooks/durabletask/instances/{run}/terminate?reason=enough")
    host.until(lambda: host.progress(run), lambda shown: shown["phase"] == "terminated")
    gate.touch()
    for method, path in (("POST", "redrive"), ("GET", "outcome"), ("POST", "cancel")):
        assert host.call(method, f"/api/maps/{run}/{path}")[0] == 409


# -- sources and refusals ----------------------------------------------------------------------------------


def test_items_found_at_run_time(host):
    run = host.start_map({"source": "orders", "count": 3, "activity": "process_item"})["id"]
    assert [e["result"] for e in host.ended(run)["output"]["results"]] == [
        "Processed order-1",
        "Processed order-2",
        "Processed order-3",
    ]
    run = host.start_map({"source": "lines", "path": "three.csv", "results": "values"})["id"]
    assert host.ended(run)["output"]["results"] == ["a", "b", "c"]


def test_a_source_that_cannot_be_read_fails_the_map_with_a_sentence(host):
    run = host.start_map({"source": "lines", "path": "bad.csv"})["id"]
    shown = host.ended(run)
    assert shown["runtimeStatus"] == "Failed" and "Line 2 has 1 columns" in shown["output"]
    assert host.progress(run)["phase"] == "failed"
    assert host.call("GET", f"/api/maps/{run}/outcome")[0] == 409


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"items": [1], "activity": "nobody"}, 400, "activity"),
        ({"items": [1], "activity": "work", "max_concurrency": -1}, 400, "max_concurrency"),
        ({"source": "lines", "path": "/etc/passwd", "format": "csv", "activity": "work"}, 400, "path"),
        ({"source": "orders", "count": 100_001, "activity": "work"}, 413, "count"),
        ({"items": [0] * 100_001, "activity": "work"}, 413, "items"),
        ({"items": [1], "activity": "work", "colour": "red"}, 400, "colour"),
    ],
)
def test_a_bad_request_names_the_field_and_starts_nothing(host, body, status, field):
    before = len(host.call("GET", "/runtime/webhooks/durabletask/instances")[1])
    answered, answer = host.call("POST", "/api/start-map", body)
    assert (answered, answer["field"]) == (status, field)
    assert len(host.call("GET", "/runtime/webhooks/durabletask/instances")[1]) == before


# -- for the developer -------------------------------------------------------------------------------------


def test_an_orchestrator_of_ones_own_maps_as_often_as_it_likes(host):
    given = {"activity": "work", "items": items(3), "maps": 2, "options": {"max_concurrency": 2}}
    run = host.start("mapping", given)
    first, second = host.ended(run)["output"]
    assert first["succeeded"] == second["succeeded"] == 3
    assert host.marks(run).starts == host.marks(f"{run}:map-2").starts == {0: 1, 1: 1, 2: 1}
    assert host.progress(run)["succeeded"] == 3


def test_each_map_of_an_orchestrator_can_be_watched_and_cancelled(host, tmp_path, capsys):
    gates = [tmp_path / "first", tmp_path / "second"]
    lists = [[{}, {"fails": -1}, {"gate": str(gate)}, {}] for gate in gates]
    options = {"max_concurrency": 1, "tolerated_failure_count": 2}
    run = host.start("mapping", {"activity": "work", "lists": lists, "options": options})
    second = f"{run}:map-2"

    def watched(map_id):
        return next((each for each in host.call("GET", "/dashboard/api/maps")[1] if each["id"] == map_id), {})

    known = {"instance": run, "name": "mapping", "status": "Running", "activity": "work", "total": 4}
    blocked = {**known, "done": 2, "failed": 1, "inFlight": 1}
    host.until(lambda: watched(run), lambda shown: shown.items() >= blocked.items())
    gates[0].touch()
    host.until(lambda: watched(second), lambda shown: shown.items() >= blocked.items())
    assert watched(run).items() >= {**known, "done": 4, "failed": 1, "inFlight": 0}.items()
    for command in ("list --prefix", "show", "explain"):
        main([*command.split(), run, "--url", host.host.url])
        assert "Its map over work: 2 of 4 items have ended, 1 failed. It waits" in capsys.readouterr().out
    assert host.progress(second)["phase"] == "running"
    assert host.call("POST", f"/api/maps/{second}/cancel")[0] == 202
    host.until(lambda: without_stop_event(host, second), lambda parts: not parts)
    gates[1].touch()
    first, cancelled = host.ended(run)["output"]
    assert (first["reason"], cancelled["reason"]) == (None, "cancelled")
    assert host.until(lambda: host.progress(second), lambda shown: shown["phase"] == "cancelled")


def test_a_map_of_an_id_that_was_cancelled_before_is_running(host, tmp_path):
    gate = tmp_path / "gate"
    given = {"activity": "work", "items": [{"gate": str(gate)}] * 2, "options": {"max_concurrency": 1}}
    run = "nightly"
    for _ in range(2):
        host.start(f"mapping/{run}", given)
        host.until(lambda: host.call("GET", f"/api/maps/{run}")[1], lambda shown: shown.get("in_flight") == 1)
        assert host.progress(run)["phase"] == "running"
        assert host.call("POST", f"/api/maps/{run}/cancel")[0] == 202
        host.until(lambda: stopped_parts(host, run), bool)  # else the second item may begin
        gate.touch()
        host.until(lambda: host.progress(run)["phase"], lambda phase: phase == "cancelled")
        host.ended(run)
        gate.unlink()


def stopped_parts(host, run):
    """The parts of the map that run and have been told to stop."""
    instances = "/runtime/webhooks/durabletask/instances"
    listed = host.call("GET", f"{instances}?instanceIdPrefix={run}:&runtimeStatus=Running")[1]
    ids = [each["instanceId"] for each in listed]
    histories = [host.call("GET", f"{instances}/{id}?showHistory=true")[1]["historyEvents"] for id in ids]
    return [id for id, events in zip(ids, histories, strict=True) if "map-stop" in str(events)]


def test_cancelling_a_map_that_has_ended_leaves_the_next_one_of_its_instance_alone(host, tmp_path):
    gate = tmp_path / "gate"
    lists = [[1], [{"gate": str(gate)}, 2, 3]]
    run = host.start("mapping", {"activity": "work", "lists": lists, "options": {"max_concurrency": 1}})
    host.until(lambda: host.marks(f"{run}:map-2").starts, bool)
    host.until(lambda: host.progress(run)["phase"], lambda phase: phase == "completed")
    assert host.call("POST", f"/api/maps/{run}/cancel")[0] == 409
    gate.touch()
    assert [outcome["reason"] for outcome in host.ended(run)["output"]] == [None, None]


@pytest.mark.parametrize(("max_concurrency", "lanes"), [(4, 4), (50, 2), (0, 8)])
def test_a_map_of_a_misspelt_activity_fails_at_once(host, max_concurrency, lanes):
    options = {"max_concurrency": max_concurrency, "tolerated_failure_percentage": 100}
    run = host.start("mapping", {"activity": "wrok", "items": items(1_000), "options": options})
    ended = host.ended(run)
    sentence = "The app has no activity 'wrok', or it is disabled. Did you mean 'work'?"
    assert (ended["runtimeStatus"], ended["output"]) == (
        "Failed",
        f"Orchestrator function 'mapping' failed: {sentence}",
    )
    parts = f"/runtime/webhooks/durabletask/instances?instanceIdPrefix={run}:&runtimeStatus="
    assert host.until(lambda: host.call("GET", f"{parts}Running")[1], lambda running: not running) == []
    assert len(host.call("GET", f"{parts}Failed")[1]) <= lanes


def test_a_map_is_listed_whatever_the_id_of_its_instance(host):
    host.ended(host.start("mapping/Order%207", {"activity": "undecorated", "items": [1]}).replace(" ", "%20"))
    listed = host.until(
        lambda: [each for each in host.call("GET", "/dashboard/api/maps")[1] if each["id"] == "Order 7"],
        lambda found: found and found[0]["done"] == 1,
    )
    assert [(each["instance"], each["total"]) for each in listed] == [("Order 7", 1)]


def test_an_activity_that_is_not_decorated_gets_the_bare_item(host):
    run = host.start("mapping", {"activity": "undecorated", "items": ["x", None, {"item": 1}]})
    (outcome,) = host.ended(run)["output"]
    assert [entry["result"] for entry in outcome["results"]] == [
        ["got", "x"],
        ["got", None],
        ["got", {"item": 1}],
    ]


def test_options_as_the_sdk_has_them(host):
    given = {"activity": "work", "items": items(4, fails=1), "retry": [0.01, 2], "timeout": 3600}
    (outcome,) = host.ended(host.start("mapping", given))["output"]
    assert outcome["succeeded"] == 4 and [entry["attempts"] for entry in outcome["results"]] == [2] * 4


def test_failures_are_part_of_the_outcome_and_not_raised(host):
    (outcome,) = host.ended(host.start("mapping", {"activity": "work", "items": items(3, fails=-1)}))[
        "output"
    ]
    assert outcome["reason"] == "failures" and outcome["failed"] == 3


def test_options_that_make_no_sense_are_an_error_with_a_sentence(host):
    given = {"activity": "work", "items": [1], "options": {"max_concurrency": -1}}
    shown = host.ended(host.start("mapping", given))
    assert shown["runtimeStatus"] == "Failed" and "max_concurrency must be 0" in shown["output"]


def test_a_map_inside_a_map(host):
    run = host.start("nested", {"lists": [["a", "b"], [], ["c"]]})
    assert host.ended(run)["output"] == [["got", 2], ["got", 0], ["got", 1]]


def test_settle_puts_every_result_and_failure_in_its_place(host):
    outcomes, after = host.ended(host.start("settling", None))["output"]
    assert outcomes == [
        {"status": "failed", "error": "ValueError: item 0 fails"},
        {"status": "succeeded", "result": ["got", 1]},
        {"status": "succeeded", "result": 1},
        {"status": "failed", "error": "ValueError: item 2 fails"},
        {"status": "failed", "error": "the child failed"},
    ]
    assert after == ["got", "after"]


def test_each_item_is_logged_once_and_the_map_its_start_tenths_and_end(host):
    run = host.start_map({"items": items(40, fails=0), "max_concurrency": 4})["id"]
    host.ended(run)
    mine = host.until(
        lambda: [line for line in host.log() if run in line],
        lambda lines: (
            any("map ended" in line for line in lines) and any('"percent": 100' in line for line in lines)
        ),
    )

    def logged(what: str) -> list[dict[str, Any]]:
        return [json.loads(found[1]) for line in mine if (found := re.search(what + r" (\{.*\})", line))]

    lines = logged("map item")
    assert sorted(line["index"] for line in lines) == list(range(40))
    assert all(line["outcome"] == "succeeded" and line["duration_ms"] >= 0 for line in lines)
    assert len(logged("map started")) == len(logged("map ended")) == 1
    assert logged("map ended")[0]["succeeded"] == 40
    percents = [line["percent"] for line in logged("map progress")]
    assert percents == sorted(set(percents)) and percents[-1] == 100 and len(percents) >= 5
    assert "map ended" in [line for line in mine if "map progress" in line or "map ended" in line][-1]


@pytest.mark.long
def test_no_history_grows_long(host):
    run = host.start_map({"items": items(1500), "max_concurrency": 40, "results": "values"})["id"]
    host.ended(run)
    url = f"/runtime/webhooks/durabletask/instances?instanceIdPrefix={run}&top=1000"
    parts = [one["instanceId"] for one in host.call("GET", url)[1]]
    assert len(parts) > 10
    for part in parts:
        history = host.call("GET", f"/runtime/webhooks/durabletask/instances/{part}?showHistory=true")[1]
        assert len(history["historyEvents"]) < 1500
