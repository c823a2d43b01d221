"""Durable timers, cancelled ones included: a cancelled timer holds nothing up, and fires all the same (recorded)."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from tests.support.running_host import RunningHost, running_host


def kinds(history: list[dict[str, Any]]) -> list[str]:
    return [event["EventType"] for event in history]


# -- cancelled -----------------------------------------------------------------------------------------------
async def test_a_cancelled_timer_that_is_yielded_wakes_the_orchestrator_at_its_time() -> None:
    async with running_host() as host:
        instance = await host.start("cancels", {"seconds": 0.3})
        assert await host.output(instance) == "woke"
        history = await host.history(instance)
        assert kinds(history) == ["ExecutionStarted", "TimerCreated", "TimerFired", "ExecutionCompleted"]
        assert history[2]["Timestamp"] >= history[2]["FireAt"]


async def test_one_that_was_cancelled_an_episode_later_wakes_it_as_well() -> None:
    async with running_host() as host:
        assert await host.run("cancels_later", {"seconds": 0.3, "yielded": True}) == "done"


async def test_a_cancelled_timer_that_is_due_decides_a_task_any(gates: ModuleType) -> None:
    async with running_host() as host:
        instance = await host.start("cancels", {"seconds": 0, "gate": "slow"})
        await eventually_next(host, instance)
        gates.open("slow")
        assert await host.output(instance) == [True, "next"]


async def eventually_next(host: RunningHost, instance: str) -> None:
    """Until the activity behind the task_any has run, while the one in it still runs."""
    await host.log.entry("finished", "echo")
    assert (await host.status(instance))["runtimeStatus"] == "Running"


async def test_a_cancelled_timer_that_is_not_due_decides_nothing(gates: ModuleType) -> None:
    async with running_host() as host:
        instance = await host.start("cancels", {"seconds": 3600, "gate": "slow"})
        await gates.arrivals("slow")
        await host.fence()
        explained = await host.explain(instance)
        assert sorted(entry["kind"] for entry in explained["waitsFor"]) == ["activity", "timer"]
        assert all(entry["awaited"] for entry in explained["waitsFor"])
        gates.open("slow")
        assert await host.output(instance) == [False, "next"]


async def test_a_cancelled_timer_that_nobody_yields_does_not_hold_the_instance_open() -> None:
    async with running_host() as host:
        instance = await host.start("cancels_later", {"seconds": 3600, "yielded": False})
        assert await host.output(instance) == "done"
        assert "TimerFired" not in kinds(await host.history(instance))


async def test_a_cancelled_timer_survives_a_restart(tmp_path: Path) -> None:
    database = tmp_path / "hub.db"
    async with running_host(database=database) as host:
        instance = await host.start("cancels", {"seconds": 1})
        await host.until_waiting(instance, "timer")
    async with running_host(database=database) as host:
        assert await host.output(instance) == "woke"
