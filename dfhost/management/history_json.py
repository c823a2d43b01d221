"""showHistory: the history events as the extension shows them.

A completion absorbs the event that scheduled it; ids and bookkeeping are left out; numbers become names.
Pure: wire events in, shown events out (DurableClient.GetDurableOrchestrationStatusAsync in the extension).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dfhost.engine import history
from dfhost.management.json_text import value
from dfhost.management.query import STATUSES

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
_BRACKETS = frozenset((history.ORCHESTRATOR_STARTED, history.ORCHESTRATOR_COMPLETED))
_SCHEDULED = frozenset((history.TASK_SCHEDULED, history.SUB_ORCHESTRATION_CREATED))
_SCHEDULED_BY = {
    history.TASK_COMPLETED: history.TASK_SCHEDULED,
    history.TASK_FAILED: history.TASK_SCHEDULED,
    history.SUB_ORCHESTRATION_COMPLETED: history.SUB_ORCHESTRATION_CREATED,
    history.SUB_ORCHESTRATION_FAILED: history.SUB_ORCHESTRATION_CREATED,
}
_WITH_RESULT = frozenset(
    (history.TASK_COMPLETED, history.SUB_ORCHESTRATION_COMPLETED, history.EXECUTION_COMPLETED)
)
_NEVER_SHOWN = frozenset(("EventId", "IsPlayed", "TaskScheduledId", "TimerId"))
# Keys of one kind of event only.
_HIDDEN = {
    history.EXECUTION_STARTED: _NEVER_SHOWN
    | {"Name", "OrchestrationInstance", "ParentInstance", "Version", "Tags"},
    history.TASK_SCHEDULED: _NEVER_SHOWN | {"Version"},
    history.SUB_ORCHESTRATION_CREATED: _NEVER_SHOWN | {"Version"},
}


def history_json(events: Iterable[dict[str, Any]], *, inputs: bool, outputs: bool) -> list[dict[str, Any]]:
    """`events` in wire form (EventType an int) -> what showHistory lists, in the same order.

    `inputs`: showInput; `outputs`: showHistoryOutput, which adds each Result as the value it stands for.
    """
    found: list[dict[str, Any] | None] = []
    scheduled: dict[tuple[int, Any], int] = {}  # (kind, EventId) -> its place in `found`
    for event in events:
        kind = event["EventType"]
        if kind in _BRACKETS:
            continue
        hidden = _HIDDEN.get(kind, _NEVER_SHOWN)
        item = {name: each for name, each in event.items() if name not in hidden}
        item["EventType"] = _NAMES[kind]
        if kind in _SCHEDULED_BY:
            place = scheduled.pop((_SCHEDULED_BY[kind], event["TaskScheduledId"]), None)
            origin = None if place is None else found[place]
            if place is not None and origin is not None:
                found[place] = None
                # The extension takes this time through the server's local one, which is UTC (recorded).
                item["ScheduledTime"] = origin["Timestamp"].removesuffix("Z") + "+00:00"
                item["FunctionName"] = origin["Name"]
                if "InstanceId" in origin:
                    item["InstanceId"] = origin["InstanceId"]
                item["Input"] = origin.get("Input")
        elif kind in _SCHEDULED:
            scheduled[kind, event["EventId"]] = len(found)
        elif kind == history.EXECUTION_STARTED:
            item["FunctionName"] = event["Name"]
        elif kind == history.EXECUTION_COMPLETED:
            item["OrchestrationStatus"] = STATUSES[event["OrchestrationStatus"]]
        if kind in _WITH_RESULT:
            if outputs:
                item["Result"] = value(event.get("Result"))
            else:
                item.pop("Result", None)
        if not inputs:
            item.pop("Input", None)
        found.append(item)
    return [item for item in found if item is not None]
