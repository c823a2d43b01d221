"""Several operations on one instance in the same commit: an end and a new start, a schedule and a terminate, …

The test holds up the writer for a moment, so that every operation posted meanwhile goes into its next commit.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.support.running_host import RunningHost, running_host
from tests.support.waiting import eventually


class Group:
    """One commit: what is submitted while the block runs, in that order."""

    def __init__(self, host: RunningHost) -> None:
        self._writer = host.host.hub._store._writer
        self._entered, self._leave = threading.Event(), threading.Event()
        self._asked: list[asyncio.Task[Any]] = []

    async def begin(self) -> None:
        def stand(cursor: object) -> None:
            self._entered.set()
            self._leave.wait(20)

        self._writer.post(stand, lambda value, error: None)
        await asyncio.to_thread(self._entered.wait, 20)

    async def add(self, request: Coroutine[Any, Any, Any]) -> None:
        """A client's request, which is answered after the commit."""
        before = self._writer._queue.qsize()
        self._asked.append(asyncio.ensure_future(request))
        await self.has(before + 1)

    async def has(self, count: int) -> None:
        """Wait until `count` operations are in the group; some come from the host itself."""

        async def size() -> int:
            return int(self._writer._queue.qsize())

        await eventually(size, lambda size: size >= count)

    async def commit(self) -> None:
        self._leave.set()
        await asyncio.gather(*self._asked)


@asynccontextmanager
async def one_commit(host: RunningHost) -> AsyncIterator[Group]:
    group = Group(host)
    await group.begin()
    try:
        yield group
    finally:
        await group.commit()


async def test_an_end_and_a_new_start(gates: ModuleType, tmp_path: Path) -> None:
    async with running_host(database=tmp_path / "hub.db") as host:
        await host.start("ends", "old", "x")
        await gates.arrivals("ending")
        async with one_commit(host) as group:
            gates.open("ending")
            await group.has(1)  # the old one's last episode
            gates.close("ending")
            await group.add(host.start("ends", "new", "x"))
        await gates.arrivals("ending", 2)
        await host.send("x", "raiseEvent/whatever", 1)  # while its first episode runs
        gates.open("ending")
        assert await host.output("x") == "new"
        assert gates.arrived("ending") == ["old", "new"], "one episode of an instance at a time"
        assert host.log.notes == []
        await host.fence()


async def test_a_scheduled_activity_and_a_terminate(gates: ModuleType, tmp_path: Path) -> None:
    async with running_host(database=tmp_path / "hub.db") as host:
        await host.start("pauses", "in", "x")
        await gates.arrivals("episode")
        async with one_commit(host) as group:
            gates.open("episode")
            await group.has(1)  # the episode that schedules the activity
            await group.add(host.send("x", "terminate"))
        assert (await host.status("x"))["runtimeStatus"] == "Terminated"
        await host.fence()
        assert gates.arrived("work") == [], "the activity of an ended instance is not started"
        assert host.log.notes == []


async def test_a_continue_as_new_a_terminate_and_a_new_start(gates: ModuleType, tmp_path: Path) -> None:
    async with running_host(database=tmp_path / "hub.db") as host:
        await host.start("rolls_on", 1, "x")
        await gates.arrivals("rolling")
        async with one_commit(host) as group:
            gates.open("rolling")
            await group.has(1)  # continues as new
            await group.add(host.send("x", "terminate"))
            await group.add(host.start("rolls_on", 5, "x"))
        assert await host.output("x") == 5
        assert host.log.notes == []
        assert gates.arrived("rolling") == [1, 5]


async def test_a_child_started_and_terminated(gates: ModuleType, tmp_path: Path) -> None:
    async with running_host(database=tmp_path / "hub.db") as host:
        parent = await host.start("parent_in_pause", "child")
        await gates.arrivals("parent")
        async with one_commit(host) as group:
            gates.open("parent")
            await group.has(1)  # the episode that starts the child
            await group.add(host.send("child", "terminate", reason="before it began"))
        assert await host.output(parent) == "failed: before it began \n None"
        assert (await host.status("child"))["runtimeStatus"] == "Terminated"


async def test_a_failure_and_a_rewind(gates: ModuleType, tmp_path: Path) -> None:
    async with running_host(database=tmp_path / "hub.db") as host:
        await host.start("stands_and_fails", None, "x")
        await host.send("x", "raiseEvent/go", 1)
        await gates.arrivals("failing")
        async with one_commit(host) as group:
            gates.open("failing")
            await group.has(1)  # the failure
            gates.open("changed")
            await group.add(host.send("x", "rewind"))
        assert await host.output("x") == "changed"
        assert host.log.notes == []


async def test_a_purge_of_an_entity_a_new_signal_and_a_batch(gates: ModuleType, tmp_path: Path) -> None:
    async with running_host(database=tmp_path / "hub.db") as host:
        await host.signal("counter", "x", "add", 100)
        await host.signal("counter", "x", "stop", "gate")
        await gates.arrivals("gate")
        async with one_commit(host) as group:
            await group.add(host.request("DELETE", "instances/@counter@x"))
            await group.add(host.signal("counter", "x", "add", 1))
            gates.open("gate")
            await group.has(3)  # the batch of the purged entity
        asked = {"entity": "counter", "key": "x", "operation": "get"}
        assert await host.run("calls_entity", asked) == 1, "nothing of the purged entity comes back"
        assert host.log.notes == []


async def test_a_start_its_events_and_a_suspend(tmp_path: Path) -> None:
    async with running_host(database=tmp_path / "hub.db") as host:
        async with one_commit(host) as group:
            await group.add(host.start("waits", ["a", "b"], "x"))
            await group.add(host.send("x", "raiseEvent/b", 2))
            await group.add(host.send("x", "suspend"))
            await group.add(host.send("x", "raiseEvent/a", 1))
            await group.add(host.send_refused("y", "raiseEvent/a", 404))
        status = await host.until("x", lambda status: status["runtimeStatus"] == "Suspended")
        assert status["output"] is None
        await host.send("x", "resume")
        assert await host.output("x") == [1, 2]
