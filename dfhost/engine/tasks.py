"""The tasks behind an action list, as a tree, and the commands that start them.

`ActionInterpreter` builds the tree and issues the commands; `CommandRecorder` turns each command into a history
event and work. These are plain values: when a task starts or ends is the interpreter's decision.
"""

from __future__ import annotations

from typing import NamedTuple

from dfhost.engine import actions as act
from dfhost.engine import history as h
from dfhost.engine.actions import Action


class SingleTask:
    """One action that is not a compound, started or not."""

    __slots__ = (
        "action",
        "action_type",
        "attempt",
        "awaits_retry_timer",
        "done",
        "first_id",
        "parent",
        "waiting_since",
    )

    def __init__(self, action: Action, parent: CompoundTask | None) -> None:
        self.action = action
        self.action_type: int = action["actionType"]
        self.parent = parent
        self.done = False
        self.first_id = -1  # the id it started under; the SDK knows a retried call by it
        self.attempt = 1
        self.awaits_retry_timer = False  # else, it waits for an attempt
        # Of a wait for an external event: the ORCHESTRATOR_STARTED of the episode that asked for it.
        self.waiting_since = ""

    @property
    def max_attempts(self) -> int:
        return int(self.action["retryOptions"]["maxNumberOfAttempts"])

    @property
    def retry_after(self) -> float | None:
        """Seconds from a failure of the present attempt to the next one; None if it is the last."""
        milliseconds: float = self.action["retryOptions"]["firstRetryIntervalInMilliseconds"]
        return None if self.is_last_attempt else milliseconds / 1000

    @property
    def is_last_attempt(self) -> bool:
        return bool(self.attempt >= self.action["retryOptions"]["maxNumberOfAttempts"])


class CompoundTask:
    """A task_all or task_any."""

    __slots__ = ("action", "children", "done", "is_any", "parent", "remaining")

    def __init__(self, action: Action, parent: CompoundTask | None) -> None:
        self.action = action
        self.is_any = action["actionType"] == act.WHEN_ANY
        self.parent = parent
        self.children: list[TaskNode] = [task_node(child, self) for child in action["compoundActions"]]
        self.remaining = len(self.children)
        self.done = not self.children


TaskNode = SingleTask | CompoundTask


def task_node(action: Action, parent: CompoundTask | None = None) -> TaskNode:
    return (
        CompoundTask(action, parent) if action["actionType"] in act.COMPOUNDS else SingleTask(action, parent)
    )


class Command(NamedTuple):
    """Start something: `event_type` is that of the history event that will record it, `id` its task id.

    `fire_at` is set for timers (ISO text, UTC), the user's own and those of retries.
    """

    event_type: int
    id: int
    task: SingleTask
    fire_at: str | None = None

    @property
    def name(self) -> str:
        """The function's name, as its history event has it."""
        if self.event_type == h.TIMER_CREATED:
            return ""
        if self.event_type == h.EVENT_SENT:
            return "op"
        if self.task.action_type == act.CALL_HTTP:
            return act.HTTP_ACTIVITY
        return str(self.task.action["functionName"])
