"""When the episodes of a history without ids ran, if it does not say so itself, as the real host's does not.

Such a history has no OrchestratorStarted. Its arrivals have the time at which they were sent, and an episode may
run long after that: results queue. But what an episode schedules or records has the episode's own time.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

ENDS = {
    "TaskCompleted": "activity",
    "TaskFailed": "activity",
    "SubOrchestrationInstanceCompleted": "sub-orchestrator",
    "SubOrchestrationInstanceFailed": "sub-orchestrator",
    "TimerFired": "timer",
}
STARTS = {
    "TaskScheduled": "activity",
    "SubOrchestrationInstanceCreated": "sub-orchestrator",
    "TimerCreated": "timer",
    "EventSent": "entity operation",
}
LAST = ("ExecutionCompleted", "ExecutionFailed", "ExecutionTerminated", "ContinueAsNew")
_RECORDED = frozenset((*STARTS, "ExecutionCompleted", "ExecutionFailed", "ContinueAsNew"))
_ARRIVALS = frozenset((*ENDS, "ExecutionStarted", "EventRaised", "ExecutionSuspended", "ExecutionResumed"))
_TIMESTAMP = re.compile(r"([^.Z+]{19})(?:\.(\d{1,7}))?(?:Z|([+-])(\d\d):(\d\d))?")

Json = Mapping[str, Any]
#: Of a task: its kind, and its name or, of an operation, its entity.
Key = tuple[str, str]


class EpisodeTimes:
    """`shared`: all arrivals since the last record share the episode of the next one; else only the last does.

    A history does not tell which it was.
    """

    def __init__(self, events: Sequence[Json], shared: bool) -> None:
        self._shared = shared
        self._times: dict[Key, list[str]] = {}
        self._places: dict[int, int] = {}
        found: dict[Key, list[tuple[str, int]]] = {}
        for event in events:
            kind = event["EventType"]
            if kind in STARTS or (kind in ENDS and kind != "TimerFired"):
                at = utc(event.get("ScheduledTime") or event["Timestamp"])
                found.setdefault(_key(event), []).append((at, id(event)))
        for key, group in found.items():
            group.sort(key=lambda each: each[0])
            self._times[key] = [at for at, _ in group]
            self._places.update((event, place) for place, (_, event) in enumerate(group))
        # By place in the history: the next event that is an arrival, or that an episode has recorded.
        self._next: list[Json | None] = []
        following: Json | None = None
        for event in reversed(events):
            self._next.append(following)
            if event["EventType"] in _ARRIVALS or event["EventType"] in _RECORDED:
                following = event
        self._next.reverse()

    def place(self, event: Json) -> int | None:
        """The place of a call among those of its kind and name.

        Without ids, the times of scheduling tell calls of one function apart that ran at the same time.
        """
        return self._places.get(id(event))

    def scheduled(self, key: Key, place: int) -> str | None:
        """When the task with this place among those of its key was scheduled; None if the history has none."""
        times = self._times.get(key, [])
        return times[place] if place < len(times) else None

    def of_arrival(self, index: int, earliest: str, started: Mapping[Key, int]) -> str:
        """When the episode ran that the arrival `index` belongs to: not before `earliest`.

        `started`: how many tasks of each key today's code has started.
        """
        following = self._next[index]
        scheduled = self.next_scheduled(earliest, started)
        if following is None:
            return scheduled or earliest
        at = utc(following["Timestamp"])
        if following["EventType"] in _RECORDED:
            return max(earliest, min(at, scheduled or at))
        return scheduled if scheduled is not None and (self._shared or scheduled <= at) else earliest

    def next_scheduled(self, earliest: str, started: Mapping[Key, int]) -> str | None:
        """The first time, not before `earliest`, at which the history schedules more than has been started."""
        found = None
        for key, times in self._times.items():
            at = bisect_left(times, earliest, min(started.get(key, 0), len(times)))
            if at < len(times) and (found is None or times[at] < found):
                found = times[at]
        return found


def task_key(kind: str, name: str, target: str) -> Key:
    return kind, {"timer": "", "entity operation": target}.get(kind, name).lower()


def utc(text: str) -> str:
    """A timestamp of a history with seven digits and Z, so that texts compare as times do.

    The extension writes ScheduledTime with the offset of its server's zone.
    """
    parts = _TIMESTAMP.fullmatch(text)
    if parts is None:
        raise ValueError(f"The history has the timestamp {text!r}, which cannot be read.")
    seconds, fraction, sign, hours, minutes = parts.groups()
    if sign:
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        at = datetime.fromisoformat(seconds)
        seconds = (at - offset if sign == "+" else at + offset).isoformat()
    return f"{seconds}.{(fraction or '').ljust(7, '0')}Z"


def _key(event: Json) -> Key:
    kind = str(event["EventType"])
    name = str(event.get("FunctionName") or event.get("Name") or "")
    return task_key(STARTS.get(kind) or ENDS[kind], name, str(event.get("InstanceId") or ""))
