"""Replays a history without the ids of tasks, as the management API shows it.

The code is run step by step, and each recorded result is given to the task that it belongs to by kind and name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dfhost.engine import history as h
from dfhost.engine.execution import Execution
from dfhost.engine.history import Event
from dfhost.engine.nondeterminism import NonDeterminismError
from dfhost.engine.replay_result import ReplayResult
from dfhost.testing.replay_with_ids import OPTIONS, Json, awaited_action

_ENDS = {
    "TaskCompleted": "activity",
    "TaskFailed": "activity",
    "SubOrchestrationInstanceCompleted": "sub-orchestrator",
    "SubOrchestrationInstanceFailed": "sub-orchestrator",
    "TimerFired": "timer",
}
_STARTS = {
    h.TASK_SCHEDULED: "activity",
    h.SUB_ORCHESTRATION_CREATED: "sub-orchestrator",
    h.TIMER_CREATED: "timer",
    h.EVENT_SENT: "entity operation",
}
_START_NAMES = {
    "TaskScheduled": "activity",
    "SubOrchestrationInstanceCreated": "sub-orchestrator",
    "TimerCreated": "timer",
    "EventSent": "entity operation",
}
_LAST = ("ExecutionCompleted", "ExecutionFailed", "ExecutionTerminated", "ContinueAsNew")


@dataclass(eq=False, slots=True)
class _Task:
    """What today's code has started. `is_recorded`: the history has it, too."""

    kind: str
    id: int
    name: str
    target: str  # the child's or the entity's id; of a timer, when it is due
    request_id: str
    episode: int
    place: int  # among the tasks of its kind and name, from 0
    is_recorded: bool = False


class _AnyFunction:
    """A registry in which every function exists: that is not what is tested."""

    def explain_missing(self, kind: str, name: str) -> str | None:
        return None

    def explain_disabled(self, kind: str, name: str) -> str | None:
        return None

    def suggest(self, kind: str, name: str) -> str:
        return ""

    def explain_nondeterminism(self, orchestrator: str, began: str) -> str | None:
        return None


