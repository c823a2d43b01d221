"""The engine against recordings of the wire: the same triggers, and the same events under the same ids.

For each recorded invocation the engine gets the recorded past, the new events and the SDK's reply; no user code runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dfhost.engine import history as h
from dfhost.engine.episode import Episode
from dfhost.engine.execution import Execution
from dfhost.engine.failures import Failure
from dfhost.engine.history import Event
from dfhost.engine.options import EngineOptions
from dfhost.engine.replay_result import ReplayResult
from dfhost.timestamps import parse_timestamp

from .recorded_invocations import (
    Invocation,
    JsonObject,
    aside,
    in_order,
    invocations,
    of_orchestration,
    read,
    tapes,
)

ORCHESTRATIONS = [path for path in tapes() if of_orchestration(read(path))]
COMPACT: Any = {"separators": (",", ":")}
NOTHING: Mapping[str, str] = {}
each_tape = pytest.mark.parametrize(
    "tape", ORCHESTRATIONS, ids=lambda path: f"{path.parent.name}/{path.stem}"
)


class EveryFunction:
    """The registry of an app that has every function."""

    def explain_missing(self, kind: str, name: str) -> str | None:
        return None

    def explain_disabled(self, kind: str, name: str) -> str | None:
        return None

    def suggest(self, kind: str, name: str) -> str:
        return ""

    def explain_nondeterminism(self, orchestrator: str, began: str) -> str | None:
        return None


class Sdk:
    """Answers with the recorded reply, and keeps the trigger it was given."""

    def __init__(self, reply: JsonObject) -> None:
        self.trigger = ""
        if "crash" in reply:
            kind, _, message = reply["crash"].partition(": ")
            self.reply = ReplayResult(crash=Failure(kind, message, reply["crash"], ""))
            return
        self.reply = ReplayResult(
            actions=reply["actions"][0] if reply["actions"] else [],
            is_done=reply["isDone"] and "error" not in reply,
            output=reply.get("output"),
            custom_status=reply.get("customStatus"),
            error=reply.get("error"),
        )

    def __call__(self, trigger: str, keeps_generator: bool = False) -> ReplayResult:
        self.trigger = trigger
        return self.reply


def event(recorded: JsonObject, asked: Mapping[str, str] = NOTHING) -> Event:
    """`asked`: the recorded ids of entity requests -> the engine's own."""
    name = str(recorded.get("Name"))
    return h.parse(json.dumps(recorded | ({"Name": asked[name]} if name in asked else {}), **COMPACT))


def episode(
    execution: Execution, invocation: Invocation, asked: Mapping[str, str] = NOTHING
) -> tuple[Episode, JsonObject]:
    """Run one episode: its result, and the trigger that the engine gave to the SDK."""
    sdk = Sdk(invocation.reply)
    arrived = [event(recorded, asked) for recorded in invocation.arrived]
    made = execution.run_episode(arrived, invocation.at, sdk, EveryFunction(), EngineOptions())
    trigger: JsonObject = json.loads(sdk.trigger)
    return made, trigger


def added(made: Episode, invocation: Invocation) -> list[JsonObject]:
    """The events that an episode added after those that had arrived."""
    arrived = len(invocation.history) - len(invocation.past)
    return [json.loads(one.text) for one in made.events[arrived:]]


@each_tape
def test_the_trigger_is_the_recorded_one(tape: Path) -> None:
    """From the recorded past: every key, value and order, down to what counts as played."""
    for invocation in invocations(tape):
        execution = Execution([event(recorded) for recorded in invocation.past])
        _, trigger = episode(execution, invocation)
        assert in_order(trigger) == in_order(invocation.trigger)


@each_tape
def test_an_episode_adds_the_recorded_events(tape: Path) -> None:
    """Same kinds, ids, names and fields in the same order; times and GUIDs aside."""
    for invocation in invocations(tape):
        if invocation.came_of_it is None:
            continue
        execution = Execution([event(recorded) for recorded in invocation.past])
        made, _ = episode(execution, invocation)
        assert in_order(aside(added(made, invocation))) == in_order(aside(invocation.came_of_it))


@each_tape
def test_an_incremental_replay_equals_one_from_the_start(tape: Path) -> None:
    """One execution taken through all invocations, on its own events: triggers as recorded, times and GUIDs aside.

    Into the next generation too. Where a rewind has changed the past, the execution is built again from it.
    """
    execution = Execution()
    asked: dict[str, str] = {}
    taken = invocations(tape)
    for n, invocation in enumerate(taken):
        made, trigger = episode(execution, invocation, asked)
        assert in_order(aside(trigger)) == in_order(aside(invocation.trigger))
        if n + 1 == len(taken):
            break
        if invocation.following is None:
            assert made.status == "ContinuedAsNew" and made.next_generation is not None
            execution, asked = Execution(made.next_generation.history), {}
        elif invocation.came_of_it is None:
            execution, asked = Execution([event(recorded) for recorded in taken[n + 1].past]), {}
        else:
            asked |= dict(
                zip(requests(invocation.came_of_it), requests(added(made, invocation)), strict=True)
            )


