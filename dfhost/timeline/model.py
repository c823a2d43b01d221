"""The values of a timeline. Times are ISO 8601 texts in UTC with a Z, payloads JSON texts, as stored."""

from __future__ import annotations

from dataclasses import dataclass, field

#: What a task can be. A suspension is no task of the code's, but a time in which none goes on.
ACTIVITY = "activity"
HTTP_CALL = "httpCall"
CHILD = "subOrchestration"
TIMER = "timer"
EVENT = "event"
ENTITY_CALL = "entityCall"
ENTITY_SIGNAL = "entitySignal"
OPERATION = "operation"  # in an entity's queue
SUSPENSION = "suspension"

QUEUED = "queued"  # it waits for its turn to run
RUNNING = "running"
WAITING = "waiting"  # for a moment, for an event, for an answer
RETRYING = "retrying"  # an attempt has failed, the next one comes
COMPLETED = "completed"
FAILED = "failed"
CANCELLED = "cancelled"  # by the code, or its instance ended first

OPEN = frozenset((QUEUED, RUNNING, WAITING, RETRYING))


@dataclass(slots=True)
class Attempt:
    """One attempt of a call with retries; `task_id` is that of its history event, `instance_id` the child's."""

    number: int
    task_id: int
    state: str
    scheduled_at: str
    started_at: str | None = None
    ended_at: str | None = None
    error: str | None = None
    worker: int | None = None
    instance_id: str | None = None
    child_status: str | None = None


@dataclass(slots=True)
class Task:
    """A call or a wait of the orchestrator's code.

    `name`: of the function, the event or the operation; "" of a timer; "GET https://…" of an HTTP call. `index` is
    its place among the `fan_out_size` calls of one function that were made at once, from 0; `fan_out` numbers these
    groups. All three are None if it was alone.
    `instance_id`: the child, or the entity (``@name@key``); of an entity's operation its caller.
    `due`: when a timer fires, or the next attempt is made.
    `error` is what the function raised, ``ValueError: bad``, and `stack` its traceback, if known.
    `is_awaited`: False of an open task that the code has only left open; True also where that is unknown.
    `worker`: the pid of the worker process that ran an activity; None if the host ran it, or it has not ended.
    """

    kind: str
    name: str
    state: str
    scheduled_at: str | None
    task_id: int | None = None  # of the first attempt; an event has none
    started_at: str | None = None
    ended_at: str | None = None
    index: int | None = None
    fan_out_size: int | None = None
    fan_out: int | None = None
    input: str | None = None
    input_is_cut: bool = False
    result: str | None = None
    error: str | None = None
    stack: str = ""
    attempts: list[Attempt] = field(default_factory=list)
    max_attempts: int = 1
    due: str | None = None
    instance_id: str | None = None
    request_id: str | None = None  # of an entity call
    child_status: str | None = None
    http_status: int | None = None
    worker: int | None = None
    is_awaited: bool = True

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def is_activity(self) -> bool:
        """Whether it runs as an activity: HTTP calls do, in the host."""
        return self.kind in (ACTIVITY, HTTP_CALL)

    @property
    def since(self) -> str | None:
        """Since when an open task has been in its state; of one that waits for an answer, since when it was asked."""
        newest: Attempt | Task = self.attempts[-1] if self.attempts else self
        if self.state == RETRYING:
            return newest.ended_at
        has_start = self.is_activity or self.kind == OPERATION
        return (newest.started_at if has_start else None) or newest.scheduled_at

    @property
    def attempt(self) -> int:
        """The number of the newest attempt, from 1."""
        return self.attempts[-1].number if self.attempts else 1


@dataclass(slots=True)
class Timeline:
    """One instance and its tasks, in the order in which they began. `error` and `stack`: why it failed.

    `cause`: why it failed, where the output as Azure has it, and so the `error`, does not say it.

    `parent_id`: the instance that called it. `started_at`: its first episode; `ended_at`: None while it goes on.
    `has_continued`: by continue-as-new, so these times and the tasks are of its newest generation; False where that
    is not known. `generation`: the number of that, and `first_created_at`: when the first one was created; 1 and None
    of an instance that has not continued, or where that is not known.
    """

    instance_id: str
    name: str
    version: str | None
    status: str
    created_at: str
    updated_at: str
    tasks: list[Task]
    parent_id: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    input: str | None = None
    output: str | None = None
    custom_status: str | None = None
    error: str | None = None
    stack: str = ""
    cause: str | None = None
    has_continued: bool = False
    generation: int = 1
    first_created_at: str | None = None

    def failed_tasks(self) -> list[Task]:
        """Those that failed for good, first things first."""
        return sorted((t for t in self.tasks if t.state == FAILED), key=lambda task: task.ended_at or "")

    def retried_tasks(self) -> list[Task]:
        """Calls with retries of which an attempt has failed.

        A rewind removes the failed attempts but not the timers behind them: each has one, even the last. So the
        instance then fails as non-deterministic, here as on Azure.
        """
        return [task for task in self.tasks if any(each.state == FAILED for each in task.attempts)]
