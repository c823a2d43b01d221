"""A rewind of an instance that had failed while tasks were open: they go on, or begin anew."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from tests.dispatch.test_timers import WallClock
from tests.support.apps import write_app
from tests.support.running_host import RunningHost, running_host

APP = """
from datetime import timedelta

from tests.support import gates

def task_of(context, kind):
    if kind == "timer":
        return context.create_timer(context.current_utc_datetime + timedelta(hours=1))
    if kind == "activity":
        return context.call_activity("stop", "work")
    return context.call_sub_orchestrator("waits", "answer", "child")

@app.orchestration_trigger(context_name="context")
def leaves_open(context: df.DurableOrchestrationContext):
    \"\"\"Fails at the event "go", with a task open, unless the gate "changed" is open.\"\"\"
    task = task_of(context, context.get_input())
    yield context.task_any([task, context.wait_for_external_event("go")])
    if not gates.is_open("changed"):
        context.set_custom_status("x" * 20_000)
    yield task
    return "done"

@app.orchestration_trigger(context_name="context")
def has_deadline(context: df.DurableOrchestrationContext):
    \"\"\"An activity with a deadline, which fails unless the gate "changed" is open.\"\"\"
    task, deadline = task_of(context, "activity"), task_of(context, "timer")
    if (yield context.task_any([task, deadline])) is deadline:
        return "too late"
    deadline.cancel()
    return task.result if gates.is_open("changed") else 1 / 0

@app.orchestration_trigger(context_name="context")
def waits(context: df.DurableOrchestrationContext):
    return (yield context.wait_for_external_event(context.get_input()))

@app.activity_trigger(input_name="gate")
def stop(gate: str) -> str:
    gates.stop_at(gate)
    if not gates.is_open("changed"):
        raise ValueError(gate)
    return gate
"""


async def fails(host: RunningHost, kind: str) -> None:
    await host.start("leaves_open", kind, "x")
    await host.until_waiting("x", "event")
    await host.send("x", "raiseEvent/go", 1)
    await host.failure("x")


@pytest.mark.parametrize("due", ["before the rewind", "after it"])
async def test_an_open_timer_fires(gates: ModuleType, tmp_path: Path, due: str) -> None:
    wall = WallClock()
    async with running_host(write_app(tmp_path / "app", APP), tmp_path / "hub.db", wall.host) as host:
        await fails(host, "timer")
        gates.open("changed")
        if due == "before the rewind":
            wall.ahead += 7200
            await host.send("x", "rewind")
        else:
            await host.send("x", "rewind")
            await host.until_waiting("x", "timer")
            wall.ahead += 7200
        assert await host.output("x") == "done"


async def test_an_open_activity_begins_anew(gates: ModuleType, tmp_path: Path) -> None:
    async with running_host(write_app(tmp_path / "app", APP), tmp_path / "hub.db") as host:
        await fails(host, "activity")
        gates.open("changed", "work")
        await host.log.entry("finished", "stop")  # too late for the instance
        await host.send("x", "rewind")
        assert await host.output("x") == "done"
        assert len(gates.arrived("work")) == 2


@pytest.mark.parametrize(
    "meanwhile", ["ends", "is terminated", "is terminated and purged", "waits", "is another"]
)
async def test_an_open_child_still_answers(gates: ModuleType, tmp_path: Path, meanwhile: str) -> None:
    async with running_host(write_app(tmp_path / "app", APP), tmp_path / "hub.db") as host:
        await fails(host, "child")
        gates.open("changed")
        await host.until_waiting("child", "event")
        if meanwhile == "ends":
            await host.send("child", "raiseEvent/answer", 1)
            await host.ended("child")
        elif meanwhile != "waits":
            await host.send("child", "terminate", reason="enough")
        if meanwhile == "is terminated and purged":
            await host.request("DELETE", "instances/child")
        elif meanwhile == "is another":
            await host.start("waits", "other", "child")
            await host.send("child", "raiseEvent/other", 1)
            await host.ended("child")
        await host.send("x", "rewind")
        if meanwhile == "is terminated":
            assert "enough" in await host.failure("x")
            return
        if meanwhile != "ends":
            await host.until_waiting("x", "subOrchestration")  # which may have to begin anew
            await host.until_waiting("child", "event")
            await host.send("child", "raiseEvent/answer", 1)
        assert await host.output("x") == "done"


async def test_an_open_child_that_fails_meanwhile_is_rewound(gates: ModuleType, tmp_path: Path) -> None:
    app = write_app(
        tmp_path / "app", APP.replace('"waits", "answer", "child"', '"leaves_open", "activity", "child"')
    )
    async with running_host(app, tmp_path / "hub.db") as host:
        await fails(host, "child")
        await host.until_waiting("child", "event")
        await host.send("child", "raiseEvent/go", 1)
        await host.failure("child")
        gates.open("changed", "work")
        await host.send("x", "rewind")
        assert await host.output("x") == "done"


async def test_a_deadline_of_a_call_that_failed_is_not_over_at_once(
    gates: ModuleType, tmp_path: Path
) -> None:
    """It was cancelled. On Azure it fires while the instance has failed, and nobody hears it."""
    wall = WallClock()
    async with running_host(write_app(tmp_path / "app", APP), tmp_path / "hub.db", wall.host) as host:
        await host.start("has_deadline", None, "x")
        await gates.arrivals("work")
        gates.open("work")
        await host.failure("x")
        gates.open("changed")
        wall.ahead += 7200
        await host.send("x", "rewind")
        assert await host.output("x") == "work"