def requests(events: list[JsonObject]) -> list[str]:
    """The ids of the requests to entities: each side draws its own, and the answers carry them."""
    return [json.loads(e["Input"])["id"] for e in events if e["EventType"] == h.EVENT_SENT]


@each_tape
def test_timers_fire_at_the_recorded_times(tape: Path) -> None:
    for invocation in invocations(tape):
        if invocation.came_of_it is None:
            continue
        execution = Execution([event(recorded) for recorded in invocation.past])
        made, _ = episode(execution, invocation)
        assert fire_times(added(made, invocation)) == fire_times(invocation.came_of_it)


def fire_times(events: list[JsonObject]) -> dict[int, Any]:
    """Task id -> when, to the microsecond (.NET has one more digit)."""
    return {e["EventId"]: parse_timestamp(e["FireAt"]) for e in events if e["EventType"] == h.TIMER_CREATED}


@pytest.mark.parametrize("name", ["basics/nondeterministic", "corners/nondeterministic_name"])
def test_changed_code_fails_with_the_extensions_sentence(name: str) -> None:
    (tape,) = [path for path in ORCHESTRATIONS if f"{path.parent.name}/{path.stem}" == name]
    last = invocations(tape)[-1]
    made, _ = episode(Execution([event(recorded) for recorded in last.past]), last)
    assert made.status == "Failed"
    assert made.output is not None and made.output.startswith(
        "Non-Deterministic workflow detected: A previous execution of this orchestration scheduled an activity "
        "task with sequence number 0 named 'echo', but the current orchestration replay instead scheduled an "
        "activity task named '"
    )


# -- events by themselves ----------------------------------------------------------------------------------------
def rebuilt(e: JsonObject) -> Event:
    """The event made by the engine's own constructor from the fields that matter."""
    at = e["Timestamp"]
    kind = e["EventType"]
    if kind == h.EXECUTION_STARTED:
        parent = e["ParentInstance"]
        return h.execution_started(
            at,
            instance_id=e["OrchestrationInstance"]["InstanceId"],
            execution_id=e["OrchestrationInstance"]["ExecutionId"],
            name=e["Name"],
            version=e["Version"],
            input=e["Input"],
            parent=h.parent_instance(
                instance_id=parent["OrchestrationInstance"]["InstanceId"],
                execution_id=parent["OrchestrationInstance"]["ExecutionId"],
                name=parent["Name"],
                task_id=parent["TaskScheduleId"],
                version=parent["Version"],
            )
            if parent
            else "null",
            restart_count=e["Generation"],
        )
    made = {
        h.EXECUTION_TERMINATED: lambda: h.execution_terminated(at, e["Input"]),
        h.TASK_SCHEDULED: lambda: h.task_scheduled(at, e["EventId"], e["Name"], e["Input"]),
        h.TASK_COMPLETED: lambda: h.task_completed(at, e["TaskScheduledId"], e["Result"]),
        h.TASK_FAILED: lambda: h.task_failed(at, e["TaskScheduledId"], e["Reason"], e["Details"]),
        h.SUB_ORCHESTRATION_CREATED: lambda: h.sub_orchestration_created(
            at, e["EventId"], e["Name"], e["InstanceId"], e["Version"], e["Input"]
        ),
        h.SUB_ORCHESTRATION_COMPLETED: lambda: h.sub_orchestration_completed(
            at, e["TaskScheduledId"], e["Result"]
        ),
        h.SUB_ORCHESTRATION_FAILED: lambda: h.sub_orchestration_failed(
            at, e["TaskScheduledId"], e["Reason"], e["Details"]
        ),
        h.TIMER_CREATED: lambda: h.timer_created(at, e["EventId"], e["FireAt"]),
        h.TIMER_FIRED: lambda: h.timer_fired(at, e["TimerId"], e["FireAt"]),
        h.ORCHESTRATOR_STARTED: lambda: h.orchestrator_started(at),
        h.ORCHESTRATOR_COMPLETED: lambda: h.orchestrator_completed(at),
        h.EVENT_SENT: lambda: h.event_sent(at, e["EventId"], e["InstanceId"], e["Name"], e["Input"]),
        h.EVENT_RAISED: lambda: h.event_raised(at, e["Name"], e["Input"]),
        h.GENERIC: lambda: h.generic(at, e["Data"], e["EventId"]),
        h.SUSPENDED: lambda: h.suspended(at, e["Reason"]),
        h.RESUMED: lambda: h.resumed(at, e["Reason"]),
    }
    return made[kind]()


@each_tape
def test_each_event_has_the_recorded_form(tape: Path) -> None:
    """Every kind of event the extension put into a history, key by key."""
    for invocation in invocations(tape):
        for recorded in invocation.history:
            ours = rebuilt(recorded)
            assert in_order(json.loads(ours.text) | {"IsPlayed": recorded["IsPlayed"]}) == in_order(recorded)
            assert h.parse(ours.text) == ours
