"""Messages at an awkward moment: during an episode, during an activity, or for an instance that was removed."""

from __future__ import annotations

import asyncio
import json
from types import ModuleType
from typing import Any

from dfhost.settings.model import processor_count
from tests.support.running_host import RunningHost, running_host
from tests.support.waiting import eventually


async def activity_ended(host: RunningHost, count: int = 1) -> None:
    """Wait until `count` calls of the activity `stop` have ended and their results are stored or dropped."""
    await host.log.entry("finished", "stop", count=count)
    await host.fence()


def kinds(history: list[dict[str, Any]]) -> list[str]:
    return [event["EventType"] for event in history]


# -- during an episode ---------------------------------------------------------------------------------------
async def test_events_that_arrive_during_an_episode_are_in_the_next(gates: ModuleType) -> None:
    async with running_host() as host:
        instance = await host.start("pauses", "in")
        await gates.arrivals("episode")
        await host.send(instance, "raiseEvent/go", "early")  # nobody waits for it yet
        gates.open("episode")
        await gates.arrivals("work")
        gates.close("episode")
        episodes = len(gates.arrived("episode"))
        gates.open("work")
        await gates.arrivals("episode", episodes + 1)  # the episode that has the activity's result
        await host.send(instance, "raiseEvent/other", "late")
        gates.open("episode")
        assert await host.output(instance) == ["in", "work", "early"]
        assert gates.most("episode") == 1, "one episode of an instance at a time"


async def test_a_timer_that_fires_while_its_generation_ends_is_not_for_the_next_one(
    gates: ModuleType,
) -> None:
    async with running_host() as host:
        instance = await host.start("renews")
        await host.send(instance, "raiseEvent/go", 1)
        await gates.arrivals("episode")
        await eventually(lambda: host.history(instance), lambda events: "TimerFired" in kinds(events))
        await host.fence()
        gates.open("episode")
        await host.until_waiting(instance, "timer")
        await host.send(instance, "raiseEvent/end", 1)
        assert await host.output(instance) == "event"


async def test_events_that_arrive_while_a_generation_ends_come_after_the_first_replay_of_the_next(
    gates: ModuleType,
) -> None:
    async with running_host() as host:
        instance = await host.start("remarks_anew")
        await host.send(instance, "raiseEvent/go", 1)
        await gates.arrivals("episode")
        await host.send(instance, "raiseEvent/go", 2)
        gates.open("episode")
        assert await host.output(instance) == 2
        assert gates.arrived("remark") == [False, True], "its code begins, and is replayed for the event"


async def test_an_episode_of_a_terminated_instance_is_discarded(gates: ModuleType) -> None:
    async with running_host() as host:
        instance = await host.start("pauses")
        await gates.arrivals("episode")
        await host.send(instance, "terminate", reason="enough")
        assert (await host.status(instance))["runtimeStatus"] == "Terminated"
        gates.open("episode")
        await host.fence()
        status = await host.status(instance)
        assert (status["runtimeStatus"], status["output"]) == ("Terminated", "enough")
        assert gates.arrived("work") == []


async def test_an_episode_of_a_replaced_instance_is_discarded(gates: ModuleType) -> None:
    async with running_host() as host:
        await host.start("pauses", "old", "x")
        await gates.arrivals("episode")
        await host.send("x", "terminate")
        await host.start("pauses", "new", "x")
        gates.open("episode", "work")
        await host.send("x", "raiseEvent/go", "out")
        assert await host.output("x") == ["new", "work", "out"]
        await host.fence()
        assert len(gates.arrived("work")) == 1


async def test_an_episode_of_a_purged_instance_is_discarded(gates: ModuleType) -> None:
    async with running_host() as host:
        instance = await host.start("pauses")
        await gates.arrivals("episode")
        status, body = await host.request("DELETE", "instances", createdTimeFrom="2020-01-01T00:00:00Z")
        assert (status, body) == (200, {"instancesDeleted": 1})
        gates.open("episode")
        await host.fence()
        assert (await host.request("GET", f"instances/{instance}"))[0] == 404
        assert gates.arrived("work") == []


async def test_a_queued_episode_of_a_terminated_instance_does_not_run(gates: ModuleType) -> None:
    async with running_host(max_orchestrators=1) as host:
        await host.start("pauses", "first", "running")
        await gates.arrivals("episode")
        await host.start("ends", "queued", "queued")
        await host.send("queued", "terminate")
        gates.open("episode", "ending")
        await host.fence()
        assert gates.arrived("ending") == []
        assert [entry for entry in host.log.entries if entry[:2] == ("started", "ends")] == []


