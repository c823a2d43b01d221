"""The tasks of an instance from its history, for hosts that do not answer with a timeline themselves.

In `historyEvents`, as the extension shows them, a completion stands in place of what it completes. They tell neither
when a call started nor which attempt it was.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from dfhost.instance_failure import read_failure

Json = dict[str, Any]

_KINDS = {"Task": "activity", "SubOrchestrationInstance": "subOrchestration"}
_BRIEF = 60  # characters


def tasks_of_history(events: Sequence[Json], ended: bool) -> list[Json]:
    """As in the `tasks` of `?timeline=true`, in the order of scheduling. `ended`: whether the instance has."""
    tasks = [task for task in map(_task, events) if task]
    for task in tasks:
        if ended and "endedTime" not in task:
            task["state"] = "cancelled"
    tasks.sort(key=lambda task: str(task["scheduledTime"]).replace("+00:00", "Z"))
    # Calls of one function are taken for one fan-out: the events do not tell episodes apart.
    calls = Counter((task["kind"], task["name"]) for task in tasks if task["kind"] in _KINDS.values())
    seen: Counter[tuple[str, str]] = Counter()
    for task in tasks:
        key = task["kind"], task["name"]
        place = ""
        if calls[key] > 1:
            task["index"], task["fanOutSize"] = seen[key], calls[key]
            place = f"[{seen[key]}]"
            seen[key] += 1
        parts = (task["name"] or task["kind"], place, brief(task.get("input")))
        task["label"] = " ".join(filter(None, parts))
    return tasks


def _task(event: Json) -> Json | None:
    kind, at = str(event["EventType"]), event["Timestamp"]
    if kind in ("TimerCreated", "TimerFired"):
        state, ended = ("completed", at) if kind == "TimerFired" else ("waiting", None)
        return _present(
            kind="timer", name="", state=state, scheduledTime=at, endedTime=ended, due=event.get("FireAt")
        )
    if kind == "EventRaised":
        name, data = event["Name"], _text(event.get("Input"))
        return _present(
            kind="event", name=name, state="completed", scheduledTime=at, endedTime=at, input=data
        )
    for begin, task_kind in _KINDS.items():
        if not kind.startswith(begin):
            continue
        is_open = kind.endswith(("Scheduled", "Created"))
        name = str(event.get("Name" if is_open else "FunctionName") or "?")
        task = {"kind": task_kind, "name": name, "input": _text(event.get("Input"))}
        task["instanceId"] = event.get("InstanceId")
        if is_open:
            return _present(**task, state="running", scheduledTime=at)
        task |= {"scheduledTime": event.get("ScheduledTime", at), "endedTime": at}
        if kind.endswith("Failed"):
            failure = read_failure(f"{event.get('Reason')} \n {event.get('Details') or ''}").within(name)
            return _present(**task, state="failed", error=str(failure), stack=failure.stack or None)
        return _present(**task, state="completed", result=_text(event.get("Result")))
    return None


def brief(text: str | None) -> str:
    """The beginning of a payload in one line; "" for none, and for null."""
    line = " ".join((text or "").split())
    if line == "null":
        return ""
    return line if len(line) <= _BRIEF else line[: _BRIEF - 1] + "…"


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _present(**values: Any) -> Json:
    return {name: value for name, value in values.items() if value is not None}
