"""History events: their JSON, and the few fields that the engine reads.

An event is kept as ready JSON text, since the SDK wants the whole history as one text at every replay: the
engine joins texts and does not parse them again. DTFx's spellings (``TaskScheduledId``, ``IsPlayed``) stay here
and in `execution_info.py`. Key order and null keys are those of the Durable Task extension (recorded).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from json.encoder import encode_basestring_ascii as quote
from typing import Any, NamedTuple

from dfhost.timestamps import parse_timestamp

# The numbers of DurableTask.Core's EventType. The SDK has the same ones in HistoryEventType; the engine does
# not import the SDK, so that it can be read and tested without it.
EXECUTION_STARTED = 0
EXECUTION_COMPLETED = 1
EXECUTION_TERMINATED = 3
TASK_SCHEDULED = 4
TASK_COMPLETED = 5
TASK_FAILED = 6
SUB_ORCHESTRATION_CREATED = 7
SUB_ORCHESTRATION_COMPLETED = 8
SUB_ORCHESTRATION_FAILED = 9
TIMER_CREATED = 10
TIMER_FIRED = 11
ORCHESTRATOR_STARTED = 12
ORCHESTRATOR_COMPLETED = 13
EVENT_SENT = 14
EVENT_RAISED = 15
CONTINUED_AS_NEW = 16
GENERIC = 17
SUSPENDED = 19
RESUMED = 20

#: These record that something was started, so the orchestrator's actions must ask for it at every replay.
SCHEDULING = frozenset((TASK_SCHEDULED, SUB_ORCHESTRATION_CREATED, TIMER_CREATED, EVENT_SENT))
FAILURES = frozenset((TASK_FAILED, SUB_ORCHESTRATION_FAILED))
#: These end what was started.
ENDING = FAILURES | {TASK_COMPLETED, SUB_ORCHESTRATION_COMPLETED, TIMER_FIRED}
#: These are what an orchestrator's tasks can wait for.
AWAITABLE = ENDING | {EVENT_RAISED}

#: DTFx adds these itself, after the replay, and never marks them as played (recorded).
NEVER_PLAYED = SCHEDULING | {ORCHESTRATOR_STARTED, ORCHESTRATOR_COMPLETED}

SOURCE_TAG = "sourceInstanceId"
_WITH_TASK_SCHEDULED_ID = FAILURES | {TASK_COMPLETED, SUB_ORCHESTRATION_COMPLETED}
_PLAYED, _NOT_PLAYED = '"IsPlayed":true', '"IsPlayed":false'
_TIMESTAMP_FIELD = '"Timestamp":"'


class Event(NamedTuple):
    """One history event.

    `key` is the task's id if the event schedules or ends a task, the event's name for EVENT_RAISED, else None.
    `name` is the function's name where the event has one. `text` is the JSON.
    """

    event_type: int
    key: Any
    name: str | None
    text: str

    def as_played(self) -> Event:
        """The same event as a later episode sees it (DTFx marks what it has processed)."""
        if self.event_type in NEVER_PLAYED:
            return self
        head, _, tail = self.text.rpartition(_NOT_PLAYED)
        return Event(self.event_type, self.key, self.name, f"{head}{_PLAYED}{tail}") if head else self


def next_event_id(events: Iterable[Event]) -> int:
    """The EventId that comes after those of the tasks in `events`."""
    return 1 + max((event.key for event in events if event.event_type in SCHEDULING), default=-1)


def prefix_of(event_type: int) -> str:
    """How the JSON of an event of this type begins, so that megabytes need not be parsed to find it.

    Those of ExecutionStarted and of GenericEvents begin otherwise.
    """
    return f'{{"EventType":{event_type},'


def timestamp_in(text: str) -> str:
    """The time in an event's JSON, which is not parsed: it may hold megabytes. In its strings quotes are escaped."""
    start = text.rindex(_TIMESTAMP_FIELD) + len(_TIMESTAMP_FIELD)
    return text[start : text.index('"', start)]


def parse(text: str) -> Event:
    """The event with this JSON; for histories that are loaded."""
    data = json.loads(text)
    event_type = data["EventType"]
    if event_type in _WITH_TASK_SCHEDULED_ID:
        key = data["TaskScheduledId"]
    elif event_type == TIMER_FIRED:
        key = data["TimerId"]
    elif event_type == EVENT_RAISED:
        key = data["Name"]
    elif event_type in SCHEDULING:
        key = data["EventId"]
    else:
        key = None
        if "Rewound" in data:  # a word for people that Azure does not have, see `rewind.py`
            del data["Rewound"]
            text = json.dumps(data, separators=(",", ":"))
    return Event(event_type, key, data.get("Name"), text)