async def test_an_episode_of_a_terminated_instance_that_waits_for_a_thread_does_not_run(
    gates: ModuleType,
) -> None:
    async with running_host() as host:
        threads = max(2, processor_count())  # see `InProcessRunner`
        for number in range(threads):
            await host.start("pauses", number)
        await gates.arrivals("episode", threads)
        await host.start("ends", "queued", "queued")
        await host.send("queued", "terminate")
        gates.open("episode", "ending")
        await host.fence()
        assert gates.arrived("ending") == []


async def test_a_queued_batch_of_a_purged_entity_does_not_run(gates: ModuleType) -> None:
    async with running_host(max_entities=1) as host:
        await host.signal("counter", "running", "stop", "gate")
        await gates.arrivals("gate")
        await host.signal("counter", "queued", "stop", "other")
        await host.request("DELETE", "instances/@counter@queued")
        gates.open("gate", "other")
        asked = {"entity": "counter", "key": "last", "operation": "get"}
        await host.run("calls_entity", asked)
        assert gates.arrived("other") == []


# -- during an activity --------------------------------------------------------------------------------------
async def test_a_result_for_a_terminated_instance_is_dropped(gates: ModuleType) -> None:
    async with running_host() as host:
        instance = await host.start("fan", {"activity": "stop", "inputs": ["work"]})
        await gates.arrivals("work")
        await host.send(instance, "terminate", reason="enough")
        before = await host.history(instance)
        assert kinds(before)[-2:] == ["ExecutionTerminated", "ExecutionCompleted"]
        gates.open("work")
        await activity_ended(host)
        assert await host.history(instance) == before


async def test_a_result_for_a_replaced_instance_is_dropped(gates: ModuleType) -> None:
    async with running_host() as host:
        await host.start("steps", [["stop", "old"]], "x")
        await gates.arrivals("old")
        await host.send("x", "terminate")
        await host.start("steps", [["stop", "new"]], "x")
        await gates.arrivals("new")
        gates.open("old")
        await activity_ended(host)
        assert (await host.status("x"))["runtimeStatus"] == "Running"
        gates.open("new")
        assert await host.output("x") == ["new"]


async def test_an_activity_beside_that_of_a_terminated_instance_of_its_id_is_shown_as_its_own(
    gates: ModuleType,
) -> None:
    async with running_host() as host:
        await host.start("fan", {"activity": "stop", "inputs": ["old"]}, "x")
        await gates.arrivals("old")
        await host.send("x", "terminate")
        await host.start("fan", {"activity": "stop", "inputs": ["new"]}, "x")
        await gates.arrivals("new")
        (before,) = (await host.explain("x"))["waitsFor"]
        assert before["startedTime"] >= before["scheduledTime"]
        gates.open("old")
        await activity_ended(host)
        assert (await host.explain("x"))["waitsFor"] == [before], "it still runs"


async def test_queued_activities_of_a_terminated_instance_are_not_started(gates: ModuleType) -> None:
    async with running_host(max_activities=1) as host:
        first = await host.start("fan", {"activity": "stop", "inputs": ["first"]})
        await gates.arrivals("first")
        queued = await host.start("fan", {"activity": "stop", "inputs": ["queued"] * 3})
        await host.until(queued, lambda status: status["runtimeStatus"] == "Running")
        await host.send(queued, "terminate")
        gates.open("first", "queued")
        assert await host.output(first) == ["first"]
        await host.fence()
        assert gates.arrived("queued") == []


async def test_the_id_of_an_instance_purged_during_an_activity_is_free_again(gates: ModuleType) -> None:
    async with running_host() as host:
        await host.start("fan", {"activity": "stop", "inputs": ["old"]}, "x")
        await gates.arrivals("old")
        await host.request("DELETE", "instances", createdTimeFrom="2020-01-01T00:00:00Z")
        assert (await host.request("GET", "instances/x"))[0] == 404
        gates.open("old")
        await activity_ended(host)
        assert (await host.request("GET", "instances/x"))[0] == 404
        await host.start("fan", {"activity": "echo", "inputs": [1, 2]}, "x")
        assert await host.output("x") == [1, 2]


