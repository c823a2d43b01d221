"""Workers, connections and answers that are lost at a moment that is hard to meet: every call has its outcome."""

from __future__ import annotations

import asyncio
import errno
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dfhost.engine import failures
from dfhost.engine.replay_result import KeptGenerator, ReplayResult
from dfhost.runner.app_runner import ReplayCall
from dfhost.worker import protocol
from dfhost.worker.calls import BlockingCall, RunningCall
from dfhost.worker.process import WorkerOptions, WorkerProcess
from dfhost.worker.runner import WorkerRunner, _RemoteGenerator
from tests.support.apps import APPS, write_app
from tests.support.running_host import RunningHost, running_host
from tests.support.waiting import DEADLINE, eventually, until

pytestmark = pytest.mark.long


def runner_of(host: RunningHost) -> WorkerRunner:
    assert isinstance(host.host.runner, WorkerRunner)
    return host.host.runner


def only_worker(host: RunningHost) -> WorkerProcess:
    (process,) = runner_of(host)._pool.processes
    return process


RETRIED = """
    import os

    @app.activity_trigger(input_name="file")
    def fails_once(file: str) -> int:
        if not os.path.exists(file):
            open(file, "w").close()
            raise ValueError("the first time")
        return os.getpid()

    @app.activity_trigger(input_name="n")
    def echo(n: int) -> int:
        return n

    @app.orchestration_trigger(context_name="context")
    def retried(context: df.DurableOrchestrationContext):
        yield context.call_activity_with_retry("fails_once", df.RetryOptions(1, 2), context.get_input())
        total = 0
        for n in range(40):
            total += yield context.call_activity("echo", n)
        return total
"""


class EndsItsWorker:
    """A generator that goes on once; its worker ends before anybody has looked at the result."""

    def __init__(self, generator: KeptGenerator, host: RunningHost) -> None:
        self._generator = generator
        self._host = host

    def go_on(self, texts: Sequence[str]) -> ReplayResult:
        result = self._generator.go_on(texts)
        only_worker(self._host).kill()
        until(lambda: self._host.log.notes, lambda notes: any("SIGKILL" in note for note in notes))
        return result


async def test_a_generator_that_is_lost_before_its_tasks_are_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a retry the engine compares the SDK's tasks with its own, and asks the worker for them."""
    wrapped: list[EndsItsWorker] = []
    async with running_host(write_app(tmp_path / "app", RETRIED), workers=1) as host:
        replay = host.host.runner.replay

        def replay_and_wrap(call: ReplayCall) -> ReplayResult:
            result = replay(call)
            if result.generator is not None and not wrapped:
                wrapped.append(EndsItsWorker(result.generator, host))
                result.generator = wrapped[0]
            return result

        monkeypatch.setattr(host.host.runner, "replay", replay_and_wrap)
        assert await host.run("retried", str(tmp_path / "failed")) == sum(range(40))
    assert wrapped


# -- answers that cannot be sent -----------------------------------------------------------------------------
DEEP = """
    import sys

    sys.setrecursionlimit(50_000)

    @app.orchestration_trigger(context_name="context")
    def deep(context: df.DurableOrchestrationContext):
        value = []
        for n in range(context.get_input()):
            value = [value]
        return value
"""


async def test_an_output_that_is_too_deep_for_the_channel_fails_its_instance_and_no_other(
    tmp_path: Path,
) -> None:
    async with running_host(write_app(tmp_path / "app", DEEP), workers=1) as host:
        output = await host.failure(await host.start("deep", 3_000))
        # In Python 3.12 it is too deep for JSON already, whatever the app's recursion limit is.
        assert "nested more than 800 levels deep" in output or "maximum recursion depth" in output
        assert await host.run("deep", 2) == [[[]]]


# -- connections that cannot be made -------------------------------------------------------------------------
@pytest.fixture
async def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunningHost]:
    monkeypatch.setenv("SCRATCH", str(tmp_path))
    async with running_host("dying", workers=1) as host:
        yield host


