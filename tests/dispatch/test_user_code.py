"""User code that misbehaves: the host stays up, the instance says what happened, the other instances go on."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.apps import write_app
from tests.support.running_host import running_host

WORDS = {
    "exit": "SystemExit: 3",
    "interrupt": "KeyboardInterrupt: ",
    "close": "GeneratorExit: ",
    "stop": "StopIteration: done",
    "base": "BaseException: of its own",
}


@pytest.mark.parametrize("activity", ["leave", "leave_async"])
@pytest.mark.parametrize("how", WORDS)
async def test_whatever_an_activity_raises_is_a_failure_of_its_call(activity: str, how: str) -> None:
    said = (
        "RuntimeError: coroutine raised StopIteration"
        if (activity, how) == ("leave_async", "stop")
        else WORDS[how]
    )
    async with running_host() as host:
        assert await host.run("steps", [[activity, how], ["echo", "after"]]) == [
            f"Exception: Activity function '{activity}' failed: {said}",
            "after",
        ]
        assert [entry[3] for entry in host.log.entries if entry[:2] == ("failed", activity)] == [said]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("how", WORDS)
async def test_whatever_an_orchestrator_raises_fails_its_instance_alone(how: str, after: bool) -> None:
    async with running_host() as host:
        output = await host.failure(await host.start("leaves", {"how": how, "after": after}))
        assert output.startswith("Orchestrator function 'leaves' failed: ")
        assert ("generator raised StopIteration" if how == "stop" else WORDS[how]) in output
        assert "dfhost" not in output, "no traceback of ours"
        assert await host.run("fan", {"activity": "echo", "inputs": [1, 2]}) == [1, 2]


YIELDED_NONE = (
    "TypeError: the orchestrator yielded None, which is not a task; to wait, yield context.create_timer(...)"
)


async def test_an_orchestrator_that_yields_none_fails_and_says_so() -> None:
    async with running_host("fails") as host:
        for orchestrator in ("nothing", "nothing_later"):
            instance = await host.start(orchestrator)
            assert "yielded None, which is not a task" in await host.failure(instance)
            assert "yielded None, which is not a task" in (await host.explain(instance))["sentence"]


@pytest.mark.parametrize(
    ("orchestrator", "logged", "where"),
    [
        ("in_a_helper", "KeyError: 'missing'", ["in in_a_helper", "in helper"]),
        ("without_a_word", "AssertionError: ", ["in without_a_word"]),
        ("before_it_yields", "KeyError: 'missing'", ["in before_it_yields", "in helper"]),
        ("of_its_own", "ValueError: no luck", ["in of_its_own"]),
        (
            "a_set",
            "TypeError: Object of type set is not JSON serializable (the orchestrator returned it)",
            [],
        ),
        (
            "an_object",
            "TypeError: Object of type Receipt is not JSON serializable (the orchestrator returned it at [0]; the "
            "SDK calls to_json for inputs and for the results of activities, not for the result of an orchestrator)",
            [],
        ),
        (
            "a_time_in_a_dict",
            "TypeError: Object of type datetime is not JSON serializable "
            "(the orchestrator returned it at ['took'][1]['since'])",
            [],
        ),
        (
            "the_winner",
            "TypeError: Object of type Exception is not JSON serializable (the orchestrator returned at ['won'] the "
            "failure of bad, which task_any does not raise: RuntimeError: a bad one)",
            [],
        ),
        (
            "what_it_caught",
            "TypeError: Object of type Exception is not JSON serializable (the orchestrator returned it)",
            [],
        ),
        (
            "no_task",
            "AttributeError: 'int' object has no attribute '_is_scheduled' "
            "(the orchestrator yielded a value of type int, which is not a task) "
            "(function_app.py, line 50, in no_task)",
            [],
        ),
        (
            "a_generator",
            "AttributeError: 'generator' object has no attribute '_is_scheduled' "
            "(the orchestrator yielded a value of type generator, which is not a task; a generator is run with yield "
            "from) (function_app.py, line 55, in a_generator)",
            [],
        ),
        ("nothing", YIELDED_NONE, []),
        ("nothing_later", YIELDED_NONE, []),
        (
            "without_yield",
            "TypeError: Object of type AtomicTask is not JSON serializable "
            "(the orchestrator returned a task: is a `yield` missing before it?)",
            [],
        ),
        (
            "as_a_coroutine",
            "TypeError: Object of type coroutine is not JSON serializable "
            "(the orchestrator is an `async def`: write `def`, and `yield` instead of `await`)",
            [],
        ),
        (
            "as_an_async_generator",
            "TypeError: Object of type async_generator is not JSON serializable "
            "(the orchestrator is an `async def`: write `def`, and `yield` instead of `await`)",
            [],
        ),
    ],
)
async def test_the_log_says_what_an_orchestrator_raised_and_where(
    orchestrator: str, logged: str, where: list[str]
) -> None:
    async with running_host("fails") as host:
        await host.failure(await host.start(orchestrator))
        *_, error, stack = await host.log.entry("failed", orchestrator)
        assert error == logged
        frames = [line for line in stack.splitlines() if line.lstrip().startswith("File ")]
        places = [frame.rpartition(", ")[2] for frame in frames]
        assert places[len(places) - len(where) :] == where
        assert bool(places) == bool(where)


async def test_a_parent_has_the_cause_of_its_child() -> None:
    async with running_host("fails") as host:
        instance = await host.start("asks_the_winner")
        await host.failure(instance)
        assert re.search(
            r": the_winner \w+:0: TypeError: Object of type Exception is not JSON serializable "
            r"\(the orchestrator returned at \['won'\] the failure of bad, which task_any does not raise: ",
            (await host.explain(instance))["sentence"],
        )


async def test_a_misspelt_function_is_answered_with_the_name_that_is_meant(tmp_path: Path) -> None:
    app = """
        @app.orchestration_trigger(context_name="context")
        def order(context):
            yield context.call_activity(context.get_input())

        @app.activity_trigger(input_name="n")
        def send_mail(n): ...
    """
    async with running_host(write_app(tmp_path, app)) as host:
        for name, said in (("send_mial", " Did you mean 'send_mail'?"), ("zzz", "")):
            instance = await host.start("order", name)
            output = await host.failure(instance)
            cause = f"The app has no activity '{name}'.{said}"
            assert f"The function '{name}' doesn't exist" in output and cause not in output, "Azure's words"
            assert (await host.explain(instance))["sentence"].endswith(f": {cause}")
        *_, error, _ = await host.log.entry("failed", "order")
        assert error.startswith(
            "The app has no activity 'send_mial'. Did you mean 'send_mail'?\nIts output is"
        )


@pytest.mark.parametrize("workers", [0, 1])
async def test_a_failed_operation_of_an_entity_is_logged_with_its_type_and_place(
    workers: int, tmp_path: Path
) -> None:
    app = """
        def total(context):
            return context.get_state(lambda: 0) + context.get_input()

        @app.entity_trigger(context_name="context")
        def counter(context):
            context.set_state(total(context))
    """
    async with running_host(write_app(tmp_path, app), workers=workers) as host:
        await host.signal("counter", "main", "add", 2)
        await host.signal("counter", "main", "add", "two")
        *_, error, stack = await host.log.entry("failed", "counter")
        said = "TypeError: unsupported operand type(s) for +: 'int' and 'str'"
        assert error == f"add: {said}"
        frames = [line for line in stack.splitlines() if line.lstrip().startswith("File ")]
        assert [frame.rpartition(", ")[2] for frame in frames] == ["in counter", "in total"]
        shown = await host.until_explained("@counter@main", _is_idle_after_failure)
        assert re.fullmatch(
            rf"The entity is idle\. Its last failed operation was add at \S+Z: {re.escape(said)}\.",
            shown["sentence"],
        )
        assert shown["lastFailure"]["stack"] == stack
        await host.request("DELETE", "instances/@counter@main")
        await host.signal("counter", "main", "add", 1)
        shown = await host.until_explained("@counter@main", lambda shown: not shown["waitsFor"])
        assert shown["sentence"] == "The entity is idle."


async def test_equal_failures_of_one_batch_are_logged_once(gates: ModuleType) -> None:
    async with running_host() as host:
        await host.signal("counter", "x", "stop", "gate")
        await gates.arrivals("gate")
        for value in ("a", "b", None):
            await host.signal("counter", "x", "add", value)
        gates.open("gate")
        *_, error, _ = await host.log.entry("failed", "counter")
        assert error == (
            "add: TypeError: unsupported operand type(s) for +=: 'int' and 'str' (2 times); "
            "add: TypeError: unsupported operand type(s) for +=: 'int' and 'NoneType'"
        )


def _is_idle_after_failure(shown: dict[str, Any]) -> bool:
    return "lastFailure" in shown and not shown["waitsFor"]


async def test_a_failed_activity_is_logged_as_the_cause() -> None:
    async with running_host("fails") as host:
        output = await host.failure(await host.start("of_its_activity"))
        *_, error, stack = await host.log.entry("failed", "of_its_activity")
        assert (error, stack) == (output, "bad 1 failed: RuntimeError: a bad one")


async def test_the_log_names_the_items_of_a_failed_fan_out(tmp_path: Path) -> None:
    app = """
        @app.orchestration_trigger(context_name="context")
        def fan(context):
            try:
                yield context.call_activity("work", "caught")
            except Exception:
                pass
            retry = df.RetryOptions(1, 2)
            items = [f"{'good' if n in (1, 3) else 'bad'}-{n}" for n in range(context.get_input())]
            yield context.task_all([context.call_activity_with_retry("work", retry, item) for item in items])

        @app.activity_trigger(input_name="item")
        def work(item: str) -> str:
            if item == "caught":
                raise KeyError("handled")
            if item.startswith("bad"):
                raise ValueError("no such item")
            return item
    """
    async with running_host(write_app(tmp_path, app)) as host:
        await host.failure(await host.start("fan", 4))
        *_, stack = await host.log.entry("failed", "fan")
        said = [line for line in stack.splitlines() if line.startswith("work ")]
        failed = [f'work [{n}] "bad-{n}" failed, attempt 2 of 2: ValueError: no such item' for n in (0, 2)]
        # The first failure ends the instance; either may be it, and the other may have come too late.
        assert sorted(said) in (failed, failed[:1], failed[1:])
        await host.failure(await host.start("fan", 300))
        *_, stack = await host.log.entry("failed", "fan", count=2)
        assert len([line for line in stack.splitlines() if line.startswith("work [")]) == 3
        assert "more tasks failed, too" in stack


async def test_an_entity_that_raises_system_exit_fails_its_operation_and_goes_on() -> None:
    async with running_host() as host:
        asked: dict[str, Any] = {"entity": "counter", "key": "x", "operation": "leave"}
        assert "an entity that wants to go" in await host.run("calls_entity", asked)
        asked = {"entity": "counter", "key": "x", "operation": "add", "input": 5}
        assert await host.run("calls_entity", asked) == 5


@pytest.fixture
def impatient_host(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Code that does not return keeps a processor busy, so that a host looks after it ten times as soon here."""
    for name, seconds in (("_CHECK_SECONDS", 0.025), ("_BLOCKED_SECONDS", 0.1), ("SLOW_SECONDS", 0.1)):
        monkeypatch.setattr(f"dfhost.dispatch.episode_limiter.{name}", seconds)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.0005)  # how long a thread goes on while others want to
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("impatient_host")
@pytest.mark.parametrize("count", [1, pytest.param(3, marks=pytest.mark.long)])
async def test_orchestrators_that_never_yield_block_nobody_and_can_be_terminated(
    gates: ModuleType, count: int
) -> None:
    async with running_host(max_orchestrators=6) as host:
        spinning = [await host.start("spins") for _ in range(count)]
        await gates.arrivals("spins", count)
        assert await host.run("fan", {"activity": "echo", "inputs": [1, 2]}) == [1, 2]
        for each in spinning:
            assert (await host.status(each))["runtimeStatus"] == "Running"
            await host.send(each, "terminate", reason="enough")
            status = await host.status(each)
            assert (status["runtimeStatus"], status["output"]) == ("Terminated", "enough")
        gates.open("spin")
        assert await host.run("fan", {"activity": "echo", "inputs": [3]}) == [3]
        assert [(await host.status(each))["output"] for each in spinning] == ["enough"] * count