class ReplayWithoutIds:
    def __init__(
        self,
        saved: Mapping[str, Any],
        events: Sequence[Json],
        name: str,
        replay: Callable[[str, bool], ReplayResult],
    ) -> None:
        self._saved = saved
        self._events = events
        self._name = name
        self._replay = replay
        self._execution = Execution()
        self._tasks: list[_Task] = []
        self._episode = 0
        self._has_ended = False
        self._places = _places(events)
        self._counts: dict[tuple[str, str], int] = {}
        self._request_ids: dict[str, str] = {}  # recorded -> today's

    def run(self) -> None:
        first, *others = self._events
        if first["EventType"] != "ExecutionStarted":
            raise ValueError("The history does not begin with ExecutionStarted.")
        at = first["Timestamp"]
        started = h.execution_started(
            at,
            instance_id=str(self._saved.get("instanceId") or "replayed"),
            execution_id="replayed",
            name=self._name,
            version=self._saved.get("version"),
            input=self._input(first),
        )
        self._go_on([started], at)
        for event in others:
            self._take(event)
        self._check_rest()

    def _input(self, started: Json) -> str | None:
        """The input as text; the status has it as a value."""
        if "Input" in started:
            text: str | None = started["Input"]
            return text
        value = self._saved.get("input")
        return None if value is None else json.dumps(value)

    def _take(self, event: Json) -> None:
        kind, at = str(event["EventType"]), event["Timestamp"]
        if kind in _START_NAMES:
            self._find(_START_NAMES[kind], event, "starts")
        elif kind in _LAST:
            if kind != "ExecutionTerminated" and not self._has_ended:
                raise NonDeterminismError(
                    f"the recorded instance has ended at {at}, today's code waits for {self._waits()}."
                )
        elif self._has_ended:
            raise NonDeterminismError(
                f"today's code has ended, the history goes on with {_described(event)} at {at}."
            )
        elif arrived := self._arrival(kind, event, at):
            self._go_on([arrived], at)

    def _arrival(self, kind: str, event: Json, at: str) -> Event | None:
        if kind == "EventRaised":
            name = self._request_ids.get(event["Name"]) or event["Name"]
            return h.event_raised(at, str(name), str(event.get("Input") or "null"))
        if kind == "ExecutionSuspended":
            return h.suspended(at, event.get("Reason"))
        if kind == "ExecutionResumed":
            return h.resumed(at, event.get("Reason"))
        if kind not in _ENDS:
            return None  # what the platform notes for itself
        task = self._find(_ENDS[kind], event, "has")
        if kind == "TimerFired":
            return h.timer_fired(at, task.id, task.target)
        if kind.endswith("Failed"):
            failed = h.task_failed if kind == "TaskFailed" else h.sub_orchestration_failed
            return failed(at, task.id, event.get("Reason") or "", event.get("Details"))
        if "Result" not in event:
            raise ValueError("The history has no results: save it with showHistoryOutput=true as well.")
        completed = h.task_completed if kind == "TaskCompleted" else h.sub_orchestration_completed
        return completed(at, task.id, json.dumps(event["Result"]))

    def _find(self, kind: str, event: Json, verb: str) -> _Task:
        """The task of today's code that the event is about."""
        name = str(event.get("FunctionName") or event.get("Name") or "")
        ends = verb == "has"
        open_tasks = [
            task
            for task in self._tasks
            if task.kind == kind
            and (kind in ("timer", "entity operation") or task.name.lower() == name.lower())
        ]
        # A timer is recorded when it is created, too; everything else once, when it ends or while it is open.
        candidates = [task for task in open_tasks if task.is_recorded == (ends and kind == "timer")]
        target = event.get("InstanceId") or event.get("FireAt")
        same_place = next((task for task in candidates if task.place == self._places.get(id(event))), None)
        same_target = next((task for task in candidates if task.target == target), None)
        task = same_target or same_place or (candidates[0] if candidates else None)
        if task is None:
            raise NonDeterminismError(
                f"the history {verb} {_described(event)} at {event['Timestamp']}, today's code "
                + ("has ended." if self._has_ended else f"waits for {self._waits()}.")
            )
        if ends and kind == "timer":
            self._tasks.remove(task)
        task.is_recorded = True
        if kind == "entity operation" and event.get("Input"):
            self._request_ids[json.loads(event["Input"]).get("id", "")] = task.request_id
        return task

    def _go_on(self, arrived: list[Event], at: str) -> None:
        while True:
            self._episode += 1
            episode = self._execution.run_episode(arrived, at, self._replay, _AnyFunction(), OPTIONS)
            for event in episode.events:
                if event.event_type in h.SCHEDULING:
                    key = (_STARTS[event.event_type], (event.name or "").lower())
                    place = self._counts[key] = self._counts.get(key, -1) + 1
                    self._tasks.append(_task(event, self._episode, place))
            self._has_ended = episode.ends_instance or episode.next_generation is not None
            if self._execution.result is None and episode.status == "Failed":
                raise NonDeterminismError(f"today's code cannot be replayed: {episode.output}")
            if not episode.has_more_commands:
                return
            arrived = []

    def _waits(self) -> str:
        return awaited_action(self._execution.interpreter)

    def _check_rest(self) -> None:
        """What was started before the last episode must be in the history, or later ids do not fit."""
        for task in self._tasks:
            if not task.is_recorded and task.episode < self._episode:
                what = f"the {task.kind} {task.name or task.target}"
                raise NonDeterminismError(
                    f"today's code has started {what}, which the history does not have."
                )


def _places(events: Sequence[Json]) -> dict[int, int]:
    """By the id() of each event about a call: the call's place among those of its kind and name.

    Without ids, the times of scheduling tell calls of one function apart that ran at the same time.
    """
    found: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for event in events:
        kind = _ENDS.get(event["EventType"]) or _START_NAMES.get(event["EventType"])
        if kind in ("activity", "sub-orchestrator"):
            name = str(event.get("FunctionName") or event.get("Name") or "").lower()
            at = str(event.get("ScheduledTime") or event["Timestamp"]).replace("+00:00", "").rstrip("Z")
            found.setdefault((kind, name), []).append((at, id(event)))
    return {
        key: place
        for group in found.values()
        for place, (_, key) in enumerate(sorted(group, key=lambda each: each[0]))
    }


def _task(event: Event, episode: int, place: int) -> _Task:
    data = json.loads(event.text)
    request = json.loads(data["Input"]) if event.event_type == h.EVENT_SENT else {}
    return _Task(
        _STARTS[event.event_type],
        event.key,
        event.name or "",
        str(data.get("InstanceId") or data.get("FireAt") or ""),
        str(request.get("id", "")),
        episode,
        place,
    )


def _described(event: Json) -> str:
    kind = str(event["EventType"])
    name = event.get("FunctionName") or event.get("Name") or event.get("FireAt") or ""
    if kind in _ENDS:
        return f"the end of {_ENDS[kind]} {name}"
    return f"{_START_NAMES[kind]} {name}" if kind in _START_NAMES else f"{kind} {name}".strip()
