"""What old workers still run after a reload: it ends there, or begins again in the new ones."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from dfhost.short_id import short_id
from dfhost.worker.process import WorkerOptions
from dfhost.worker.runner import WorkerRunner
from tests.support.apps import APPS, write_app
from tests.support.host_process import is_running
from tests.support.running_host import RunningHost, running_host
from tests.support.waiting import eventually

pytestmark = pytest.mark.long


@pytest.fixture
async def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunningHost]:
    monkeypatch.setenv("SCRATCH", str(tmp_path))
    async with running_host("dying", workers=1, outdated_grace=0.5) as host:
        yield host


async def until_exists(*files: Path) -> None:
    async def exist() -> bool:
        return all(file.exists() for file in files)

    await eventually(exist, bool)


async def pid(host: RunningHost) -> int:
    async with aiohttp.ClientSession() as session, session.get(f"{host.host.url}/api/process") as response:
        return int(json.loads(await response.text())["pid"])


async def reload(host: RunningHost, timeout: float | None = None, folder: Path = APPS / "dying") -> None:
    """Returns when the new code has the calls."""
    assert isinstance(host.host.runner, WorkerRunner)
    known = len(host.log.notes)
    host.host.runner.reload(WorkerOptions(folder), timeout)

    async def is_loaded() -> bool:
        return any(note.startswith("The app is loaded") for note in host.log.notes[known:])

    await eventually(is_loaded, bool)


async def test_what_hangs_begins_again_with_the_new_code(host: RunningHost, tmp_path: Path) -> None:
    async def post() -> tuple[int, str]:
        url = f"{host.host.url}/api/hang-once/request"
        async with aiohttp.ClientSession() as session, session.post(url, data="body") as response:
            return response.status, await response.text()

    request = asyncio.ensure_future(post())
    activity = await host.start("call", ["hangs_once", "activity"])
    entity = await host.start("asks_entity", ["entity", "hang_once"])
    orchestrator = await host.start("hangs_in_first_turn", "orchestrator")
    names = ("request", "activity", "entity", "orchestrator")
    await until_exists(*(tmp_path / f"{name}.attempts" for name in names))
    await reload(host)
    assert await request == (200, "request again: body")
    assert await host.output(activity) == "activity again"
    assert await host.output(entity) == "hang_once done"
    assert await host.output(orchestrator) == "orchestrator again"
    attempts = [(tmp_path / f"{name}.attempts").stat().st_size for name in names]
    assert attempts == [2, 2, 2, 3]  # the orchestrator's second turn is a replay
    (note,) = [note for note in host.log.notes if "the old code still ran" in note]
    assert (
        f"activity hangs_once of instance {short_id(activity)}" in note and "function http_hang_once" in note
    )


async def test_an_outdated_worker_that_dies_fails_what_it_runs_and_nothing_else(
    host: RunningHost, tmp_path: Path
) -> None:
    old = await pid(host)
    instance_id = await host.start("caught", ["hangs_once", "activity"])
    await until_exists(tmp_path / "activity.attempts")
    await reload(host)
    os.kill(old, signal.SIGKILL)
    assert "exited with code 137" in await host.output(instance_id)
    (note,) = [note for note in host.log.notes if "has ended" in note]
    assert note.endswith(f"It was running activity hangs_once of instance {short_id(instance_id)}.")
    assert await host.run("call", ["echo", "all is well"]) == "all is well"


async def test_a_time_limit_holds_in_an_outdated_worker(host: RunningHost, tmp_path: Path) -> None:
    instance_id = await host.start("caught", ["hangs_once", "activity"])
    await until_exists(tmp_path / "activity.attempts")
    await reload(host, timeout=0.1)
    assert (
        "Timeout value of 00:00:00.1000000 was exceeded by function: Functions.hangs_once"
        in await host.output(instance_id)
    )


async def test_reloads_one_after_the_other_leave_one_worker(host: RunningHost) -> None:
    pids = {await pid(host)}
    for _ in range(3):
        await reload(host)
        pids.add(await pid(host))
    assert len(pids) == 4

    async def alive() -> set[int]:
        return set(filter(is_running, pids))

    assert await eventually(alive, lambda those: len(those) == 1) == {await pid(host)}


RESPELT = """
    import os
    import time

    @app.activity_trigger(input_name="file")
    def {name}(file: str) -> str:
        if os.path.exists(file):
            return "{name}"
        open(file, "w").close()
        time.sleep(60)

    @app.orchestration_trigger(context_name="context")
    def works(context: df.DurableOrchestrationContext):
        return (yield context.call_activity("work", context.get_input()))
"""


async def test_a_function_is_the_same_in_another_case(tmp_path: Path) -> None:
    folder = write_app(tmp_path / "app", RESPELT.format(name="Work"))
    async with running_host(folder, workers=1, outdated_grace=0.5) as host:
        instance_id = await host.start("works", str(tmp_path / "begun"))
        await until_exists(tmp_path / "begun")
        write_app(folder, RESPELT.format(name="work"))
        await reload(host, folder=folder)
        assert await host.output(instance_id) == "work"
