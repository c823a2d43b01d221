"""Reads the history of an execution that has failed: the cause that it records, or the child that it has failed with.

Only the events that matter are parsed, since a history may hold megabytes. The cause of a child is in the child's own
history: `store/causes.py` follows the children.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from dfhost.engine import history as h

_LAST = 2  # the last events of a history: ExecutionCompleted and OrchestratorCompleted


class FailedChild(NamedTuple):
    name: str
    instance_id: str


def recorded_cause(texts: Sequence[str]) -> tuple[str | None, str]:
    """The cause and the traceback with which the execution has ended; None and "" if its end records none."""
    for text in _texts_of(h.EXECUTION_COMPLETED, texts[-_LAST:]):
        end = json.loads(text)
        return end.get("Cause"), end.get("Traceback") or ""
    return None, ""


def failed_child(texts: Sequence[str], words: str) -> FailedChild | None:
    """The child because of which the execution has failed; None if there is no such child.

    `words`: what the child's failure and the result of the execution have in them.
    """
    ends = [text for text in _texts_of(h.EXECUTION_COMPLETED, texts[-_LAST:]) if words in text]
    if not ends:
        return None
    result = json.loads(ends[0])["Result"] or ""
    for text in _texts_of(h.SUB_ORCHESTRATION_FAILED, reversed(texts)):
        if words in text and (failed := json.loads(text))["Reason"] in result:
            return _child(texts, failed["TaskScheduledId"])
    return None


def _child(texts: Sequence[str], task_id: int) -> FailedChild | None:
    created = map(json.loads, _texts_of(h.SUB_ORCHESTRATION_CREATED, texts))
    return next((FailedChild(e["Name"], e["InstanceId"]) for e in created if e["EventId"] == task_id), None)


def _texts_of(event_type: int, texts: Iterable[str]) -> Iterator[str]:
    prefix = h.prefix_of(event_type)
    return (text for text in texts if text.startswith(prefix))
