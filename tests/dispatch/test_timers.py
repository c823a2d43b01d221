"""Durable timers, cancelled ones included: a cancelled timer holds nothing up, and fires all the same (recorded)."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

from dfhost.clock import Clock
from tests.support.apps import HEAD, write_app
from tests.support.running_host import RunningHost, running_host
from tests.support.waiting import eventually


def kinds(history: list[dict[str, Any]]) -> list[str]:
    return [event["EventType"] for event in history]


# -- plain ---------------------------------------------------------------------------------------------------
async def test_a_timer_that_was_due_in_a_year_of_three_digits_fires_at_once() -> None:
    async with running_host() as host:
        assert await host.run("sleeps_until_999") == "woke"


async def test_timers_fire_once_their_table_can_be_read_again(tmp_path: Path) -> None:
    file = tmp_path / "hub.db"

    def rename(table: str, name: str) -> None:
        with closing(sqlite3.connect(file)) as shell:
            shell.execute(f"ALTER TABLE {table} RENAME TO {name}")

    async with running_host(database=file) as host:
        instance = await host.start("sleeps", 0.5)
        await host.until_waiting(instance, "timer")
        rename("timers", "hidden")
        await noted(host, "The timers cannot be read")
        rename("hidden", "timers")
        assert await host.output(instance) == "woke"


async def noted(host: RunningHost, words: str) -> None:
    async def notes() -> str:
        return "\n".join(host.log.notes)

    await eventually(notes, lambda text: words in text)


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


# -- the wall clock is set -----------------------------------------------------------------------------------
class WallClock:
    """The machine's, and so many seconds: `host` is the clock to give to a host."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self.host = Clock(wall=lambda: time.time_ns() + int(self.ahead * 1e9))


async def test_a_timer_that_came_due_while_the_machine_slept_fires_when_it_wakes_up() -> None:
    wall = WallClock()
    async with running_host(clock=wall.host) as host:
        instance = await host.start("sleeps", 3600)
        await host.until_waiting(instance, "timer")
        wall.ahead += 3601  # while the event loop's own clock stood still
        assert await host.output(instance) == "woke"
        fired = (await host.history(instance))[2]
        assert fired["Timestamp"] >= fired["FireAt"]


async def test_no_timer_stalls_when_the_wall_clock_is_set_back() -> None:
    wall = WallClock()
    async with running_host(clock=wall.host) as host:
        instance = await host.start("sleeps", 0.5)
        await host.until_waiting(instance, "timer")
        wall.ahead -= 3600
        assert await host.output(instance) == "woke"
        assert await host.run("sleeps", 0.1) == "woke"
        fired = (await host.history(instance))[2]
        assert fired["Timestamp"] >= fired["FireAt"]


async def test_an_instance_that_its_uncancelled_timers_keep_running_is_noted_once(tmp_path: Path) -> None:
    folder = write_app(
        tmp_path,
        """
        @app.orchestration_trigger(context_name="context")
        def asks(context):
            deadline = context.create_timer(context.current_utc_datetime + datetime.timedelta(hours=1))
            yield context.task_any([deadline, context.wait_for_external_event("go")])
            if context.get_input():
                deadline.cancel()
            return "asked"
        """,
        HEAD + "import datetime\n",
    )
    async with running_host(folder) as host:
        cancels, leaves, again = [await host.start("asks", cancel) for cancel in (True, False, False)]
        for instance in (cancels, leaves, again):
            await host.until_waiting(instance, "event")
            await host.send(instance, "raiseEvent/go", 1)
        assert await host.output(cancels) == "asked"
        await host.until_waiting(again, "timer")
        assert [entry[1] for entry in host.log.entries if entry[0] == "note"] == [
            f"asks {leaves}: its code has ended, but it stays Running until its timers have fired, as on Azure. "
            "Call cancel() on a timer that is no longer needed."
        ]


async def test_an_activity_that_nobody_awaits_holds_the_end_up_and_is_noted(gates: Any) -> None:
    async with running_host() as host:
        instance = await host.start("leaves_call_open", "work")
        await gates.arrivals("work")
        await host.send(instance, "raiseEvent/go", 1)
        assert await host.log.entry("note") == (
            "note",
            f"leaves_call_open {instance}: its code has ended, but it stays Running until stop has ended, "
            "as on Azure.",
        )
        again = await host.start("leaves_call_open", "more")
        await gates.arrivals("more")
        await host.send(again, "raiseEvent/go", 1)
        gates.open("work", "more")
        assert [await host.output(each) for each in (instance, again)] == ["done", "done"]
        assert len(host.log.notes) == 1


async def test_a_timer_function_runs_on_when_the_wall_clock_is_set(tmp_path: Path) -> None:
    folder = write_app(
        tmp_path,
        """
        @app.timer_trigger(schedule="0 0 0 1 1 *", arg_name="t")
        def new_year(t: func.TimerRequest) -> None: ...
        """,
    )
    wall = WallClock()
    async with running_host(folder, clock=wall.host) as host:
        await asyncio.sleep(0)  # its task begins, and sleeps
        wall.ahead += 366 * 24 * 3600
        await host.log.entry("finished", "new_year", "timer")