async def test_a_host_with_too_many_open_files_makes_its_calls_when_there_are_fewer(
    host: RunningHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, refused = socket.create_connection, list(range(3))

    def create_connection(*arguments: Any) -> socket.socket:
        if refused:
            refused.pop()
            raise OSError(errno.EMFILE, "Too many open files")
        return connect(*arguments)

    monkeypatch.setattr(socket, "create_connection", create_connection)
    assert await host.run("call", ["echo", "at last"]) == "at last"
    assert not refused


async def get(host: RunningHost, path: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"{host.host.url}/api/{path}") as response:
        return await response.text()


LIMITED = """
    import os, resource, threading

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    both_are_here = threading.Barrier(2)

    @app.route("open-no-more-files")
    def open_no_more_files(req: func.HttpRequest) -> str:
        free = os.open(os.devnull, os.O_RDONLY)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
        return "done"

    @app.route("open-files")
    def open_files(req: func.HttpRequest) -> str:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        return "done"

    @app.orchestration_trigger(context_name="context")
    def meets(context: df.DurableOrchestrationContext):
        both_are_here.wait(60)
        return "met"
"""


async def test_a_worker_with_too_many_open_files_answers_when_there_are_fewer(tmp_path: Path) -> None:
    async with running_host(write_app(tmp_path / "app", LIMITED), workers=1) as host:
        assert await get(host, "open-no-more-files") == "done"
        instances = [await host.start("meets") for _ in range(2)]  # each has a connection of its own
        await asyncio.to_thread(until, lambda: only_worker(host).calls, lambda calls: len(calls) == 2)
        assert await get(host, "open-files") == "done"
        assert [await host.output(instance_id) for instance_id in instances] == ["met", "met"]


async def test_a_worker_that_cannot_be_started_is_started_later(
    host: RunningHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, refused = subprocess.Popen.__init__, list(range(3))

    def popen(self: subprocess.Popen[bytes], *arguments: Any, **options: Any) -> None:
        if refused:
            refused.pop()
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        start(self, *arguments, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", popen)
    assert isinstance(host.host.runner, WorkerRunner)
    host.host.runner.reload(WorkerOptions(APPS / "dying"), None)
    only_worker(host).kill()

    async def notes() -> list[str]:
        return host.log.notes

    await eventually(notes, lambda notes: any("has ended" in note for note in notes))
    assert await host.run("call", ["echo", "at last"]) == "at last"
    assert not refused
    assert host.log.notes[0] == (
        "The app goes on as it was: A worker process cannot be started: Cannot allocate memory."
    )
    later = "A worker process cannot be started: Cannot allocate memory. dfhost tries again in 0 s."
    assert [note == later for note in host.log.notes[1:]] == [False, True, True]


async def test_a_host_says_that_its_workers_are_of_another_version(
    host: RunningHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "VERSION", protocol.VERSION + 1)
    assert isinstance(host.host.runner, WorkerRunner)
    host.host.runner.reload(WorkerOptions(APPS / "dying"), None)

    async def notes() -> list[str]:
        return host.log.notes

    (note,) = await eventually(notes, bool)
    assert note == (
        "The app goes on as it was: dfhost was installed anew since this host was started. Start the host again."
    )
    assert await host.run("call", ["echo", "still here"]) == "still here"


class TimesOut(dict[int, RunningCall]):
    """The calls of a worker. The first blocking one times out when its answer has just come."""

    has_timed_out = False

    def pop(self, number: int, default: Any = None) -> RunningCall | None:  # type: ignore[override]
        call: RunningCall | None = super().pop(number, default)
        if isinstance(call, BlockingCall) and not self.has_timed_out:
            self.has_timed_out = True
            call.resolve(failures.timed_out(call.function, 1.0))
            return None
        return call


async def test_the_connection_of_a_call_that_times_out_at_its_last_moment_is_not_used_again(
    host: RunningHost,
) -> None:
    calls = only_worker(host).calls = TimesOut()
    assert await host.run("call", ["echo", "again"]) == "again"
    assert calls.has_timed_out


# -- generators that are dropped -----------------------------------------------------------------------------
KEPT = """
    class Held:
        number = 0

        def __init__(self):
            Held.number += 1

        def __del__(self):
            Held.number -= 1

    @app.route("held")
    def held(req: func.HttpRequest) -> str:
        return str(Held.number)

    @app.activity_trigger(input_name="n")
    def echo(n: int) -> int:
        return n

    @app.orchestration_trigger(context_name="context")
    def holds(context: df.DurableOrchestrationContext):
        held = Held()
        for n in range(20):
            yield context.call_activity("echo", n)
        yield context.wait_for_external_event("go")
"""


async def test_a_worker_drops_the_generators_of_which_there_is_no_use(tmp_path: Path) -> None:
    async with running_host(write_app(tmp_path / "app", KEPT), workers=1) as host:
        instance_id = await host.start("holds")
        await host.until_waiting(instance_id, "event")
        assert await get(host, "held") == "1"
        await host.send(instance_id, "terminate")
        await eventually(lambda: get(host, "held"), lambda held: held == "0")


class Drops(dict[str, int]):
    """The last reference to a generator is gone while this is made into bytes, as by a garbage collection."""

    generator: _RemoteGenerator | None

    def items(self) -> Any:
        self.generator = None
        return super().items()


async def test_a_generator_may_be_dropped_while_a_message_is_made(host: RunningHost) -> None:
    process, message = only_worker(host), Drops()
    message.generator = _RemoteGenerator(runner_of(host), process, 1, ReplayCall("waits", "id", "", True))
    sending = threading.Thread(target=process.send, args=("nothing", message), daemon=True)
    sending.start()
    await asyncio.to_thread(sending.join, DEADLINE)
    assert not sending.is_alive() and message.generator is None
    assert await host.run("call", ["echo", "on"]) == "on"
