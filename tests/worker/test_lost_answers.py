"""Workers, connections and answers that are lost at a moment that is hard to meet: every call has its outcome."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from dfhost.engine.replay_result import KeptGenerator, ReplayResult
from dfhost.runner.app_runner import ReplayCall
from dfhost.worker.process import WorkerProcess
from dfhost.worker.runner import WorkerRunner
from tests.support.apps import write_app
from tests.support.running_host import RunningHost, running_host
from tests.support.waiting import until

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