_TEXT = (str, type(None))
#: The fields of the events that can be in an inbox, with the types that are read of them.
_MESSAGE_FIELDS: dict[int, dict[str, tuple[type, ...]]] = {
    EXECUTION_STARTED: {"Name": (str,), "Input": _TEXT},
    TASK_COMPLETED: {"TaskScheduledId": (int,), "Result": _TEXT},
    TASK_FAILED: {"TaskScheduledId": (int,), "Reason": _TEXT, "Details": _TEXT},
    SUB_ORCHESTRATION_COMPLETED: {"TaskScheduledId": (int,), "Result": _TEXT},
    SUB_ORCHESTRATION_FAILED: {"TaskScheduledId": (int,), "Reason": _TEXT, "Details": _TEXT},
    TIMER_FIRED: {"TimerId": (int,), "FireAt": (str,)},
    EVENT_RAISED: {"Name": (str,), "Input": _TEXT},
    SUSPENDED: {"Reason": _TEXT},
    RESUMED: {"Reason": _TEXT},
    GENERIC: {"Data": _TEXT},
}


def parse_message(text: str) -> Event:
    """The event that a stored inbox message holds. ValueError if it is none that an inbox can have."""
    data = json.loads(text)
    if not isinstance(data, dict):
        raise ValueError("it is no JSON object")
    fields = _MESSAGE_FIELDS.get(data.get("EventType", -1))
    if fields is None:
        raise ValueError(f"its EventType is {data.get('EventType')!r}")
    for name, types in ({"EventId": (int,), "IsPlayed": (bool,), "Timestamp": (str,)} | fields).items():
        if name not in data or not isinstance(data[name], types):
            raise ValueError(f"its {name} is {data.get(name)!r}")
    parse_timestamp(data["Timestamp"])
    return parse(text)


def nullable(text: str | None) -> str:
    return "null" if text is None else quote(text)


def _tail(at: str, event_id: int = -1) -> str:
    return f'"EventId":{event_id},{_NOT_PLAYED},"Timestamp":"{at}"}}'


# -- the beginning and the end of an episode -----------------------------------------------------------------


def orchestrator_started(at: str) -> Event:
    return Event(ORCHESTRATOR_STARTED, None, None, f'{{"EventType":12,{_tail(at)}')


def orchestrator_completed(at: str) -> Event:
    return Event(ORCHESTRATOR_COMPLETED, None, None, f'{{"EventType":13,{_tail(at)}')


def continued_history(at: str, started: Event, carried_over: Sequence[Event]) -> list[Event]:
    """The history of a continued generation before its first replay.

    Its OrchestratorCompleted counts as played later on, unlike every other (recorded).
    """
    completed = orchestrator_completed(at)
    closing = completed._replace(text=completed.text.replace(_NOT_PLAYED, _PLAYED))
    return [orchestrator_started(at), started, *carried_over, closing]


def as_unplayed(text: str) -> str:
    """The text of the same event as its first replay sees it."""
    head, _, tail = text.rpartition(_PLAYED)
    return head + _NOT_PLAYED + tail if head else text


# -- an execution --------------------------------------------------------------------------------------------


def execution_started(
    at: str,
    *,
    instance_id: str,
    execution_id: str,
    name: str,
    version: str | None,
    input: str | None,
    parent: str = "null",
    restart_count: int | None = 0,
    source_id: str | None = None,
) -> Event:
    """`parent`: the JSON of ParentInstance (`parent_instance`).

    `restart_count`: how often clients have started this id anew, which DTFx calls Generation; None where no client
    started it. `source_id`: the instance that a client restarted as this one. It is kept among the tags.
    """
    tags = "null" if source_id is None else f'{{"{SOURCE_TAG}":{quote(source_id)}}}'
    text = (
        f'{{"OrchestrationInstance":{{"InstanceId":{quote(instance_id)},"ExecutionId":{quote(execution_id)}}},'
        f'"EventType":0,"ParentInstance":{parent},"Name":{quote(name)},"Version":{nullable(version)},'
        f'"Input":{nullable(input)},"Tags":{tags},"Correlation":null,"ParentTraceContext":null,'
        f'"ScheduledStartTime":null,"Generation":{"null" if restart_count is None else restart_count},'
        f'"GenerateNewTrace":false,{_tail(at)}'
    )
    return Event(EXECUTION_STARTED, None, name, text)


def parent_instance(
    *, instance_id: str, execution_id: str, name: str, task_id: int, version: str | None = None
) -> str:
    return (
        f'{{"Name":{quote(name)},"OrchestrationInstance":{{"InstanceId":{quote(instance_id)},'
        f'"ExecutionId":{quote(execution_id)}}},"TaskScheduleId":{task_id},"Version":{nullable(version)}}}'
    )


_STATUS_NUMBERS = {"Completed": 1, "ContinuedAsNew": 2, "Failed": 3, "Terminated": 5}
_MOST_TRACEBACK = 10_000  # characters


def execution_completed(
    at: str, event_id: int, status: str, result: str | None, cause: str | None = None, traceback: str = ""
) -> Event:
    """`cause`: why it failed, for people; `traceback`: its frames. No client sees them among the event's fields.

    `ended_history.recorded_cause` reads them.
    """
    known = (
        "" if cause is None else f'"Cause":{quote(cause)},"Traceback":{quote(traceback[-_MOST_TRACEBACK:])},'
    )
    event_type = CONTINUED_AS_NEW if status == "ContinuedAsNew" else EXECUTION_COMPLETED
    text = (
        f'{{"EventType":{event_type},"OrchestrationStatus":{_STATUS_NUMBERS[status]},"Result":{nullable(result)},'
        f'{known}"FailureDetails":null,{_tail(at, event_id)}'
    )
    return Event(event_type, None, None, text)


