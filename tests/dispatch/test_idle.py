"""`Host.idle`: returns when nothing is left to do, and not before."""

from __future__ import annotations

import asyncio
from types import ModuleType

from tests.support.running_host import RunningHost, running_host


async def is_idle(host: RunningHost) -> bool:
    """Whether `idle` returns though nobody does anything more."""
    waiting = asyncio.ensure_future(host.host.idle())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    return waiting.done() and not waiting.cancelled()


def status(host: RunningHost, instance_id: str) -> str:
    """As stored, without another request to the host."""
    instance = host.host.hub.instance(instance_id)
    assert instance is not None
    return instance.status


async def test_a_host_without_work_is_idle() -> None:
    async with running_host() as host:
        await host.host.idle()
        assert host.host.is_idle


async def test_what_runs_keeps_the_host_from_being_idle(gates: ModuleType) -> None:
    async with running_host() as host:
        running = [
            ("work", await host.start("fan", {"activity": "stop", "inputs": ["work"]})),
            ("ending", await host.start("ends", "x")),
        ]
        await host.signal("counter", "x", "stop", "entity")
        for gate in ("work", "ending", "entity"):
            await gates.arrivals(gate)
        waiting = asyncio.ensure_future(host.host.idle())
        for gate in ("work", "entity", "ending"):
            assert not await is_idle(host)
            gates.open(gate)
        await waiting
        assert [status(host, instance) for _, instance in running] == ["Completed"] * 2
        assert host.host.hub.entity("counter", "x")


async def test_a_host_is_idle_while_instances_wait() -> None:
    async with running_host() as host:
        instance = await host.start("waits", ["go"])
        await host.host.idle()
        assert [each["kind"] for each in (await host.explain(instance))["waitsFor"]] == ["event"]
        await host.send(instance, "raiseEvent/go", 1)
        await host.host.idle()
        assert status(host, instance) == "Completed"


async def test_many_at_once_leave_an_idle_host() -> None:
    async with running_host() as host:
        ids = [await host.start("fan", {"activity": "echo", "inputs": list(range(5))}) for _ in range(50)]
        await host.host.idle()
        assert {status(host, each) for each in ids} == {"Completed"}
