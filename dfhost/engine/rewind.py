"""Rewinding: the history of a failed instance without its failures.

Each failure, the event that scheduled the task and the failed ExecutionCompleted become GenericEvents of the same
id and time, as in the Azure Storage provider (recorded). A failed child keeps its Created event, since it is
rewound itself and will answer again.

A stored GenericEvent says for people what stood there, as `Rewound`: {"EventType": 6, "Name": "charge", "Reason":
"…"}. No code ever gets that, see `history.parse`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from dfhost.engine import history as h


def rewind_history(texts: list[str], rewinds: Callable[[str], bool]) -> tuple[list[str], list[str]]:
    """The new history, and the ids of the children to rewind. `rewinds(child)`: whether that has failed, too."""
    events = [json.loads(text) for text in texts]
    names = {e["EventId"]: e["Name"] for e in events if e["EventType"] in h.SCHEDULING and "Name" in e}
    failed = {e["TaskScheduledId"] for e in events if e["EventType"] in h.FAILURES}
    children: list[str] = []
    for event in events:
        if event["EventType"] == h.SUB_ORCHESTRATION_CREATED and event["EventId"] in failed:
            if rewinds(event["InstanceId"]):
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
