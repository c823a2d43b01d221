"""The outcome of one episode of an orchestration.

An `Episode` is a value: `Execution` makes it, the store commits it as a whole or not at all. It holds all that the
commit writes, ready as text, and knows neither of the two.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from json.encoder import encode_basestring_ascii as quote
from typing import NamedTuple

from dfhost.engine import failures
from dfhost.engine import history as h
from dfhost.engine.execution_info import ExecutionInfo, Parent
from dfhost.engine.history import Event


@dataclass(frozen=True, slots=True)
class ScheduledActivity:
    """An activity to start. It is the `attempt`-th of `max_attempts` that its call may make.

    `retry_after`: seconds from its failure to the next attempt. None if there is none, or if that is not known any
    more, since the activity was loaded from the store.
    """

    task_id: int
    name: str
    input: str
    attempt: int = 1
    max_attempts: int = 1
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class ScheduledTimer:
    """A timer to start; `fire_at`: ISO text, UTC."""

    timer_id: int
    fire_at: str


class TaskAttempt(NamedTuple):
    """A task that serves a call with retries: an attempt, or the timer after the failed attempt of this number."""

    task_id: int
    first_task_id: int
    attempt: int
    max_attempts: int


@dataclass(frozen=True, slots=True)
class ScheduledChild:
    """A sub-orchestration to start: `started` is its first event, ready for its inbox."""

    task_id: int
    instance_id: str
    execution_id: str
    name: str
    version: str | None
    input: str | None
    started: Event


@dataclass(frozen=True, slots=True)
class EntityMessage:
    """A request to an entity, as the extension's RequestMessage."""

    entity_id: str
    request: str


def next_execution_id(execution_id: str) -> str:
    """That of the generation which a continue-as-new of this execution begins."""
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{execution_id}:next").hex


@dataclass(frozen=True, slots=True)
class NextGeneration:
    """What continue-as-new begins: `input` is the text of a JSON string, `history` what its first replay sees."""

    execution_id: str
    input: str | None
    history: list[Event]

    @classmethod
    def begin(
        cls, info: ExecutionInfo, at: str, next_input: str | None, carried_over: Sequence[Event]
    ) -> NextGeneration:
        """Same instance id, new history. `carried_over`: external events that came too late for the present one."""
        execution_id = next_execution_id(info.execution_id)
        input = None if next_input is None else quote(next_input)
        started = h.execution_started(
            at,
            instance_id=info.instance_id,
            execution_id=execution_id,
            name=info.name,
            version=info.version,
            input=input,
            parent=info.parent_json,
            restart_count=None,
            source_id=info.source_id,
        )
        history = h.continued_history(at, started, carried_over)
        return cls(execution_id, input, [event.as_played() for event in history])


@dataclass(slots=True)
class Episode:
    """All that is new in the execution `execution_id` of the instance, as of `at` (ISO text, UTC).

    `status` is Running, Suspended, Completed, Failed or ContinuedAsNew. A `custom_status` of None leaves the old one
    as it is, "null" clears it. `output` replaces the instance's output if `sets_output`. `details` belong to a
    failure. The history of `next_generation` replaces this one's.
    """

    instance_id: str
    execution_id: str
    at: str
    status: str
    events: list[Event] = field(default_factory=list)
    #: The place of the first of `events` in the history.
    first_position: int = 0
    #: The texts of `events` as they are stored.
    stored_texts: list[str] = field(default_factory=list)
    activities: list[ScheduledActivity] = field(default_factory=list)
    timers: list[ScheduledTimer] = field(default_factory=list)
    attempts: list[TaskAttempt] = field(default_factory=list)
    #: The ids of timers that the code has cancelled. If the instance was loaded, earlier ones may be among them.
    cancelled_timers: list[int] = field(default_factory=list)
    children: list[ScheduledChild] = field(default_factory=list)
    entity_messages: list[EntityMessage] = field(default_factory=list)
    custom_status: str | None = None
    output: str | None = None
    sets_output: bool = False
    details: str | None = None
    parent: Parent | None = None
    #: Commands remain for the next episode, which needs no arrival.
    has_more_commands: bool = False
    #: A sentence about an action that has not started, and the one it waits for.
    held_back: str | None = None
    #: The code has ended, but tasks that it has started are open.
    awaits_open_tasks: bool = False
    #: Why it failed, in a sentence for people, where the output as Azure has it does not say so.
    cause: str | None = None
    #: The exception of the user's code with type and traceback, for the log.
    raised: failures.Failure | None = None
    next_generation: NextGeneration | None = None

    @property
    def ends_instance(self) -> bool:
        return self.status in ("Completed", "Failed")

    @property
    def history_length(self) -> int:
        """How many events the history holds once this is committed."""
        return (
            len(self.next_generation.history)
            if self.next_generation is not None
            else self.first_position + len(self.stored_texts)
        )

    def result_for_parent(self) -> Event:
        """The event by which the parent learns of this end; only for one that is `ends_instance` and has a parent."""
        assert self.parent is not None
        if self.status == "Completed":
            return h.sub_orchestration_completed(self.at, self.parent.task_id, self.output)
        return h.sub_orchestration_failed(self.at, self.parent.task_id, self.output, self.details)


def child_refused(child: ScheduledChild, status: str, at: str) -> Event:
    """The failure of a child whose id is that of a running instance; `status` is the latter's runtime status."""
    reason = (
        f"An Orchestration instance with the status {status} already exists: the id '{child.instance_id}' is taken. "
        "On Azure the running instance would be replaced, and lost."
    )
    return h.sub_orchestration_failed(at, child.task_id, reason, None)
