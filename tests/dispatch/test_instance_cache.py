"""Evicted instances go on when a message arrives; unfinished work goes on under the next host."""

from __future__ import annotations

import asyncio
import gc
import json
from pathlib import Path
from types import ModuleType

import pytest

from dfhost.engine.execution import Execution
from tests.support.apps import loaded_module, write_app
from tests.support.running_host import running_host
from tests.support.waiting import eventually


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two executions and two entities stay in memory; all others are evicted."""
    monkeypatch.setattr("dfhost.dispatch.instance_cache.KEPT_SHORT", 2)
    monkeypatch.setattr("dfhost.dispatch.instance_cache.KEPT_IN_LONG", 0)
    monkeypatch.setattr("dfhost.dispatch.entity_cache.KEPT_ENTITIES", 2)


async def test_evicted_executions_go_on(forgetful: None) -> None:
    async with running_host() as host:
        ids = [await host.start("waits", ["a", "b"]) for _ in range(12)]
        for each in ids:
            await host.until(each, lambda status: status["runtimeStatus"] == "Running")
        gc.collect()
        executions = [each for each in gc.get_objects() if isinstance(each, Execution)]
        kept = [each for each in executions if each.info.instance_id in ids]
        assert len(kept) < 8
        for number, each in reversed(list(enumerate(ids))):
            await host.send(each, "raiseEvent/a", number)
        for number, each in enumerate(ids):
            await host.send(each, "raiseEvent/b", -number)
        assert [await host.output(each) for each in ids] == [[n, -n] for n in range(12)]


async def test_an_evicted_long_history_goes_on(forgetful: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfhost.dispatch.instance_cache.LONG_FROM", 5)
    async with running_host() as host:
        ids = [await host.start("steps_and_event", 8) for _ in range(3)]
        for each in ids:
            await host.until_waiting(each, "event")
        for number, each in enumerate(ids):
            await host.send(each, "raiseEvent/go", number)
        assert [await host.output(each) for each in ids] == [[*range(8), n] for n in range(3)]


async def test_a_generator_that_is_evicted_is_missed_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfhost.dispatch.instance_cache.KEPT_GENERATOR_EVENTS", 150)
    async with running_host() as host:
        ids = [await host.start("steps_and_event", 30) for _ in range(3)]
        for each in ids:
            await host.until_waiting(each, "event")
        executions = [
            each for each in gc.get_objects() if isinstance(each, Execution) and each.info.instance_id in ids
        ]
        await host.send(
            ids[0], "raiseEvent/other", 0
        )  # after every commit it is looked whether there are too many

        async def kept() -> int:
            return [bool(each.code.generator_length) for each in executions].count(True)

        await eventually(kept, lambda count: count == 1)
        for number, each in enumerate(ids):
            await host.send(each, "raiseEvent/go", number)
        assert [await host.output(each) for each in ids] == [[*range(30), n] for n in range(3)]


async def test_an_evicted_parent_gets_the_result_of_its_child(forgetful: None) -> None:
    async with running_host() as host:
        ids = [
            await host.start("parent", {"child": "waits", "id": f"child-{n}", "input": ["go"]})
            for n in range(5)
        ]
        for each in ids:
            await host.until_waiting(each, "subOrchestration")
        for number in range(5):
            await host.send(f"child-{number}", "raiseEvent/go", number)
        assert [await host.output(each) for each in ids] == [[n] for n in range(5)]


async def test_evicted_entities_keep_their_state(forgetful: None) -> None:
    async with running_host() as host:
        for amount in (1, 10, 100):
            for key in "abcde":
                await host.signal("counter", key, "add", amount)
        asked = {"entity": "counter", "operation": "get"}
        assert [await host.run("calls_entity", {**asked, "key": key}) for key in "abcde"] == [111] * 5


async def test_a_suspended_instance_that_was_evicted(forgetful: None) -> None:
    async with running_host() as host:
        ids = [await host.start("waits", ["a"]) for _ in range(4)]
        for each in ids:
            await host.send(each, "suspend", reason="lunch")
        for each in ids:
            await host.until(each, lambda status: status["runtimeStatus"] == "Suspended")
            await host.send(each, "raiseEvent/a", 1)
        for each in ids:
            assert (await host.status(each))["output"] == "lunch"
            await host.send(each, "resume")
        assert [await host.output(each) for each in ids] == [[1]] * 4


# -- from host to host ---------------------------------------------------------------------------------------
async def test_a_finished_host_has_stored_running_work_and_started_nothing_new(
    gates: ModuleType, tmp_path: Path
) -> None:
    file = tmp_path / "hub.db"
    async with running_host(database=file, max_activities=2) as host:
        instance = await host.start("fan", {"activity": "stop", "inputs": ["work"] * 5})
        await gates.arrivals("work", 2)
        finishing = asyncio.ensure_future(host.host.finish())
        refused, _ = await host.request("POST", "orchestrators/fan", "{}")
        assert refused == 503
        # A function that still runs may start an orchestration: it is stored, and begins with the next host.
        late = await host.host.hub.start("fan", json.dumps(json.dumps({"activity": "echo", "inputs": [1]})))
        assert not finishing.done()
        gates.open("work")
        await finishing
        assert len(gates.arrived("work")) == 2
    async with running_host(database=file) as host:
        assert await host.output(instance) == ["work"] * 5
        assert len(gates.arrived("work")) == 5, "those that had ended were not run again"
        assert await host.output(late) == [1]
        assert not [entry for entry in host.log.entries if entry[0] == "started_again"]


async def test_what_ran_when_a_host_stopped_is_said_to_run_again(tmp_path: Path) -> None:
    code = """
        import threading

        door = threading.Event()

        @app.orchestration_trigger(context_name="context")
        def fan(context):
            return (yield context.task_all([context.call_activity("hold", each) for each in "abc"]))

        @app.activity_trigger(input_name="what")
        def hold(what: str) -> str:
            door.wait()
            return what
    """
    folder, file = write_app(tmp_path / "app", code), tmp_path / "hub.db"
    async with running_host(folder, database=file, max_activities=2, finishes=False) as host:
        instance = await host.start("fan")
        await host.log.entry("started", "hold", count=2)
        before = loaded_module()
    before.door.set()
    async with running_host(folder, database=file, max_activities=2) as host:
        loaded_module().door.set()
        assert await host.output(instance) == ["a", "b", "c"]
        begun = [entry[0] for entry in host.log.entries if entry[0] != "finished" and entry[1] == "hold"]
        assert begun == ["started_again", "started_again", "started"]


async def test_work_of_an_older_host_is_taken_up_without_a_note(gates: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "hub.db"
    async with running_host(database=file) as host:
        event = await host.start("waits", ["go"])
        timer = await host.start("sleeps", 0.2)
        child = await host.start("parent", {"child": "sleeps", "id": "child", "input": 0.2})
        retry = await host.start("retries", {"milliseconds": 200, "attempts": 2, "text": "no"})
        await host.until_waiting(event, "event")
    async with running_host(database=file) as host:
        assert await host.output(timer) == "woke"
        assert await host.output(child) == "woke"
        assert (await host.output(retry)).startswith(
            "failed: Activity function 'fail' failed: ValueError: no"
        )
        await host.send(event, "raiseEvent/go", "still there")
        assert await host.output(event) == ["still there"]


async def test_an_activity_that_no_longer_exists_fails_its_call(gates: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "hub.db"
    async with running_host(database=file, max_activities=1) as host:
        await host.start("fan", {"activity": "stop", "inputs": ["work"]})
        await gates.arrivals("work")
        queued = await host.start("steps", [["fail", "x"], ["echo", 1]])
        await host.until_waiting(queued, "activity")
        finishing = asyncio.ensure_future(host.host.finish())
        await asyncio.sleep(0)
        gates.open("work")
        await finishing
    functions = frozenset(("fan", "steps", "echo", "stop"))
    async with running_host(database=file, functions=functions) as host:
        assert await host.output(queued) == [
            "Exception: Activity function 'fail' failed: Activity function 'fail' does not exist.",
            1,
        ]


async def test_instances_that_were_only_looked_at_are_evicted(forgetful: None, tmp_path: Path) -> None:
    file = tmp_path / "hub.db"
    async with running_host(database=file) as host:
        ids = [await host.start("waits", ["a"]) for _ in range(6)]
        for each in ids:
            await host.until_waiting(each, "event")
    app = """
        @app.orchestration_trigger(context_name="context")
        def fan(context):
            return "another app"
            yield
    """
    async with running_host(write_app(tmp_path / "app", app), database=file) as host:
        for each in ids:
            await host.explain(each)
        for _ in range(2):  # their commits
            assert await host.run("fan") == "another app"
        orchestrations = host.host._dispatchers.orchestrations
        assert sum(each in orchestrations for each in ids) <= 2


async def test_instances_whose_history_is_replayed_are_not_evicted(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_host() as host:
        ids = [await host.start("waits", ["a"]) for _ in range(3)]
        for each in ids:
            await host.until_waiting(each, "event")
            await host.send(each, "raiseEvent/other", 1)  # for which the code of today does not wait
        orchestrations = host.host._dispatchers.orchestrations
        monkeypatch.setattr("dfhost.dispatch.instance_cache.KEPT_SHORT", 0)
        assert all(each in orchestrations for each in ids)
        orchestrations.replays.code_changed()
        orchestrations.commit_finished()  # of a commit that ends at this moment
        assert all(each in orchestrations for each in ids)