@pytest.mark.usefixtures("impatient_host")
async def test_terminating_an_orchestrator_that_never_yields_frees_its_place(gates: ModuleType) -> None:
    async with running_host(max_orchestrators=1) as host:
        spinning = await host.start("spins")
        await gates.arrivals("spins")
        waiting = await host.start("waits", [])
        assert (await host.status(waiting))["runtimeStatus"] == "Pending"
        await host.send(spinning, "terminate")
        assert await host.output(waiting) == []


async def test_code_that_still_runs_when_its_instance_is_terminated_is_noted(
    gates: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dfhost.dispatch.episode_limiter._BLOCKED_SECONDS", 0.0)
    async with running_host() as host:
        waiting, spinning = await host.start("waits", ["go"]), await host.start("spins")
        await gates.arrivals("spins")
        await host.until_waiting(waiting, "event")
        for instance in (waiting, spinning):
            await host.send(instance, "terminate")
        assert await host.log.entry("note") == (
            "note",
            f"spins {spinning} has ended, but its code still runs without a yield. That may keep a processor busy "
            "until the host ends.",
        )


async def test_an_instance_whose_first_episode_takes_long_is_shown_as_running(gates: ModuleType) -> None:
    async with running_host(max_orchestrators=1) as host:
        first, second = await host.start("pauses", 1), await host.start("pauses", 2)
        await host.until(first, lambda status: status["runtimeStatus"] == "Running")
        assert len(gates.arrived("episode")) == 1
        assert (await host.status(second))["runtimeStatus"] == "Pending"


@pytest.mark.usefixtures("impatient_host")
async def test_code_that_never_yields_is_noted_once(gates: ModuleType) -> None:
    async with running_host() as host:
        for _ in range(2):
            await host.start("spins")
        await host.log.entry("note")
        assert await host.run("fan", {"activity": "echo", "inputs": [1]}) == [1]
        (note,) = [note for note in host.log.notes if note.startswith("spins: ")]
        assert "its code has been running for " in note
        assert "must neither block nor loop for ever; such work belongs in an activity" in note


async def test_an_orchestrator_that_starts_too_many_actions_fails_at_the_limit() -> None:
    async with running_host(max_actions=15) as host:
        output = await host.failure(await host.start("steps", [["echo", n] for n in range(30)]))
        assert output == (
            "Orchestrator function 'steps' failed: More than 15 actions were started (maxOrchestrationActions)."
        )


async def test_a_big_result_passes() -> None:
    async with running_host() as host:
        text = "x" * 900_000
        assert await host.run("fan", {"activity": "echo", "inputs": [text]}) == [text]