async def test_an_entity_purged_during_its_operation_starts_anew(gates: ModuleType) -> None:
    async with running_host() as host:
        await host.signal("counter", "x", "add", 100)
        await host.signal("counter", "x", "stop", "gate")
        await gates.arrivals("gate")
        status, _ = await host.request("DELETE", "instances", createdTimeFrom="2020-01-01T00:00:00Z")
        assert status == 200
        asked = {"entity": "counter", "key": "x", "operation": "add"}
        assert await host.run("calls_entity", {**asked, "input": 5}) == 5
        finished = [entry for entry in host.log.entries if entry[:2] == ("finished", "counter")]
        gates.open("gate")
        await host.log.entry("finished", "counter", count=len(finished) + 1)
        await host.fence()
        assert await host.request("GET", "entities/counter/x") == (200, 5)
        assert await host.run("calls_entity", {**asked, "input": 1}) == 6


# -- one id, several instances -------------------------------------------------------------------------------
async def test_an_ended_instance_is_replaced_and_a_running_one_is_not(gates: ModuleType) -> None:
    async with running_host() as host:
        await host.start("fan", {"activity": "echo", "inputs": [1]}, "x")
        await host.output("x")
        await host.start("waits", ["go"], "x")
        status, body = await host.request("POST", "orchestrators/waits/x")
        assert status == 409
        assert "already exists" in body["Message"]
        await host.send("x", "raiseEvent/go", "on")
        assert await host.output("x") == ["on"]
        assert "TaskCompleted" not in kinds(await host.history("x"))


async def test_any_state_overridable_replaces_a_running_instance(gates: ModuleType) -> None:
    async with running_host(any_state_overridable=True) as host:
        await host.start("steps", [["stop", "old"]], "x")
        await gates.arrivals("old")
        await host.start("steps", [["stop", "new"]], "x")
        await gates.arrivals("new")
        gates.open("old")
        await activity_ended(host)
        gates.open("new")
        assert await host.output("x") == ["new"]


async def test_a_child_whose_id_is_taken_is_refused_as_a_failure_of_its_call(gates: ModuleType) -> None:
    async with running_host() as host:
        await host.start("waits", ["go"], "taken")
        said = await host.run("parent", {"child": "fan", "id": "taken"})
        assert said.startswith("failed: ")
        assert "status " in said and "the id 'taken' is taken" in said
        await host.send("taken", "raiseEvent/go", "undisturbed")
        assert await host.output("taken") == ["undisturbed"]
        asked = {"child": "fan", "id": "taken", "input": {"activity": "echo", "inputs": ["now"]}}
        assert await host.run("parent", asked) == ["now"]


# -- parents and children ------------------------------------------------------------------------------------
async def test_a_terminated_parent_leaves_its_child_running(gates: ModuleType) -> None:
    async with running_host() as host:
        parent = await host.start("parent", {"child": "waits", "id": "child", "input": ["go"]})
        await eventually(lambda: host.request("GET", "instances/child"), lambda response: response[0] == 202)
        await host.send(parent, "terminate")
        await host.send("child", "raiseEvent/go", "alone")
        assert await host.output("child") == ["alone"]
        assert (await host.status(parent))["runtimeStatus"] == "Terminated"


async def test_a_terminated_child_fails_its_call(gates: ModuleType) -> None:
    async with running_host() as host:
        parent = await host.start("parent", {"child": "waits", "id": "child", "input": ["go"]})
        await eventually(lambda: host.request("GET", "instances/child"), lambda response: response[0] == 202)
        await host.send("child", "terminate", reason="no more")
        assert await host.output(parent) == "failed: no more \n None"


async def test_a_child_of_a_replaced_parent_sends_its_result_to_nobody(gates: ModuleType) -> None:
    async with running_host() as host:
        asked = {"child": "waits", "id": "child", "input": ["go"]}
        await host.start("parent", asked, "x")
        await eventually(lambda: host.request("GET", "instances/child"), lambda response: response[0] == 202)
        await host.send("x", "terminate")
        await host.start("waits", ["update"], "x")
        await host.send("child", "raiseEvent/go", "old")
        await host.output("child")
        await host.fence()
        assert "SubOrchestrationInstanceCompleted" not in kinds(await host.history("x"))
        await host.send("x", "raiseEvent/update", "new")
        assert await host.output("x") == ["new"]


# -- events --------------------------------------------------------------------------------------------------
async def test_an_event_before_anything_waits_for_it() -> None:
    async with running_host() as host:
        instance = await host.start("waits", ["a", "b"])
        await host.send(instance, "raiseEvent/b", 2)
        await host.send(instance, "raiseEvent/a", 1)
        assert await host.output(instance) == [1, 2]


async def test_many_events_at_once_all_arrive() -> None:
    async with running_host() as host:
        instance = await host.start("waits", ["e"] * 60)
        await asyncio.gather(*(host.send(instance, "raiseEvent/e", n) for n in range(60)))
        assert sorted(await host.output(instance)) == list(range(60))


