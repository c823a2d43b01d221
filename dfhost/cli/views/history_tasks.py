"""The tasks of an instance from its history, for hosts that do not answer with a timeline themselves.

In `historyEvents`, as the extension shows them, a completion stands in place of the call that it completes, and a
timer that has fired has two events. They tell neither when a call started nor which attempt it was; inputs are in
them only with `storeInputsInOrchestrationHistory`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from dfhost.cli.style import text_of
from dfhost.instance_failure import read_failure
from dfhost.timeline import model
from dfhost.timeline.model import Task
from dfhost.timeline.timeline_json import task_json

_CALLS = {"Task": model.ACTIVITY, "SubOrchestrationInstance": model.CHILD}


def tasks_of_history(events: Sequence[dict[str, Any]], ended_at: str | None) -> list[dict[str, Any]]:
    """As in the `tasks` of `?timeline=true`, in the order of scheduling. `ended_at`: the instance's end."""
    tasks: list[Task] = []
    timers: dict[str | None, deque[Task]] = {}  # that wait, by when they are due
    for event in events:
        if event["EventType"] == "TimerFired" and (waiting := timers.get(event.get("FireAt"))):
            timer = waiting.popleft()
            timer.state, timer.ended_at = model.COMPLETED, str(event["Timestamp"])
        elif task := _task(event):
            tasks.append(task)
            if task.kind == model.TIMER:
                timers.setdefault(task.due, deque()).append(task)
    tasks.sort(key=lambda task: (task.scheduled_at or "").replace("+00:00", "Z"))
    # Calls of one function are taken for one fan-out: the events do not tell episodes apart.
    calls: dict[tuple[str, str], list[Task]] = {}
    for task in tasks:
        if ended_at is not None and task.ended_at is None:
            task.state, task.ended_at = model.CANCELLED, ended_at
        if task.kind in _CALLS.values():
            calls.setdefault((task.kind, task.name), []).append(task)
    for group in calls.values():
        if len(group) > 1:
            for index, task in enumerate(group):
                task.index, task.fan_out_size = index, len(group)
    return [task_json(task) for task in tasks]


def _task(event: dict[str, Any]) -> Task | None:
    kind, at = str(event["EventType"]), str(event["Timestamp"])
    if kind == "TimerCreated":
        return Task(model.TIMER, "", model.WAITING, at, due=event.get("FireAt"))
    if kind == "TimerFired":
        return Task(model.TIMER, "", model.COMPLETED, event.get("ScheduledTime", at), ended_at=at)
    if kind == "EventRaised":
        data = _text(event.get("Input"))
        return Task(model.EVENT, event["Name"], model.COMPLETED, at, ended_at=at, input=data)
    for prefix, task_kind in _CALLS.items():
        if kind.startswith(prefix):
            return _call(task_kind, kind, event, at)
    return None


def _call(task_kind: str, kind: str, event: dict[str, Any], at: str) -> Task:
    given, child = _text(event.get("Input")), event.get("InstanceId")
    if kind.endswith(("Scheduled", "Created")):
        return Task(task_kind, event["Name"], model.RUNNING, at, input=given, instance_id=child)
    name = str(event.get("FunctionName") or "?")
    task = Task(
        task_kind, name, model.COMPLETED, event.get("ScheduledTime", at), input=given, instance_id=child
    )
    task.ended_at = at
    if kind.endswith("Failed"):
        failure = read_failure(f"{event.get('Reason')} \n {event.get('Details') or ''}").within(name)
        task.state, task.error, task.stack = model.FAILED, str(failure), failure.stack
    else:
        task.result = _text(event.get("Result"))
    return task


def _text(value: Any) -> str | None:
    return None if value is None else text_of(value)
