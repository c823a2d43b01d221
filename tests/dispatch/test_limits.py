"""How much runs at once, and that blocked code does not stop the rest: a whole host, observed at gates."""

from __future__ import annotations

import asyncio
import gc
import threading
from types import ModuleType

import pytest

from dfhost.engine.execution import Execution
from tests.support.running_host import RunningHost, running_host


async def fence(host: RunningHost) -> None:
    """An orchestration from start to end: what was due before it has been handed out by then."""
    assert await host.run("waits", []) == []


@pytest.mark.parametrize(
    "activities", [("stop", "stop"), ("stop_async", "stop_async"), ("stop", "stop_async")]
)
async def test_never_more_activities_than_host_json_allows(
    gates: ModuleType, activities: tuple[str, str]
) -> None:
    async with running_host(max_activities=3) as host:
        fans = [await host.start("fan", {"activity": each, "inputs": ["work"] * 5}) for each in activities]
        await gates.arrivals("work", 3)
        await fence(host)
        assert len(gates.arrived("work")) == 3
        gates.open("work")
        for fan in fans:
            assert len(await host.output(fan)) == 5
        assert gates.most("work") == 3


async def test_a_limit_of_one_runs_activities_in_turn(gates: ModuleType) -> None:
    async with running_host(max_activities=1) as host:
        fan = await host.start("fan", {"activity": "stop", "inputs": ["a", "b", "c"]})
        for name in ("a", "b", "c"):
            await gates.arrivals(name)
            assert [len(gates.arrived(each)) for each in "abc"] == [int(each <= name) for each in "abc"]
            gates.open(name)
        assert await host.output(fan) == ["a", "b", "c"]


async def test_plain_activities_have_the_workers_threads_and_coroutines_need_none(
    gates: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_THREADPOOL_THREAD_COUNT", "2")
    async with running_host(max_activities=100) as host:
        blocked = await host.start("fan", {"activity": "stop", "inputs": ["plain"] * 5})
        await gates.arrivals("plain", 2)
        free = await host.start("fan", {"activity": "stop_async", "inputs": ["async"] * 30})
        await gates.arrivals("async", 30)
        assert len(gates.arrived("plain")) == 2
        gates.open("async", "plain")
        assert await host.output(blocked) == ["plain"] * 5
        where = {tuple(each) for each in await host.output(free)}
        assert len(where) == 1, "one thread and one loop for all coroutines"
        assert where.pop()[0] != threading.get_ident(), "never the host's own"


async def test_blocked_threads_stall_neither_clients_nor_replays(
    gates: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_THREADPOOL_THREAD_COUNT", "1")
    async with running_host() as host:
        blocked = await host.start("one_of", "work")
        await gates.arrivals("work")
        assert (await host.status(blocked))["runtimeStatus"] == "Running"
        assert await host.run("waits", []) == []
        assert await host.run("sleeps", 0.01) == "woke"
        await host.send(blocked, "raiseEvent/go", "now")
        await host.until(blocked, lambda status: status["runtimeStatus"] == "Running")
        gates.open("work")
        assert await host.output(blocked) == ["now", "after"]


async def test_later_work_does_not_queue_behind_blocked_activities(gates: ModuleType) -> None:
    async with running_host(max_activities=4) as host:
        blocked = [await host.start("fan", {"activity": "stop", "inputs": [n]}) for n in ("a", "b", "c")]
        await gates.arrivals("c")
        for n in range(3):
            assert await host.run("fan", {"activity": "echo", "inputs": [n]}) == [n]
        gates.open("a", "b", "c")
        assert [await host.output(each) for each in blocked] == [["a"], ["b"], ["c"]]


@pytest.mark.parametrize("limit", [1, 2])
async def test_never_more_episodes_than_host_json_allows(gates: ModuleType, limit: int) -> None:
    gates.open("work")
    async with running_host(max_orchestrators=limit) as host:
        ids = [await host.start("pauses", number) for number in range(4)]
        await gates.arrivals("episode", limit)
        queued = ids[limit:]
        assert {(await host.status(each))["runtimeStatus"] for each in queued} == {"Pending"}
        assert len(gates.arrived("episode")) == limit
        for each in ids:
            await host.send(each, "raiseEvent/go", "on")
        gates.open("episode")
        assert [await host.output(each) for each in ids] == [[n, "work", "on"] for n in range(4)]
        assert gates.most("episode") == limit


async def test_never_more_entities_than_host_json_allows(gates: ModuleType) -> None:
    async with running_host(max_entities=2) as host:
        keys = ["a", "b", "c", "d"]
        for key in keys:
            await host.signal("counter", key, "stop", "gate")
        await gates.arrivals("gate", 2)
        await fence(host)
        assert len(gates.arrived("gate")) == 2
        gates.open("gate")
        asked = {"entity": "counter", "operation": "get"}
        assert [await host.run("calls_entity", {**asked, "key": key}) for key in keys] == [1, 1, 1, 1]
        assert gates.most("gate") == 2


async def test_one_entity_does_one_thing_at_a_time_in_batches_of_bounded_size(gates: ModuleType) -> None:
    async with running_host(entity_batch_size=2) as host:
        await host.signal("counter", "x", "stop", "gate")
        await gates.arrivals("gate")
        for number in (10, 20, 30, 40):
            await host.signal("counter", "x", "add", number)
        gates.open("gate")
        asked = {"entity": "counter", "key": "x", "operation": "get"}
        assert await host.run("calls_entity", asked) == 101
        batches = [entry for entry in host.log.entries if entry[:3] == ("started", "counter", "entity")]
        assert len(batches) == 4  # stop; add add; add add; get


@pytest.mark.long
async def test_many_instances_at_once() -> None:
    async with running_host() as host:
        asked = [{"activity": "echo", "inputs": [n, n + 1]} for n in range(200)]
        outputs = await asyncio.gather(*(host.run("fan", each) for each in asked))
        assert outputs == [each["inputs"] for each in asked]
        gc.collect()
        kept = sum(isinstance(each, Execution) for each in gc.get_objects())
        assert kept < 10, "what is done is forgotten, but for what the threads did last"
