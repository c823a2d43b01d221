"""Replays a history without the ids of tasks, as the management API shows it.

The code is run step by step, and each recorded result is given to the task that it belongs to by kind and name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from dfhost.engine import history as h
from dfhost.engine.episode import Episode
from dfhost.engine.execution import Execution
from dfhost.engine.history import Event
from dfhost.engine.nondeterminism import NonDeterminismError
from dfhost.engine.replay_result import ReplayResult
from dfhost.testing.episode_times import ENDS, LAST, STARTS, EpisodeTimes, Key, task_key, utc
from dfhost.testing.replay_with_ids import OPTIONS, Json, awaited_action

__tracebackhide__ = True  # pytest shows errors at the line of the test

_KINDS = {
    h.TASK_SCHEDULED: "activity",
    h.SUB_ORCHESTRATION_CREATED: "sub-orchestrator",
    h.TIMER_CREATED: "timer",
    h.EVENT_SENT: "entity operation",
}


@dataclass(eq=False, slots=True)
class _Task:
    """What today's code has started. `is_recorded`: the history has it, too."""

    kind: str
    id: int
    name: str
    target: str  # the child's or the entity's id; of a timer, when it is due
    request_id: str
    episode: int
    place: int = 0  # among the tasks of its key, from 0
    is_recorded: bool = False

    @property
    def key(self) -> Key:
        return task_key(self.kind, self.name, self.target)


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


def replay_without_ids(
    saved: Mapping[str, Any], events: Sequence[Json], name: str, replay: Callable[[str, bool], ReplayResult]
) -> None:
    """NonDeterminismError if today's code does not fit the history.

    The history of a host that does not tell its episodes must fit in neither of two ways in which its arrivals may
    have shared them.
    """
    if "episodes" in saved:
        return _Replay(saved, replay, name, events, EpisodeTimes(events, shared=False)).run()
    try:
        _Replay(saved, replay, name, events, EpisodeTimes(events, shared=False)).run()
    except NonDeterminismError:
        with suppress(NonDeterminismError):
            return _Replay(saved, replay, name, events, EpisodeTimes(events, shared=True)).run()
        raise