async def test_an_event_for_a_held_back_wait_is_kept_and_noted_once(gates: ModuleType) -> None:
    async with running_host() as host:
        instances = [await host.start("window_and_event") for _ in range(3)]
        for instance in instances:
            await host.until_explained(instance, lambda explained: explained["heldBack"])
            await host.send(instance, "raiseEvent/go", "early")
        gates.open("slow")
        for instance in instances:
            assert await host.output(instance) == "early"
        notes = [note for note in host.log.notes if note.startswith("window_and_event: ")]
        assert len(notes) == 1
        assert "waits for" in notes[0] and "Azure does the same" in notes[0]


async def test_a_sliding_window_serialises_and_is_noted_once(gates: ModuleType) -> None:
    async with running_host() as host:
        window = await host.start("window", ["a", "b", "c", "d"])
        await gates.arrivals("b")
        gates.open("a")
        await gates.arrivals("c")
        gates.open("b")
        await activity_ended(host, 2)
        assert gates.arrived("d") == [], "listed, and held back behind c"
        gates.open("c", "d")
        assert await host.output(window) == ["a", "b", "c", "d"]
        assert len([note for note in host.log.notes if note.startswith("window: ")]) == 1


# -- suspended -----------------------------------------------------------------------------------------------
async def test_a_suspended_instance_starts_nothing_and_loses_nothing(gates: ModuleType) -> None:
    async with running_host() as host:
        instance = await host.start("steps", [["stop", "first"], ["stop", "second"]])
        await gates.arrivals("first")
        await host.send(instance, "suspend", reason="lunch")
        await host.until(instance, lambda status: status["runtimeStatus"] == "Suspended")
        gates.open("first")
        await activity_ended(host)
        assert gates.arrived("second") == []
        assert (await host.status(instance))["output"] == "lunch"
        await host.send(instance, "resume")
        await gates.arrivals("second")
        gates.open("second")
        assert await host.output(instance) == ["first", "second"]


async def test_terminating_a_suspended_instance(gates: ModuleType) -> None:
    async with running_host() as host:
        instance = await host.start("waits", ["go"])
        await host.send(instance, "suspend")
        await host.until(instance, lambda status: status["runtimeStatus"] == "Suspended")
        await host.send(instance, "terminate", reason="enough")
        status = await host.status(instance)
        assert (status["runtimeStatus"], status["output"]) == ("Terminated", "enough")


# -- generations ---------------------------------------------------------------------------------------------
async def test_generations_follow_each_other_and_drop_their_history(gates: ModuleType) -> None:
    async with running_host() as host:
        instance = await host.start("rolls", {"at": 1, "until": 30})
        for number in range(1, 30):
            await host.until_custom_status(instance, number)
            await host.send(instance, "raiseEvent/next", number)
        assert await host.output(instance) == 30
        assert kinds(await host.history(instance)) == ["ExecutionStarted", "ExecutionCompleted"]


# -- again and again -----------------------------------------------------------------------------------------
async def test_one_id_started_again_and_again_by_many(gates: ModuleType) -> None:
    """As apps keep a singleton alive: every caller starts it unless it runs."""
    async with running_host() as host:
        accepted = 0

        async def client() -> None:
            nonlocal accepted
            for _ in range(60):
                status, body = await host.request(
                    "POST", "orchestrators/steps/one", json.dumps([["echo", 1]])
                )
                assert status in (202, 409), body
                accepted += status == 202
                await asyncio.sleep(0)

        await asyncio.gather(*(client() for _ in range(10)))
        assert await host.output("one") == [1]
        assert accepted > 1
        assert len([entry for entry in host.log.entries if entry[:2] == ("finished", "steps")]) == accepted
        assert host.log.notes == []


async def test_one_id_started_and_terminated_by_many(gates: ModuleType) -> None:
    async with running_host() as host:

        async def client(number: int) -> None:
            for _ in range(40):
                if number % 2:
                    await host.request(
                        "POST", "orchestrators/steps/one", json.dumps([["echo", 1], ["echo", 2]])
                    )
                else:
                    await host.request("POST", "instances/one/terminate")
                await asyncio.sleep(0)

        await asyncio.gather(*(client(number) for number in range(8)))
        await host.request("POST", "instances/one/terminate")
        await host.start("steps", [["echo", 1], ["echo", 2]], "one")
        assert await host.output("one") == [1, 2]
        assert host.log.notes == []
