"""Generators that are kept between episodes: what user code can notice, and when they are not kept."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Generator
from datetime import datetime, timedelta, timezone
from typing import Any

import azure.durable_functions as df
import pytest

from dfhost.app import sdk
from dfhost.app.kept_orchestrator import sdk_is_as_expected
from dfhost.app.sdk import Replayer
from dfhost.app.suspended_code import closing_runs_code
from dfhost.engine import history as h
from dfhost.engine.execution import Execution
from dfhost.engine.options import EngineOptions
from dfhost.timestamps import timestamp
from tests.engine.simulation import EveryFunction

Context = df.DurableOrchestrationContext
Steps = Generator[Any, Any, Any]
START = datetime(2026, 11, 22, 15, 0, tzinfo=timezone.utc)


class Chain:
    """An orchestrator that calls one activity after the other; its generator is kept from the first episode on."""

    def __init__(self, code: Any) -> None:
        self.execution = Execution()
        self.replayer = Replayer(df.Orchestrator.create(code))
        self.number = 0
        self.event = h.execution_started(
            self.now, instance_id="i", execution_id="e", name="o", version=None, input=None
        )

    @property
    def now(self) -> str:
        return timestamp(START + timedelta(seconds=self.number))

    def step(self) -> str | None:
        """One episode, in a thread of its own; the output if the instance has ended."""
        outputs: list[str | None] = []

        def run() -> None:
            episode = self.execution.run_episode(
                [self.event], self.now, self.replayer, EveryFunction(), EngineOptions(keep_generator_from=0)
            )
            self.number += 1
            for activity in episode.activities:
                self.event = h.task_completed(self.now, activity.task_id, str(activity.task_id))
            outputs.append(episode.output)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return outputs[0]

    @property
    def is_kept(self) -> bool:
        return bool(self.execution.code.generator_length)


def test_the_installed_sdk_has_the_form_that_generators_are_kept_with() -> None:
    assert sdk_is_as_expected(), "dfhost's speed with long histories depends on it"


def test_with_any_other_sdk_every_episode_replays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdk, "sdk_is_as_expected", lambda: False)
    starts = []

    def code(context: Context) -> Steps:
        starts.append(1)
        first = yield context.call_activity("work")
        second = yield context.call_activity("work")
        return [first, second]

    chain = Chain(code)
    assert [chain.step(), chain.is_kept, chain.step(), chain.is_kept, chain.step()] == [
        None, False, None, False, "[0,1]",
    ]  # fmt: skip
    assert len(starts) == 3


def test_context_variables_stay_though_the_thread_changes() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    def code(context: Context) -> Steps:
        token = variable.set("set")
        for _ in range(4):
            yield context.call_activity("work")
        seen = variable.get()
        variable.reset(token)
        return [seen, variable.get()]

    chain = Chain(code)
    outputs = [chain.step() for _ in range(5)]
    assert outputs == [None] * 4 + ['["set","unset"]']
    assert variable.get() == "unset"


def test_blocks_that_are_left_when_a_generator_is_closed_are_left_after_every_episode() -> None:
    """As on Azure: what waits in ``with`` or ``finally`` is not kept, so that it holds no lock meanwhile."""
    lock = threading.Lock()
    left = []

    def code(context: Context) -> Steps:
        yield context.call_activity("work")
        with lock:
            yield context.call_activity("work")
        try:
            yield context.call_activity("work")
        finally:
            left.append("finally")
        yield context.call_activity("work")
        return "done"

    chain = Chain(code)
    chain.step()
    assert chain.is_kept
    chain.step()
    assert not chain.is_kept and not lock.locked()
    chain.step()
    assert not chain.is_kept and left == ["finally"]
    chain.step()
    assert chain.is_kept and left == ["finally"] * 2
    assert chain.step() == '"done"'


# -- which generators react when they are closed -------------------------------------------------------------
def in_with() -> Steps:
    with threading.Lock():
        yield


def in_finally() -> Steps:
    try:
        yield
    finally:
        pass


def in_bare_except() -> Steps:
    try:
        yield
    except:  # noqa: E722
        pass


def in_except_base_exception() -> Steps:
    try:
        yield
    except (ValueError, BaseException):
        pass


def in_yield_from_with() -> Steps:
    yield from in_with()


def in_something_else() -> Steps:
    yield from iter([1])


def in_except_exception() -> Steps:
    try:
        yield
    except Exception:
        pass


def after_them() -> Steps:
    with threading.Lock():
        pass
    try:
        pass
    finally:
        pass
    yield from in_except_exception()


@pytest.mark.parametrize(
    "code",
    [in_with, in_finally, in_bare_except, in_except_base_exception, in_yield_from_with, in_something_else],
)
def test_closing_runs_code(code: Any) -> None:
    generator = code()
    next(generator)
    assert closing_runs_code(generator)


@pytest.mark.parametrize("code", [in_except_exception, after_them])
def test_closing_runs_no_code(code: Any) -> None:
    generator = code()
    next(generator)
    assert not closing_runs_code(generator)


def test_closing_code_without_a_source_may_run_anything() -> None:
    names: dict[str, Any] = {}
    exec("def code():\n    yield", names)
    generator = names["code"]()
    next(generator)
    assert closing_runs_code(generator)