class _Replay:
    def __init__(
        self,
        saved: Mapping[str, Any],
        replay: Callable[[str, bool], ReplayResult],
        name: str,
        events: Sequence[Json],
        times: EpisodeTimes,
    ) -> None:
        self._saved = saved
        self._events = events
        self._name = name
        self._replay = replay
        self._execution = Execution()
        self._tasks: list[_Task] = []
        self._episode = 0
        self._at = ""  # of the last episode
        self._has_ended = False
        self._times = times
        self._counts: dict[Key, int] = {}  # of the tasks that today's code has started
        self._request_ids: dict[str, str] = {}  # recorded -> today's

    def run(self) -> None:
        first = self._events[0]
        if first["EventType"] != "ExecutionStarted":
            raise ValueError("The history does not begin with ExecutionStarted.")
        started = h.execution_started(
            first["Timestamp"],
            instance_id=str(self._saved.get("instanceId") or "replayed"),
            execution_id="replayed",
            name=self._name,
            version=self._saved.get("version"),
            input=self._input(first),
        )
        if "episodes" in self._saved:
            self._run_recorded(started)
        else:
            self._go_on(started, 0)
            for index in range(1, len(self._events)):
                if arrived := self._arrived(self._events[index]):
                    self._go_on(arrived, index)
        self._check_rest()

    def _run_recorded(self, started: Event) -> None:
        """Run the episodes that the history names. What has come since is in none of them."""
        events = iter(self._events)
        try:
            recorded = [
                (str(each["timestamp"]), list(islice(events, each["events"])))
                for each in self._saved["episodes"]
            ]
        except (TypeError, KeyError, ValueError):
            raise ValueError("The history has 'episodes' that cannot be read.") from None
        for self._at, group in recorded:
            scheduled = [event for event in group if event["EventType"] in (*STARTS, *LAST)]
            arrivals = [event for event in group if event["EventType"] not in (*STARTS, *LAST)]
            found = [started if event is self._events[0] else self._arrived(event) for event in arrivals]
            if arrived := [event for event in found if event is not None]:
                self._add(self._run(arrived))
            for event in scheduled:
                self._arrived(event)

    def _input(self, started: Json) -> str | None:
        """The input as text; the status has it as a value."""
        if "Input" in started:
            text: str | None = started["Input"]
            return text
        value = self._saved.get("input")
        return None if value is None else json.dumps(value)

    def _arrived(self, event: Json) -> Event | None:
        """The event for today's code; None for one that an episode has recorded, which is compared."""
        kind, at = str(event["EventType"]), event["Timestamp"]
        if kind in STARTS:
            self._find(STARTS[kind], event, "starts")
        elif kind in LAST:
            if kind != "ExecutionTerminated" and not (self._has_ended or _was_ended(event)):
                raise NonDeterminismError(
                    f"the recorded instance has ended at {at}, today's code waits for {self._waits()}."
                )
        elif self._has_ended:
            raise NonDeterminismError(
                f"today's code has ended, the history goes on with {_described(event)} at {at}."
            )
        else:
            return self._arrival(kind, event, at)
        return None

    def _arrival(self, kind: str, event: Json, at: str) -> Event | None:
        if kind == "EventRaised":
            name = self._request_ids.get(event["Name"]) or event["Name"]
            return h.event_raised(at, str(name), str(event.get("Input") or "null"))
        if kind == "ExecutionSuspended":
            return h.suspended(at, event.get("Reason"))
        if kind == "ExecutionResumed":
            return h.resumed(at, event.get("Reason"))
        if kind not in ENDS:
            return None  # what the platform notes for itself
        task = self._find(ENDS[kind], event, "has")
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
        same_place = next((task for task in candidates if task.place == self._times.place(event)), None)
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

    def _go_on(self, arrived: Event, index: int) -> None:
        """Run the episode of an arrival, at the time at which what it starts was scheduled."""
        past = list(self._execution.past)
        earliest = max(self._at, utc(self._events[index]["Timestamp"]))
        self._at = self._times.of_arrival(index, earliest, self._counts)
        episodes = self._run([arrived])
        right = self._right_time(episodes)
        if right != self._at:
            self._at, self._execution = right, Execution(past)
            episodes = self._run([arrived])
        self._add(episodes)

    def _add(self, episodes: Sequence[Episode]) -> None:
        """Remember what they have started."""
        for episode in episodes:
            self._episode += 1
            for event in episode.events:
                if event.event_type in h.SCHEDULING:
                    task = _task(event, self._episode)
                    task.place = self._counts.get(task.key, 0)
                    self._counts[task.key] = task.place + 1
                    self._tasks.append(task)
            self._has_ended = episode.ends_instance or episode.next_generation is not None

    def _run(self, arrived: Sequence[Event]) -> list[Episode]:
        """More than one if the code starts more than one may record."""
        episodes: list[Episode] = []
        while not episodes or episodes[-1].has_more_commands:
            new = () if episodes else arrived
            episode = self._execution.run_episode(new, self._at, self._replay, _AnyFunction(), OPTIONS)
            crashed = self._execution.result is None and episode.status == "Failed"
            if crashed and not _was_ended(self._events[-1]):  # else perhaps by the same crash
                raise NonDeterminismError(f"today's code cannot be replayed: {episode.output}")
            episodes.append(episode)
        return episodes

    def _right_time(self, episodes: Sequence[Episode]) -> str:
        """When the history has scheduled the first of what was started; if it has not: when it schedules next.

        The present time if that is right, or if the history knows of no later one.
        """
        counts = dict(self._counts)
        found = []
        for episode in episodes:
            for event in episode.events:
                if event.event_type in h.SCHEDULING:
                    key = _task(event, 0).key
                    found.append(self._times.scheduled(key, counts.get(key, 0)))
                    counts[key] = counts.get(key, 0) + 1
        if None in found:
            return self._times.next_scheduled(self._at, self._counts) or self._at
        return max(self._at, min(filter(None, found), default=self._at))

    def _waits(self) -> str:
        return awaited_action(self._execution.interpreter, self._execution.result or ReplayResult())

    def _check_rest(self) -> None:
        """What was started before the last episode must be in the history, or later ids do not fit."""
        for task in self._tasks:
            if not task.is_recorded and task.episode < self._episode:
                what = f"the {task.kind} {task.name or task.target}"
                raise NonDeterminismError(
                    f"today's code has started {what}, which the history does not have."
                )


def _task(event: Event, episode: int) -> _Task:
    data = json.loads(event.text)
    request = json.loads(data["Input"]) if event.event_type == h.EVENT_SENT else {}
    return _Task(
        _KINDS[event.event_type],
        event.key,
        event.name or "",
        str(data.get("InstanceId") or data.get("FireAt") or ""),
        str(request.get("id", "")),
        episode,
    )


def _was_ended(event: Json) -> bool:
    """Whether it may have been the host that has ended the instance, and not its code."""
    return event.get("OrchestrationStatus") in ("Failed", "Terminated")


def _described(event: Json) -> str:
    kind = str(event["EventType"])
    name = event.get("FunctionName") or event.get("Name") or event.get("FireAt") or ""
    if kind in ENDS:
        return f"the end of {ENDS[kind]} {name}"
    return f"{STARTS[kind]} {name}" if kind in STARTS else f"{kind} {name}".strip()
