"""Rewinding: the history of a failed instance without its failures.

Each failure, the event that scheduled the task and the failed ExecutionCompleted become GenericEvents of the same
id and time, as in the Azure Storage provider (recorded). A failed child keeps its Created event, since it is
rewound itself and will answer again.

An instance may fail while tasks are open: its code did not fit the history, or its worker process has died. Their
results do not come any more (`open_tasks`), so such tasks begin anew, too.

A stored GenericEvent says for people what stood there, as `Rewound`: {"EventType": 6, "Name": "charge", "Reason":
"…"}. No code ever gets that, see `history.parse`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any, NamedTuple

from dfhost.engine import history as h


class OpenTasks(NamedTuple):
    """Tasks without an end, by task id. `timers`: when they are due (ISO text); `children`: their instance ids.

    Calls of entities are not among them: to send such a request again would be a second operation.
    """

    activities: Set[int]
    timers: Mapping[int, str]
    children: Mapping[int, str]


def open_tasks(texts: Iterable[str]) -> OpenTasks:
    """Those of an instance with this history. What a rewind has removed before is not among them."""
    activities: set[int] = set()
    timers: dict[int, str] = {}
    children: dict[int, str] = {}
    for event in map(json.loads, texts):
        event_type = event["EventType"]
        if event_type == h.TASK_SCHEDULED:
            activities.add(event["EventId"])
        elif event_type == h.TIMER_CREATED:
            timers[event["EventId"]] = event["FireAt"]
        elif event_type == h.SUB_ORCHESTRATION_CREATED:
            children[event["EventId"]] = event["InstanceId"]
        elif event_type == h.TIMER_FIRED:
            timers.pop(event["TimerId"], None)
        elif event_type in h.ENDING:
            activities.discard(event["TaskScheduledId"])
            children.pop(event["TaskScheduledId"], None)
    return OpenTasks(activities, timers, children)


def rewind_history(
    texts: list[str], never_end: Set[int], rewinds: Callable[[int, str], bool]
) -> tuple[list[str], list[str]]:
    """The new history, and the ids of the children to rewind.

    `never_end`: open tasks that begin anew, as those that have failed. `rewinds(task_id, child)`: whether the child
    of this task has failed, too.
    """
    events = [json.loads(text) for text in texts]
    names = {e["EventId"]: e["Name"] for e in events if e["EventType"] in h.SCHEDULING and "Name" in e}
    failed = {e["TaskScheduledId"] for e in events if e["EventType"] in h.FAILURES} | never_end
    children: list[str] = []
    for event in events:
        if event["EventType"] == h.SUB_ORCHESTRATION_CREATED and event["EventId"] in failed:
            if rewinds(event["EventId"], event["InstanceId"]):
                children.append(event["InstanceId"])
                failed.discard(event["EventId"])

    def is_removed(event: dict[str, Any]) -> bool:
        event_type = event["EventType"]
        if event_type in (h.TASK_SCHEDULED, h.SUB_ORCHESTRATION_CREATED):
            return event["EventId"] in failed
        return event_type in h.FAILURES or event_type == h.EXECUTION_COMPLETED

    return [
        _generic(event, names) if is_removed(event) else text
        for event, text in zip(events, texts, strict=True)
    ], children


def _generic(event: dict[str, Any], names: Mapping[int, str]) -> str:
    """`names`: of what was called, by task id."""
    rewound = {
        "EventType": event["EventType"],
        "Name": names.get(event.get("TaskScheduledId", event["EventId"])),
        "Reason": event.get("Reason", event.get("Result")),
    }
    kept = {key: event[key] for key in ("EventId", "IsPlayed", "Timestamp")}
    return json.dumps(
        {"Data": None, "EventType": h.GENERIC, "Rewound": rewound, **kept}, separators=(",", ":")
    )
