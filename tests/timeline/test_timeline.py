"""The timeline of an instance, as its host answers `?timeline=true`."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import pytest_asyncio

from dfhost.cli import main
from tests.support.apps import write_app
from tests.support.running_host import RunningHost, running_host
from tests.support.waiting import eventually


@pytest_asyncio.fixture(loop_scope="function")
async def host(gates: ModuleType) -> AsyncIterator[RunningHost]:
    async with running_host() as running:
        yield running


async def timeline(host: RunningHost, instance_id: str, **query: str) -> dict[str, Any]:
    return await host.status(instance_id, timeline="true", **query)


async def ended(host: RunningHost, orchestrator: str, input: Any = None) -> dict[str, Any]:
    """The timeline of a new instance once it has ended."""
    instance_id = await host.start(orchestrator, input)
    await host.ended(instance_id)
    return await timeline(host, instance_id)


def given(input: Any) -> Callable[[dict[str, Any]], bool]:
    """Whether a timeline is that of an instance with this input."""
    return lambda found: bool(json.loads(found["input"]) == input)


async def test_a_failed_item_of_a_fan_out_is_named() -> None:
    async with running_host(max_activities=1) as host:  # so that the first item fails first
        found = await ended(host, "fan", {"activity": "fail", "inputs": ["item-1", "item-2"]})
    assert found["failures"] == [
        'fail [0] "item-1" failed: ValueError: item-1',
        'fail [1] "item-2" failed: ValueError: item-2',
    ]
    second = found["tasks"][1]
    assert (second["index"], second["fanOutSize"]) == (1, 2)
    assert (second["kind"], second["state"], second["input"]) == ("activity", "failed", '"item-2"')
    assert "in fail" in second["stack"]
    assert found["runtimeStatus"] == "Failed"
    assert found["error"] == "fan > fail: ValueError: item-1"


async def test_times_tell_queued_from_running(host: RunningHost, gates: ModuleType) -> None:
    instance_id = await host.start("fan", {"activity": "stop", "inputs": ["a", "b"]})
    await gates.arrivals("a")
    found = await eventually(
        lambda: timeline(host, instance_id),
        lambda each: [task["state"] for task in each["tasks"]] == ["running", "running"],
    )
    since = found["tasks"][0]["startedTime"]
    assert found["createdTime"] <= found["startedTime"] <= found["tasks"][0]["scheduledTime"] <= since
    await gates.arrivals("b")
    gates.open_all()
    await host.ended(instance_id)
    found = await timeline(host, instance_id)
    task = found["tasks"][0]
    assert task["startedTime"] == since < task["endedTime"] <= found["endedTime"]
    assert (task["state"], task["result"]) == ("completed", '"a"')
    assert "worker" not in task  # it ran in the host's process


async def test_attempts_are_one_task(host: RunningHost) -> None:
    found = await ended(host, "retries", {"milliseconds": 1, "attempts": 3, "text": "no"})
    (task,) = found["tasks"]
    assert (task["attempt"], task["maxAttempts"]) == (3, 3)
    assert [(each["attempt"], each["state"], each["error"]) for each in task["attempts"]] == [
        (number, "failed", "ValueError: no") for number in (1, 2, 3)
    ]
    times = [each[key] for each in task["attempts"] for key in ("scheduledTime", "startedTime", "endedTime")]
    assert times == sorted(times)
    assert found["failures"] == ['fail "no" failed, attempt 3 of 3: ValueError: no']


async def test_each_attempt_of_a_child_names_its_instance(tmp_path: Path) -> None:
    code = """
        @app.orchestration_trigger(context_name="context")
        def below(context):
            raise ValueError("no")
            yield

        @app.orchestration_trigger(context_name="context")
        def above(context):
            yield context.call_sub_orchestrator_with_retry("below", df.RetryOptions(1, 3))
    """
    async with running_host(write_app(tmp_path, code)) as host:
        found = await ended(host, "above")
        (task,) = found["tasks"]
        ids = [each["instanceId"] for each in task["attempts"]]
        assert len(set(ids)) == 3 and task["instanceId"] == ids[-1]
        assert [each["childStatus"] for each in task["attempts"]] == ["Failed"] * 3
        assert [(await host.status(each))["parentInstanceId"] for each in ids] == [found["instanceId"]] * 3


async def test_a_child_that_continues_as_new_is_one_call_with_its_first_input(tmp_path: Path) -> None:
    code = """
        @app.orchestration_trigger(context_name="context")
        def orders(context):
            return (yield context.call_sub_orchestrator("watches", {"polls": 0}, "watch"))

        @app.orchestration_trigger(context_name="context")
        def watches(context):
            polls = context.get_input()["polls"]
            yield context.wait_for_external_event("poll")
            if polls == 2:
                return "delivered"
            context.continue_as_new({"polls": polls + 1})
    """
    async with running_host(write_app(tmp_path, code)) as host:
        parent = await host.start("orders")
        begun = await eventually(
            lambda: timeline(host, parent), lambda t: [task["state"] for task in t["tasks"]] == ["running"]
        )
        (task,) = begun["tasks"]
        own = await timeline(host, "watch")
        assert "generation" not in own and "firstCreatedTime" not in own
        created, started, label = own["createdTime"], task["startedTime"], task["label"]
        assert label == 'watches {"polls": 0}'
        for polls in (1, 2):
            await host.send("watch", "raiseEvent/poll", 1)
            own = await eventually(lambda: timeline(host, "watch"), given({"polls": polls}))
            assert (own["generation"], own["hasContinued"]) == (polls + 1, True)
            assert own["firstCreatedTime"] == created < own["createdTime"], "Azure counts it from here on"
            (task,) = (await timeline(host, parent))["tasks"]
            assert (task["label"], task["state"], task["startedTime"]) == (label, "running", started)
        await host.send("watch", "raiseEvent/poll", 1)
        assert await host.output(parent) == "delivered"
        (task,) = (await timeline(host, parent))["tasks"]
        assert (task["label"], task["startedTime"]) == (label, started)
        assert task["input"] == '{"polls": 0}'
        await host.send("watch", "restart", restartWithNewInstanceId="false")
        await host.until("watch", lambda status: status["runtimeStatus"] == "Running")
        assert "generation" not in await timeline(host, "watch"), "it was started anew"


async def test_a_call_is_not_shown_as_the_later_one_of_the_same_id(tmp_path: Path) -> None:
    code = """
        @app.orchestration_trigger(context_name="context")
        def calls_twice(context):
            yield context.call_sub_orchestrator("echoes", "one", "same")
            yield context.wait_for_external_event("go")
            yield context.call_sub_orchestrator("echoes", "two", "same")

        @app.orchestration_trigger(context_name="context")
        def echoes(context):
            return context.get_input()
    """
    async with running_host(write_app(tmp_path, code)) as host:
        parent = await host.start("calls_twice")
        await host.until_waiting(parent, "event")
        (before,) = (task for task in (await timeline(host, parent))["tasks"] if task["kind"] != "event")
        assert before["label"] == 'echoes "one"' and before["startedTime"] <= before["endedTime"]
        await host.send(parent, "raiseEvent/go", 1)
        await host.ended(parent)
        first, _, second = (await timeline(host, parent))["tasks"]
        assert (first["result"], first["label"]) == ('"one"', "echoes"), "its own input is gone with it"
        assert "startedTime" not in first
        assert (second["result"], second["label"]) == ('"two"', 'echoes "two"')


async def test_a_rewind_leaves_the_inputs_and_times_of_what_has_succeeded(tmp_path: Path) -> None:
    code = """
        @app.orchestration_trigger(context_name="context")
        def orders(context):
            retry = df.RetryOptions(1, 3)
            yield context.task_all([context.call_activity_with_retry("reserve", retry, n) for n in (7, 8)])
            yield context.call_sub_orchestrator_with_retry("packs", retry, "box")
            yield context.call_activity("charge", "card")

        @app.orchestration_trigger(context_name="context")
        def packs(context):
            return context.get_input()

        @app.activity_trigger(input_name="line")
        def reserve(line: int) -> int:
            return line

        charged = []

        @app.activity_trigger(input_name="card")
        def charge(card: str) -> str:
            charged.append(card)
            if len(charged) == 1:
                raise ValueError("no money")
            return card
    """
    async with running_host(write_app(tmp_path, code)) as host:
        failed = await ended(host, "orders")
        *before, charge = failed["tasks"]
        assert [task["label"] for task in before] == ["reserve [0] 7", "reserve [1] 8", 'packs "box"']
        assert charge["state"] == "failed"
        await host.send(failed["instanceId"], "rewind")
        await host.output(failed["instanceId"])
        *after, charge = (await timeline(host, failed["instanceId"]))["tasks"]
        assert after == before
        assert (charge["label"], charge["state"]) == ('charge "card"', "completed")


async def test_a_call_that_runs_again_after_a_rewind_has_its_place_in_the_fan_out(tmp_path: Path) -> None:
    code = """
        @app.orchestration_trigger(context_name="context")
        def orders(context):
            return (yield context.task_all([context.call_activity("reserve", line) for line in "abc"]))

        reserved = []

        @app.activity_trigger(input_name="line")
        def reserve(line: str) -> str:
            reserved.append(line)
            if line == "b" and reserved.count("b") < 3:
                raise ValueError("no stock")
            return line
    """
    async with running_host(write_app(tmp_path, code)) as host:
        failed = await ended(host, "orders")
        for _ in range(2):
            await host.send(failed["instanceId"], "rewind")
            await host.ended(failed["instanceId"])
        assert await host.output(failed["instanceId"]) == ["a", "b", "c"]
        tasks = (await timeline(host, failed["instanceId"]))["tasks"]
        assert [task["label"] for task in tasks] == ['reserve [0] "a"', 'reserve [2] "c"', 'reserve [1] "b"']
        assert [task["fanOutSize"] for task in tasks] == [3, 3, 3]


async def test_one_attempt_is_no_retry(host: RunningHost) -> None:
    found = await ended(host, "retries", {"milliseconds": 1, "attempts": 1, "text": "no"})
    assert len(found["failures"]) == 1
    assert len(found["tasks"][0].get("attempts", [])) <= 1


async def test_a_retry_that_waits_says_when_it_comes(host: RunningHost) -> None:
    instance_id = await host.start("retries", {"milliseconds": 3_600_000, "attempts": 2, "text": "no"})
    found = await eventually(
        lambda: timeline(host, instance_id), lambda each: each["tasks"][0]["state"] == "retrying"
    )
    (task,) = found["tasks"]
    assert (task["attempt"], task["maxAttempts"]) == (1, 2)
    assert task["due"] > task["attempts"][0]["endedTime"]
    assert "endedTime" not in task


async def test_a_child_stands_for_its_instance(host: RunningHost) -> None:
    found = await ended(host, "parent", {"child": "steps", "input": [["echo", 1]]})
    (task,) = found["tasks"]
    assert (task["kind"], task["name"], task["childStatus"]) == ("subOrchestration", "steps", "Completed")
    assert (task["input"], task["result"]) == ('[["echo", 1]]', "[1]")
    assert task["scheduledTime"] <= task["startedTime"] <= task["endedTime"]
    child = await timeline(host, task["instanceId"])
    assert child["parentInstanceId"] == found["instanceId"]


async def test_the_error_of_a_child_names_what_failed_in_it(host: RunningHost) -> None:
    child = {"child": "fan", "input": {"activity": "fail", "inputs": ["bad"]}}
    (task,) = (await ended(host, "parent", child))["tasks"]
    assert (task["state"], task["error"]) == ("failed", "fail: ValueError: bad")


async def test_events_timers_and_signals(host: RunningHost) -> None:
    instance_id = await host.start("sleeps_or_hears", {"seconds": 3600, "event": "go"})
    await host.until_waiting(instance_id, "event")
    tasks = (await timeline(host, instance_id))["tasks"]
    assert {(task["kind"], task["state"]) for task in tasks} == {("timer", "waiting"), ("event", "waiting")}
    await host.send(instance_id, "raiseEvent/go", {"a": 1})
    await host.until_explained(instance_id, lambda explained: "end" in explained["sentence"])
    timer, event, end = (await timeline(host, instance_id))["tasks"]
    assert (timer["state"], event["name"], event["result"]) == ("cancelled", "go", '{"a":1}')
    assert (end["name"], end["state"]) == ("end", "waiting")
    assert event["endedTime"] <= timer["endedTime"]
    await host.send(instance_id, "raiseEvent/end", 1)
    await host.ended(instance_id)
    found = await timeline(host, instance_id)
    assert found["tasks"][0] == timer
    assert timer["endedTime"] < found["endedTime"]


async def test_a_cancelled_timer_that_fires_has_ended_when_it_was_cancelled(host: RunningHost) -> None:
    instance_id = await host.start("sleeps_or_hears", {"seconds": 0.5, "event": "go"})
    await host.until_waiting(instance_id, "event")
    await host.send(instance_id, "raiseEvent/go", 1)
    await host.until_explained(instance_id, lambda explained: "end" in explained["sentence"])
    cancelled = (await timeline(host, instance_id))["tasks"][0]
    await eventually(
        lambda: host.history(instance_id),
        lambda events: any(event["EventType"] == "TimerFired" for event in events),
    )
    assert (await timeline(host, instance_id))["tasks"][0] == cancelled
    assert cancelled["state"] == "cancelled"


async def test_an_entity_call_has_its_operation_and_answer(host: RunningHost) -> None:
    found = await ended(
        host, "calls_entity", {"entity": "counter", "key": "k", "operation": "add", "input": 5}
    )
    call = next(task for task in found["tasks"] if task["kind"] == "entityCall")
    assert (call["name"], call["state"], call["instanceId"]) == ("add", "completed", "@counter@k")


async def test_suspensions_and_what_was_cancelled(host: RunningHost) -> None:
    instance_id = await host.start("waits", ["never"])
    await host.send(instance_id, "suspend", reason="lunch")
    await host.until(instance_id, lambda status: status["runtimeStatus"] == "Suspended")
    await host.send(instance_id, "resume")
    await host.until(instance_id, lambda status: status["runtimeStatus"] == "Running")
    await host.send(instance_id, "suspend")
    await host.send(instance_id, "terminate")
    found = await timeline(host, instance_id)
    tasks = found["tasks"]
    assert all(task["endedTime"] == found["endedTime"] for task in tasks if task["state"] == "cancelled")
    assert [(task["kind"], task["state"]) for task in tasks if task["kind"] == "suspension"] == [
        ("suspension", "completed"),
    ] + [("suspension", "cancelled")] * (len(tasks) - 1)
    assert tasks[0]["input"] == "lunch"


async def test_payloads_are_cut_on_demand(host: RunningHost) -> None:
    instance_id = await host.start("fan", {"activity": "echo", "inputs": ["x" * 50, 1]})
    await host.ended(instance_id)
    long, short = (await timeline(host, instance_id, limit="10"))["tasks"]
    assert (long["result"], long["truncated"]) == ('"' + "x" * 9, ["input", "result"])
    assert "truncated" not in short


async def test_an_unknown_instance_is_404(host: RunningHost) -> None:
    assert (await host.request("GET", "instances/nobody", timeline="true"))[0] == 404


async def test_the_worker_that_ran_a_task_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = write_app(
        tmp_path,
        """
        import os

        @app.orchestration_trigger(context_name="context")
        def fan(context):
            retry = df.RetryOptions(1, 2)
            yield context.task_all([context.call_activity("pid", None) for _ in range(4)])
            yield context.call_activity_with_retry("raises_its_pid", retry)

        @app.activity_trigger(input_name="given")
        def pid(given: str) -> int:
            return os.getpid()

        @app.activity_trigger(input_name="given")
        def raises_its_pid(given: str) -> int:
            raise ValueError(os.getpid())
        """,
    )
    async with running_host(folder, workers=2) as host:
        found = await eventually(  # the second worker may still load the app
            lambda: ended(host, "fan"), lambda each: len({task["worker"] for task in each["tasks"]}) == 2
        )
        *pids, retried = found["tasks"]
        assert [str(task["worker"]) for task in pids] == [task["result"] for task in pids]
        assert [f"ValueError: {each['worker']}" for each in retried["attempts"]] == [
            each["error"] for each in retried["attempts"]
        ]
        assert retried["error"] == f"ValueError: {retried['worker']}"
        await asyncio.to_thread(main, ["show", found["instanceId"], "--url", host.host.url])
        shown = capfd.readouterr().out
        assert re.search(
            rf"^pid \[0\] +completed +.* {pids[0]['worker']} +{pids[0]['worker']}$", shown, re.M
        ), shown
