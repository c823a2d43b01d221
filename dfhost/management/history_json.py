"""showHistory: the history events as the extension shows them.

A completion replaces the event that scheduled it, ids are left out, and numbers become names. Pure: wire events
in, JSON values out. Source: the extension's DurableClient.GetDurableOrchestrationStatusAsync.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from dfhost.engine import history
from dfhost.management import json_text
from dfhost.runtime_status import RUNTIME_STATUSES

# DurableTask.Core's EventType, by number.
_NAMES = (
    "ExecutionStarted",
    "ExecutionCompleted",
    "ExecutionFailed",
    "ExecutionTerminated",
    "TaskScheduled",
    "TaskCompleted",
    "TaskFailed",
    "SubOrchestrationInstanceCreated",
    "SubOrchestrationInstanceCompleted",
    "SubOrchestrationInstanceFailed",
    "TimerCreated",
    "TimerFired",
    "OrchestratorStarted",
    "OrchestratorCompleted",
    "EventSent",
    "EventRaised",
    "ContinueAsNew",
    "GenericEvent",
    "HistoryState",
    "ExecutionSuspended",
    "ExecutionResumed",
    "ExecutionRewound",
)
_EPISODE_BOUNDS = frozenset((history.ORCHESTRATOR_STARTED, history.ORCHESTRATOR_COMPLETED))
_SCHEDULING = frozenset((history.TASK_SCHEDULED, history.SUB_ORCHESTRATION_CREATED))
_SCHEDULED_BY = {
    history.TASK_COMPLETED: history.TASK_SCHEDULED,
    history.TASK_FAILED: history.TASK_SCHEDULED,
    history.SUB_ORCHESTRATION_COMPLETED: history.SUB_ORCHESTRATION_CREATED,
    history.SUB_ORCHESTRATION_FAILED: history.SUB_ORCHESTRATION_CREATED,
}
_WITH_RESULT = frozenset(
    (history.TASK_COMPLETED, history.SUB_ORCHESTRATION_COMPLETED, history.EXECUTION_COMPLETED)
)
_ALWAYS_HIDDEN = frozenset(("EventId", "IsPlayed", "TaskScheduledId", "TimerId"))
# By kind of event, where more is hidden.
_HIDDEN = {
    history.EXECUTION_COMPLETED: _ALWAYS_HIDDEN | {"Cause", "Traceback"},
    history.EXECUTION_STARTED: _ALWAYS_HIDDEN
    | {"Name", "OrchestrationInstance", "ParentInstance", "Version", "Tags"},
    history.TASK_SCHEDULED: _ALWAYS_HIDDEN | {"Version"},
    history.SUB_ORCHESTRATION_CREATED: _ALWAYS_HIDDEN | {"Version"},
    history.GENERIC: _ALWAYS_HIDDEN | {"Rewound"},
}


class ShownHistory(NamedTuple):
    """`events`: as showHistory lists them. `episodes`: each `{"timestamp": when it ran, "events": how many it has}`.

    Events that no episode has processed come last, and are in none.
    """

    events: list[dict[str, Any]]
    episodes: list[dict[str, Any]]


def history_json(
    events: Iterable[dict[str, Any]], *, inputs: bool, outputs: bool, rewound: bool = False
) -> ShownHistory:
    """`events` in wire form (EventType an int) -> what showHistory lists, in the same order.

    `inputs`: showInput. `outputs`: showHistoryOutput, which adds each Result, decoded. `rewound`: GenericEvents in
    the place of a failure say what that was.
    """
    shown: list[dict[str, Any] | None] = []
    scheduled: dict[tuple[int, Any], int] = {}  # (kind, EventId) -> index in `shown`
    episodes: list[
        tuple[str, int, int]
    ] = []  # when it began, the first of its events in `shown`, and the end
    for event in events:
        kind = event["EventType"]
        if kind == history.ORCHESTRATOR_STARTED:
            episodes.append((event["Timestamp"], len(shown), len(shown)))
        if kind == history.ORCHESTRATOR_COMPLETED and episodes:
            episodes[-1] = (*episodes[-1][:2], len(shown))
        if kind in _EPISODE_BOUNDS:
            continue
        hidden = _HIDDEN.get(kind, _ALWAYS_HIDDEN)
        item = {key: value for key, value in event.items() if key not in hidden}
        item["EventType"] = _NAMES[kind]
        if kind in _SCHEDULED_BY:
            index = scheduled.pop((_SCHEDULED_BY[kind], event["TaskScheduledId"]), None)
            scheduling = None if index is None else shown[index]
            if index is not None and scheduling is not None:
                shown[index] = None
                # The extension writes this time with the offset of the server's zone, which is UTC (recorded).
                item["ScheduledTime"] = scheduling["Timestamp"].removesuffix("Z") + "+00:00"
                item["FunctionName"] = scheduling["Name"]
                if "InstanceId" in scheduling:
                    item["InstanceId"] = scheduling["InstanceId"]
                item["Input"] = scheduling.get("Input")
        elif kind in _SCHEDULING:
            scheduled[kind, event["EventId"]] = len(shown)
        elif rewound and "Rewound" in event:
            before = event["Rewound"]
            item["Rewound"] = {
                "EventType": _NAMES[before["EventType"]],
                "FunctionName": before["Name"],
                "Reason": before["Reason"],
            }
        elif kind == history.EXECUTION_STARTED:
            item["FunctionName"] = event["Name"]
        elif kind == history.EXECUTION_COMPLETED:
            item["OrchestrationStatus"] = RUNTIME_STATUSES[event["OrchestrationStatus"]]
        if kind in _WITH_RESULT:
            if outputs:
                item["Result"] = json_text.value(event.get("Result"))
            else:
                item.pop("Result", None)
        if not inputs:
            item.pop("Input", None)
        shown.append(item)
    return ShownHistory(
        [item for item in shown if item is not None],
        [
            {"timestamp": at, "events": sum(item is not None for item in shown[start:end])}
            for at, start, end in episodes
        ],
    )
