"""`?explain=true`: for every kind of wait, what is waited for, since when, and a sentence that a person can use."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.apps import write_app
from tests.support.running_host import RunningHost, running_host
from tests.support.waiting import eventually

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z"


async def explained(
    host: RunningHost,
    instance_id: str,
    test: Callable[[dict[str, Any]], object] = lambda told: told["waitsFor"],
) -> dict[str, Any]:
    """The explanation, once it satisfies `test`: by default once it waits for something."""
    told: dict[str, Any] = await eventually(lambda: host.explain(instance_id), lambda told: bool(test(told)))
    assert told["instanceId"] == instance_id
    for entry in (*told["waitsFor"], *told["unclaimed"]):
        assert re.fullmatch(TIME, entry["since"]), entry
    return told


def only(told: dict[str, Any], *keys: str) -> Any:
    """The one entry that is waited for; of it, these values."""
    (entry,) = told["waitsFor"]
    return [entry[key] for key in keys] if len(keys) > 1 else entry[keys[0]]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


# -- each kind of wait ---------------------------------------------------------------------------------------
async def test_an_activity_that_runs(gates: ModuleType) -> None:
    async with running_host() as host:
        instance = await host.start("fan", {"activity": "stop", "inputs": ["work"]})
        await gates.arrivals("work")
        told = await explained(host, instance)
        assert only(told, "kind", "name", "state", "input", "awaited") == [
            "activity",
            "stop",
            "running",
            '"work"',
            True,
        ]
        assert told["sentence"] == "It waits for activity stop (running)."


async def test_activities_that_wait_for_their_turn(gates: ModuleType) -> None:
    async with running_host(max_activities=1) as host:
        instance = await host.start("fan", {"activity": "stop", "inputs": ["work"] * 3})
        await gates.arrivals("work")
        told = await explained(host, instance)
        assert [entry["state"] for entry in told["waitsFor"]] == ["running", "queued", "queued"]
        assert told["sentence"] == "It waits for 3 activities stop (1 running, 2 queued)."


async def test_an_event_since_the_episode_that_asked_for_it() -> None:
    async with running_host() as host:
        instance = await host.start("waits", ["Approval", "Payment"])
        asked_first = await explained(host, instance)
        assert only(asked_first, "kind", "name", "state") == ["event", "Approval", "waiting"]
        assert asked_first["sentence"] == "It waits for event Approval."
        await host.send(instance, "raiseEvent/Approval", 1)
        told = await explained(host, instance, lambda told: told["waitsFor"][0]["name"] == "Payment")
        assert only(told, "since") > only(asked_first, "since")
        assert only(told, "since")[:19] == (await host.status(instance))["lastUpdatedTime"][:19]
        await host.send(instance, "raiseEvent/Other", 1)  # a later episode does not change it
        again = await explained(host, instance, lambda told: told["unclaimed"])
        assert only(again, "since") == only(told, "since")


async def test_a_timer() -> None:
    async with running_host() as host:
        instance = await host.start("sleeps", 3600)
        told = await explained(host, instance)
        kind, state, since, due = only(told, "kind", "state", "since", "due")
        assert (kind, state) == ("timer", "waiting")
        assert abs(moment(due) - moment(since) - timedelta(hours=1)) < timedelta(seconds=30)
        assert told["sentence"] == f"It waits for a timer due at {due}."


async def test_a_retry_pause_and_its_attempt() -> None:
    async with running_host() as host:
        asked = {"milliseconds": 3_600_000, "attempts": 4, "text": "no"}
        instance = await host.start("retries", asked)
        told = await explained(
            host, instance, lambda told: [e for e in told["waitsFor"] if e["kind"] == "retry"]
        )
        assert only(told, "name", "state", "attempt") == ["fail", "waiting", 1]
        assert told["sentence"] == f"It waits for another attempt of fail at {only(told, 'due')}."


async def test_a_sub_orchestration() -> None:
    async with running_host() as host:
        instance = await host.start("parent", {"child": "waits", "id": "child", "input": ["go"]})
        told = await explained(
            host,
            instance,
            lambda told: [
                each
                for each in told["waitsFor"]
                if each["status"] == "Running" and each["explanation"]["waitsFor"]
            ],
        )
        assert only(told, "kind", "name", "instanceId") == ["subOrchestration", "waits", "child"]
        assert told["sentence"] == "It waits for sub-orchestration waits child (Running)."
        assert only(told, "explanation") == await host.explain("child")
        assert only(told, "explanation")["sentence"] == "It waits for event go."


async def test_what_holds_up_a_child_of_a_child() -> None:
    async with running_host() as host:
        asked = {"child": "waits", "id": "leaf", "input": ["go"]}
        instance = await host.start("parent", {"child": "parent", "id": "middle", "input": asked})

        def goes_down(told: dict[str, Any]) -> object:
            for _ in range(2):
                if not told["waitsFor"] or told["waitsFor"][0]["status"] != "Running":
                    return False
                told = told["waitsFor"][0]["explanation"]
            return told["waitsFor"]

        told = await explained(host, instance, goes_down)
        assert told["sentence"] == "It waits for sub-orchestration parent middle (Running)."
        middle = only(told, "explanation")
        assert middle["sentence"] == "It waits for sub-orchestration waits leaf (Running)."
        assert only(middle, "explanation")["sentence"] == "It waits for event go."


async def test_an_entity_and_what_the_entity_has_to_do(gates: ModuleType) -> None:
    async with running_host() as host:
        asked = {"entity": "counter", "key": "x", "operation": "stop", "input": "door"}
        instance = await host.start("calls_entity", asked)
        await gates.arrivals("door")
        told = await explained(host, instance)
        assert only(told, "kind", "name", "instanceId", "awaited") == ["entity", "stop", "@counter@x", True]
        assert told["sentence"] == "It waits for the answer to stop of @counter@x."
        assert only(told, "explanation")["sentence"].startswith(
            "The entity's operation stop has been running"
        )

        await host.signal("counter", "x", "add", 1)
        entity = await explained(host, "@counter@x", lambda told: len(told["waitsFor"]) == 2)
        assert [(entry["name"], entry["state"]) for entry in entity["waitsFor"]] == [
            ("stop", "running"),
            ("add", "queued"),
        ]
        assert re.fullmatch(
            rf"The entity's operation stop has been running since {TIME}, 1 more wait behind it\.",
            entity["sentence"],
        )
        gates.open("door")
        await host.output(instance)
        rest = await explained(host, "@counter@x", lambda told: not told["waitsFor"])
        assert rest["sentence"] == "The entity is at rest."


async def test_an_http_call() -> None:
    asked = asyncio.Event()

    async def answers_when_asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked.wait()
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answers_when_asked, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with running_host() as host, server:
        instance = await host.start("calls_http", f"http://127.0.0.1:{port}/slow")
        told = await explained(host, instance)
        assert only(told, "kind", "name") == ["activity", "BuiltIn::HttpActivity"]
        assert f"127.0.0.1:{port}/slow" in only(told, "input")
        asked.set()
        assert (await host.output(instance))["statusCode"] == 204


# -- several at once -----------------------------------------------------------------------------------------
async def test_whichever_comes_first(gates: ModuleType) -> None:
    async with running_host() as host:
        instance = await host.start("one_of", "work")
        await gates.arrivals("work")
        told = await explained(host, instance)
        assert told["sentence"] == "It waits for the first of activity stop (running), event go."


async def test_what_is_left_open_beside_what_is_awaited_and_a_cancelled_timer_is_not() -> None:
    async with running_host() as host:
        instance = await host.start("sleeps_or_hears")
        told = await explained(host, instance, lambda told: len(told["waitsFor"]) == 2)
        assert told["sentence"].startswith("It waits for the first of a timer due at ")
        assert told["sentence"].endswith(", event go.")
        await host.send(instance, "raiseEvent/go", 1)
        told = await explained(host, instance, lambda told: told["waitsFor"][0]["kind"] == "event")
        assert told["sentence"] == "It waits for event end."


async def test_code_that_has_ended_with_something_left_open() -> None:
    async with running_host() as host:
        instance = await host.start("leaves_open")
        told = await explained(host, instance, lambda told: "has ended" in told["sentence"])
        assert told["sentence"] == (
            f"Its code has ended; what it has left open must end first: a timer due at {only(told, 'due')}."
        )
        assert only(told, "awaited") is True


async def test_what_is_held_back_and_behind_what(gates: ModuleType) -> None:
    async with running_host() as host:
        instance = await host.start("window_and_event")
        told = await explained(host, instance, lambda told: told["heldBack"])
        assert told["heldBack"] == [
            {
                "action": "wait_for_external_event('go')",
                "behind": "task_all(2 tasks)",
                "why": "1 of its 2 tasks have ended",
            }
        ]
        assert told["sentence"] == (
            "It waits for 2 activities stop (2 running). wait_for_external_event('go') is held back behind "
            "task_all(2 tasks), here as on Azure: 1 of its 2 tasks have ended."
        )


async def test_an_event_that_nothing_waits_for_as_when_its_name_is_misspelt() -> None:
    async with running_host() as host:
        instance = await host.start("waits", ["Approval"])
        await host.send(instance, "raiseEvent/Aproval", 1)
        told = await explained(host, instance, lambda told: told["unclaimed"])
        assert [entry["name"] for entry in told["unclaimed"]] == ["Aproval"]
        assert told["sentence"] == (
            "It waits for event Approval. Nothing waits for what has come as event Aproval."
        )


async def test_an_event_whose_name_differs_in_case_which_the_sdk_does_not_take() -> None:
    async with running_host() as host:
        instance = await host.start("waits", ["Approval"])
        await host.until_waiting(instance, "event")
        await host.send(instance, "raiseEvent/approval", 1)
        told = await explained(host, instance, lambda told: told["unclaimed"] and told["waitsFor"])
        assert told["sentence"] == (
            "It waits for event Approval. Nothing waits for what has come as event approval."
        )
        assert await host.log.entry("note") == (
            "note",
            f"The event 'approval' has come to waits {instance}, which waits for 'Approval': "
            "the SDK tells capitals from small letters.",
        )


# -- states --------------------------------------------------------------------------------------------------
async def test_suspended() -> None:
    async with running_host() as host:
        instance = await host.start("waits", ["go"])
        await host.send(instance, "suspend", reason="lunch")
        told = await explained(host, instance, lambda told: told["runtimeStatus"] == "Suspended")
        assert re.fullmatch(
            rf"It is suspended since {TIME} \(lunch\): resume it\. Open: event go\.", told["sentence"]
        )


async def test_ended() -> None:
    async with running_host() as host:
        done = await host.start("waits", [])
        await host.output(done)
        told = await host.explain(done)
        assert told["waitsFor"] == []
        assert re.fullmatch(rf"It ended at {TIME}\.", told["sentence"])
        failed = await host.start("leaves", {"how": "stop", "after": False})
        await host.failure(failed)
        told = await host.explain(failed)
        assert re.fullmatch(
            rf"It ended at {TIME}: Orchestrator function 'leaves' failed: generator raised StopIteration\.",
            told["sentence"],
        )
        assert (await host.request("GET", "instances/nobody", explain="true"))[0] == 404


async def test_code_that_runs_and_code_that_waits_for_its_turn(gates: ModuleType) -> None:
    async with running_host(max_orchestrators=1) as host:
        first = await host.start("pauses")
        await gates.arrivals("episode")
        second = await host.start("pauses")
        told = await host.explain(first)
        assert re.fullmatch(
            rf"Its code has been running since {TIME}: until it yields or returns, nothing else happens to it\.",
            told["sentence"],
        )
        told = await host.explain(second)
        assert told["runtimeStatus"] == "Pending"
        assert told["sentence"] == (
            "Its next episode waits for its turn: as many as may run at once are running."
        )


async def test_events_that_have_come_while_others_are_awaited_with_them() -> None:
    async with running_host() as host:
        instance = await host.start("waits_for_both")
        told = await explained(host, instance)
        assert told["sentence"] == "It waits for event left, event right."
        await host.send(instance, "raiseEvent/left", 1)
        told = await explained(host, instance, lambda told: len(told["waitsFor"]) == 1)
        assert told["sentence"] == "It waits for event right."
        await host.send(instance, "raiseEvent/right", 2)
        assert await host.output(instance) == [1, 2]


# -- what is not in memory -----------------------------------------------------------------------------------
@pytest.mark.parametrize("evicted", [False, True])
async def test_after_a_restart_and_for_what_was_put_aside_all_is_told_as_before(
    gates: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evicted: bool
) -> None:
    file = tmp_path / "hub.db"
    async with running_host(database=file) as host:
        ids = [
            await host.start("waits", ["Approval"]),
            await host.start("sleeps", 3600),
            await host.start("sleeps_or_hears"),
            await host.start("retries", {"milliseconds": 3_600_000, "attempts": 4, "text": "no"}),
            await host.start("parent", {"child": "waits", "id": "child", "input": ["go"]}),
        ]
        await host.send(ids[0], "raiseEvent/Aproval", 1)
        await host.send(ids[2], "raiseEvent/go", 1)
        settled = [
            lambda told: told["unclaimed"],
            lambda told: told["waitsFor"],
            lambda told: told["sentence"].endswith("event end."),
            lambda told: [entry for entry in told["waitsFor"] if entry["kind"] == "retry"],
            lambda told: told["waitsFor"] and told["waitsFor"][0]["status"] == "Running",
        ]
        before = [await explained(host, each, test) for each, test in zip(ids, settled, strict=True)]
        if evicted:
            monkeypatch.setattr("dfhost.worker.instance_cache.KEPT_SHORT", 0)
            for each in ids:
                await host.run("waits", [])
                assert await host.explain(each) == before[ids.index(each)]
            return
    async with running_host(database=file) as host:
        assert [await host.explain(each) for each in ids] == before
        await host.send(ids[0], "raiseEvent/Approval", "yes")
        assert await host.output(ids[0]) == ["yes"]


async def test_asking_does_not_run_the_code_as_if_for_the_first_time(
    gates: ModuleType, tmp_path: Path
) -> None:
    file = tmp_path / "hub.db"
    async with running_host(database=file) as host:
        instance = await host.start("remarks")
        await explained(host, instance)
        assert gates.arrived("remark") == [False]
    async with running_host(database=file) as host:
        await explained(host, instance)
        assert gates.arrived("remark") == [False, True], "replayed once, and told so"
        await host.explain(instance)
        assert len(gates.arrived("remark")) == 2


async def test_an_orchestrator_that_is_no_more(tmp_path: Path) -> None:
    file = tmp_path / "hub.db"
    async with running_host(database=file) as host:
        instance = await host.start("sleeps", 3600)
        before = await explained(host, instance)
    other = write_app(tmp_path / "app", "")
    async with running_host(other, database=file) as host:
        assert (await host.explain(instance))["waitsFor"] == before["waitsFor"]