def execution_terminated(at: str, reason: str | None) -> Event:
    return Event(EXECUTION_TERMINATED, None, None, f'{{"EventType":3,"Input":{nullable(reason)},{_tail(at)}')


def terminated_history(at: str, reason: str | None) -> list[Event]:
    """What ends the history of an instance that a client has terminated."""
    return [
        orchestrator_started(at),
        execution_terminated(at, reason),
        execution_completed(at, -1, "Terminated", reason),
        orchestrator_completed(at),
    ]


def suspended(at: str, reason: str | None) -> Event:
    return Event(SUSPENDED, None, None, f'{{"EventType":19,"Reason":{nullable(reason)},{_tail(at)}')


def resumed(at: str, reason: str | None) -> Event:
    return Event(RESUMED, None, None, f'{{"EventType":20,"Reason":{nullable(reason)},{_tail(at)}')


def reason(event: Event) -> str | None:
    """Why an instance was suspended or resumed."""
    reason: str | None = json.loads(event.text)["Reason"]
    return reason


def generic(at: str, data: str | None, event_id: int = -1) -> Event:
    """A rewind leaves it in the place of a failure, and sends one to wake the instance up."""
    return Event(GENERIC, None, None, f'{{"Data":{nullable(data)},"EventType":17,{_tail(at, event_id)}')


# -- tasks begin ---------------------------------------------------------------------------------------------


def task_scheduled(at: str, task_id: int, name: str, input: str | None = None) -> Event:
    text = (
        f'{{"EventType":4,"Name":{quote(name)},"Version":"","Input":{nullable(input)},'
        f'"ParentTraceContext":null,"Tags":null,{_tail(at, task_id)}'
    )
    return Event(TASK_SCHEDULED, task_id, name, text)


def sub_orchestration_created(
    at: str, task_id: int, name: str, instance_id: str, version: str | None, input: str | None = None
) -> Event:
    text = (
        f'{{"EventType":7,"Name":{quote(name)},"Version":{nullable(version)},"InstanceId":{quote(instance_id)},'
        f'"Input":{nullable(input)},"ClientSpanId":null,"Tags":null,{_tail(at, task_id)}'
    )
    return Event(SUB_ORCHESTRATION_CREATED, task_id, name, text)


def timer_created(at: str, timer_id: int, fire_at: str) -> Event:
    return Event(
        TIMER_CREATED, timer_id, None, f'{{"EventType":10,"FireAt":"{fire_at}",{_tail(at, timer_id)}'
    )


def event_sent(at: str, task_id: int, instance_id: str, name: str, input: str) -> Event:
    text = (
        f'{{"EventType":14,"InstanceId":{quote(instance_id)},"Name":{quote(name)},"Input":{quote(input)},'
        f"{_tail(at, task_id)}"
    )
    return Event(EVENT_SENT, task_id, name, text)


# -- tasks end -----------------------------------------------------------------------------------------------


def task_completed(at: str, task_id: int, result: str | None) -> Event:
    text = f'{{"EventType":5,"TaskScheduledId":{task_id},"Result":{nullable(result)},{_tail(at)}'
    return Event(TASK_COMPLETED, task_id, None, text)


def task_failed(at: str, task_id: int, reason: str, details: str | None) -> Event:
    text = (
        f'{{"EventType":6,"TaskScheduledId":{task_id},"Reason":{quote(reason)},"Details":{nullable(details)},'
        f'"FailureDetails":null,{_tail(at)}'
    )
    return Event(TASK_FAILED, task_id, None, text)


def sub_orchestration_completed(at: str, task_id: int, result: str | None) -> Event:
    text = f'{{"EventType":8,"TaskScheduledId":{task_id},"Result":{nullable(result)},{_tail(at)}'
    return Event(SUB_ORCHESTRATION_COMPLETED, task_id, None, text)


def sub_orchestration_failed(at: str, task_id: int, reason: str | None, details: str | None) -> Event:
    text = (
        f'{{"EventType":9,"TaskScheduledId":{task_id},"Reason":{nullable(reason)},"Details":{nullable(details)},'
        f'"FailureDetails":null,{_tail(at)}'
    )
    return Event(SUB_ORCHESTRATION_FAILED, task_id, None, text)


def timer_fired(at: str, timer_id: int, fire_at: str) -> Event:
    return Event(
        TIMER_FIRED, timer_id, None, f'{{"EventType":11,"TimerId":{timer_id},"FireAt":"{fire_at}",{_tail(at)}'
    )


def event_raised(at: str, name: str, input: str) -> Event:
    text = (
        f'{{"EventType":15,"Name":{quote(name)},"Input":{quote(input)},"ParentTraceContext":null,{_tail(at)}'
    )
    return Event(EVENT_RAISED, name, name, text)
