"""What ends a map early, where it is easily missed: in a pause, in a batch, asked for twice, deep in a large map."""

from __future__ import annotations

import pytest

from tests.fan_out.map_host import MapHost


@pytest.mark.parametrize("bound", [0, 2, 30])
def test_a_cancellation_during_the_last_wave_ends_the_tries_that_would_follow(host, tmp_path, bound):
    gate = tmp_path / "gate"
    given = [{"fails": -1, "gate": str(gate)} for _ in range(30)]
    retry = {"max_attempts": 3, "first_interval_seconds": 3600}
    body = {"items": given, "max_concurrency": bound, "retry": retry, "tolerated_failure_percentage": 100}
    run = host.start_map(body)["id"]
    at_once = bound or 30
    host.until(lambda: len(host.marks(run).starts), lambda started: started == at_once)
    for _ in range(2):  # the second one changes nothing
        assert host.call("POST", f"/api/maps/{run}/cancel")[0] == 202
    gate.touch()
    outcome = host.ended(run)["output"]
    assert (outcome["reason"], outcome["succeeded"]) == ("cancelled", 0)
    failed = [entry for entry in outcome["results"] if entry["status"] == "failed"]
    assert len(failed) == len(host.marks(run).starts) >= at_once
    assert {entry["attempts"] for entry in failed} == {1}


@pytest.mark.parametrize("bound", [0, 3])
def test_the_time_of_a_map_is_up_during_a_pause_too(host, bound):
    retry = {"max_attempts": 2, "first_interval_seconds": 3600}
    body = {"items": [{"fails": -1}] * 6, "max_concurrency": bound, "retry": retry, "timeout_seconds": 1}
    run = host.start_map({**body, "tolerated_failure_percentage": 100})["id"]
    shown = host.ended(run)
    assert shown["runtimeStatus"] == "Failed" and '"reason": "timeout"' in shown["output"]
    assert host.call("GET", f"/api/maps/{run}/outcome")[1]["failed"] == 6


def test_a_batch_of_several_waves_starts_none_after_the_stop_event(host, tmp_path):
    gate = tmp_path / "gate"
    run = host.start_map({"items": [{"gate": str(gate)}] * 200, "max_concurrency": 20})["id"]
    host.until(lambda: len(host.marks(run).starts), lambda started: started == 20)
    assert host.call("POST", f"/api/maps/{run}/cancel")[0] == 202
    until_batches_have_the_stop_event(host, run)
    gate.touch()
    outcome = host.ended(run)["output"]
    assert (outcome["reason"], outcome["succeeded"], outcome["not_started"]) == ("cancelled", 20, 180)


def test_a_stop_event_in_the_last_of_several_waves_ends_the_tries_that_would_follow(host, tmp_path):
    gate = tmp_path / "gate"
    given = [{"fails": -1}, {"fails": -1}, {"value": 2, "gate": str(gate)}]
    retry = {"max_attempts": 3, "first_interval_seconds": 3600}
    body = {"items": given, "max_concurrency": 1, "retry": retry, "tolerated_failure_percentage": 100}
    run = host.start_map(body)["id"]
    host.until(lambda: len(host.marks(run).starts), lambda started: started == 3)
    assert host.call("POST", f"/api/maps/{run}/cancel")[0] == 202
    until_batches_have_the_stop_event(host, run)
    gate.touch()
    outcome = host.ended(run)["output"]
    assert (outcome["reason"], outcome["succeeded"], outcome["failed"]) == ("cancelled", 1, 2)


def until_batches_have_the_stop_event(host: MapHost, run: str) -> None:
    url = f"/runtime/webhooks/durabletask/instances?instanceIdPrefix={run}:&top=1000"

    def has_stop_event(part: dict) -> bool:
        path = f"/runtime/webhooks/durabletask/instances/{part['instanceId']}?showHistory=true"
        return any(event.get("Name") == "map-stop" for event in host.call("GET", path)[1]["historyEvents"])

    chunks = [part for part in host.call("GET", url)[1] if part["name"] == "map_chunk"]
    host.until(lambda: [part for part in chunks if not has_stop_event(part)], lambda without: not without)


def test_an_item_that_failed_is_tried_again_after_the_others_and_after_the_pause(host):
    given = [{"value": n, "fails": 1 if n == 0 else 0} for n in range(5)]
    retry = {"max_attempts": 2, "first_interval_seconds": 0.5}
    run = host.start_map({"items": given, "max_concurrency": 1, "retry": retry})["id"]
    outcome = host.ended(run)["output"]
    assert [entry["attempts"] for entry in outcome["results"]] == [2, 1, 1, 1, 1]
    starts = [(index, at) for at, what, index in host.marks(run).events if what == "start"]
    assert [index for index, _ in starts] == [0, 1, 2, 3, 4, 0]
    assert starts[-1][1] - starts[0][1] >= 0.5


def test_nulls_come_through_every_level(host):
    run = host.start("mapping", {"activity": "undecorated", "items": [None] * 300, "options": {}})
    (outcome,) = host.ended(run)["output"]
    assert [entry["result"] for entry in outcome["results"]] == [["got", None]] * 300
