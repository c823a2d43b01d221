"""From the history to the tasks: scheduled and ending events are matched, attempts joined, fan-outs counted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dfhost.engine import history as h
from dfhost.engine.actions import HTTP_ACTIVITY
from dfhost.engine.options import EngineOptions
from dfhost.instance_failure import read_failure
from dfhost.parse_json import parse_json
from dfhost.store.activities_and_timers import KEPT_INPUT
from dfhost.store.reader import ChildRow, StoredTimeline, TaskFacts
from dfhost.timeline import model
from dfhost.timeline.model import Attempt, Task, Timeline

#: From so many history events on, a timeline takes some milliseconds to build: too long for the host loop.
OFF_LOOP_FROM = 500

#: A fan-out that is wider is recorded in several episodes.
_WIDEST_EPISODE = EngineOptions().commands_per_episode
_NO_FACTS = TaskFacts()
_CALLS = (h.TASK_SCHEDULED, h.SUB_ORCHESTRATION_CREATED)
_CHILD_STATES = {"Pending": model.QUEUED, "Running": model.RUNNING, "Suspended": model.WAITING}


def build_timeline(stored: StoredTimeline, running: Mapping[int, str]) -> Timeline:
    """`running`: since when activities run, by task id."""
    row = stored.row
    timeline = Timeline(
        row.instance_id,
        row.name,
        row.version,
        row.status,
        row.created_at,
        row.updated_at,
        [],
        parent_id=row.parent_id,
        input=_unquoted(row.input),
        output=row.output,
        custom_status=row.custom_status,
    )
    if row.is_entity:
        return timeline
    if row.has_ended:
        timeline.ended_at = row.updated_at
    if row.status == "Failed":
        failure = read_failure(row.output)
        timeline.error, timeline.cause = str(failure), stored.cause
        # What the cause explains has no frames of interest: they are the SDK's.
        timeline.stack = failure.stack if stored.cause is None else stored.traceback
    builder = _Builder(stored, running)
    for text in (*stored.history, *stored.inbox):
        builder.read(json.loads(text))
    timeline.started_at, timeline.has_continued = builder.started_at, builder.has_continued
    if stored.first is not None:
        timeline.has_continued = True
        timeline.generation, timeline.first_created_at = stored.first
    timeline.tasks = builder.finish()
    return timeline


class _Builder:
    def __init__(self, stored: StoredTimeline, running: Mapping[int, str]) -> None:
        self._stored = stored
        self._running = running
        self._tasks: list[Task] = []
        self._by_id: dict[int, Task] = {}  # single attempts and timers, by the id of their event
        self._by_request: dict[str, Task] = {}  # entity calls, by the id of their request
        self._suspension: Task | None = None
        # The calls of each fan-out. One that a rewind has removed leaves its place (None) to the call that follows.
        self._groups: dict[tuple[int, str, str], list[Task | None]] = {}
        self._left_places: dict[int, tuple[list[Task | None], int]] = {}  # by task id
        self._group = self._scheduled = 0
        self.started_at: str | None = None
        self.has_continued = False

    def read(self, event: dict[str, Any]) -> None:
        """One event, in the order of the history. Events that begin or end no task are ignored."""
        event_type, at = event["EventType"], event["Timestamp"]
        if event_type == h.ORCHESTRATOR_STARTED:
            self.started_at = self.started_at or at
            self._group += self._scheduled < _WIDEST_EPISODE
            self._scheduled = 0
        elif event_type == h.EXECUTION_STARTED:
            # None means that no client has started it, nor is it a child.
            self.has_continued = event.get("Generation", 0) is None and event["ParentInstance"] is None
        elif event_type in h.SCHEDULING:
            self._scheduled += 1
            self._begin(_scheduled(event))
        elif event_type in (h.TASK_COMPLETED, h.SUB_ORCHESTRATION_COMPLETED):
            self._end(event["TaskScheduledId"], at, model.COMPLETED, result=event["Result"])
        elif event_type in h.FAILURES:
            self._fail(event)
        elif event_type == h.TIMER_FIRED:
            self._end(event["TimerId"], at, model.COMPLETED)
        elif event_type == h.EVENT_RAISED:
            self._raise(event)
        elif event_type == h.GENERIC and event.get("Rewound", {}).get("EventType") in _CALLS:
            self._leave_place(event["EventId"], event["Rewound"])
        elif event_type == h.SUSPENDED:
            self._suspension = Task(
                model.SUSPENSION,
                "",
                model.WAITING,
                at,
                started_at=at,
                input=event["Reason"],
                is_awaited=False,
            )
            self._tasks.append(self._suspension)
        elif event_type == h.RESUMED and self._suspension is not None:
            self._suspension.state, self._suspension.ended_at = model.COMPLETED, at
            self._suspension = None

    def finish(self) -> list[Task]:
        """The tasks that were read, each call with retries as one. To be called once, after the last event."""
        for task_id, task in self._by_id.items():
            if (cancelled_at := self._facts(task).cancelled_at) is not None:  # it may have fired since
                task.state, task.ended_at = model.CANCELLED, cancelled_at
            elif task.ended_at is None:
                self._show_open(task_id, task)
            elif task.kind == model.CHILD:
                self._show_child(task_id, task)
            elif (row := self._stored.facts.get(task_id)) is not None:
                task.started_at, task.worker = row.started_at, row.worker
                _show_kept_input(task, row)
        for task in self._by_request.values():
            self._cancel_if_over(task)
        if self._suspension is not None:
            self._cancel_if_over(self._suspension)
        hidden = self._join_attempts()
        fan_outs = (group for group in self._groups.values() if len(group) > 1)
        for number, group in enumerate(fan_outs):
            for index, member in enumerate(group):
                if member is not None:
                    member.fan_out, member.index, member.fan_out_size = number, index, len(group)
        return [task for task in self._tasks if id(task) not in hidden]

    # -- one event -------------------------------------------------------------------------------------------

    def _begin(self, task: Task) -> None:
        self._tasks.append(task)
        assert task.task_id is not None
        if task.request_id is not None:
            self._by_request[task.request_id] = task
        elif task.kind != model.ENTITY_SIGNAL:
            self._by_id[task.task_id] = task
        if (left := self._left_places.pop(task.task_id, None)) is not None:
            group, place = left
            group[place] = task
        elif task.kind != model.TIMER and self._facts(task).attempt in (None, 1):
            self._groups.setdefault((self._group, task.kind, task.name), []).append(task)

    def _leave_place(self, task_id: int, rewound: dict[str, Any]) -> None:
        self._scheduled += 1
        if task_id in self._left_places:  # it was rewound twice
            return
        kind = model.CHILD if rewound["EventType"] == h.SUB_ORCHESTRATION_CREATED else model.ACTIVITY
        if rewound["Name"] == HTTP_ACTIVITY:
            kind = model.HTTP_CALL
        group = self._groups.setdefault((self._group, kind, str(rewound["Name"])), [])
        self._left_places[task_id] = group, len(group)
        group.append(None)

    def _end(
        self,
        task_id: int,
        at: str,
        state: str,
        result: str | None = None,
        error: str | None = None,
        stack: str = "",
    ) -> None:
        task = self._by_id.get(task_id)
        if task is None:  # a rewind has removed what began it
            return
        task.state, task.ended_at, task.result, task.error, task.stack = state, at, result, error, stack
        if task.kind == model.HTTP_CALL and result is not None:
            task.http_status = _status_code(result)

    def _fail(self, event: dict[str, Any]) -> None:
        task_id = event["TaskScheduledId"]
        failure = read_failure(" \n ".join(filter(None, (event["Reason"], event["Details"]))))
        if (task := self._by_id.get(task_id)) is not None:
            failure = failure.within(task.name)
        self._end(task_id, event["Timestamp"], model.FAILED, error=str(failure), stack=failure.stack)

    def _raise(self, event: dict[str, Any]) -> None:
        call = self._by_request.pop(event["Name"], None)
        at = event["Timestamp"]
        if call is None:
            task = Task(model.EVENT, event["Name"], model.COMPLETED, None, ended_at=at, result=event["Input"])
            self._tasks.append(task)
            return
        call.ended_at = at
        answer = json.loads(event["Input"])
        if "exceptionType" in answer:
            call.state, call.error = model.FAILED, _text(answer["result"])
        else:
            call.state, call.result = model.COMPLETED, answer["result"]

    # -- all events are read ---------------------------------------------------------------------------------

    def _facts(self, task: Task) -> TaskFacts:
        return _NO_FACTS if task.task_id is None else self._stored.facts.get(task.task_id, _NO_FACTS)

    def _show_open(self, task_id: int, task: Task) -> None:
        if task.kind == model.CHILD:
            self._show_child(task_id, task)
            child = self._stored.children.get(task_id)
            if child is not None:
                task.state = _CHILD_STATES.get(child.status, model.RUNNING)
        elif task.is_activity:
            task.input = task.input or self._stored.inputs.get(task_id)
            _show_kept_input(task, self._facts(task))
            if task.kind == model.HTTP_CALL:
                task.name = _http_call_name(task.input)
            task.started_at = self._running.get(task_id)
            task.state = model.QUEUED if task.started_at is None else model.RUNNING
        self._cancel_if_over(task)

    def _show_child(self, task_id: int, task: Task) -> None:
        child: ChildRow | None = self._stored.children.get(task_id)
        if child is not None:
            task.child_status, task.started_at = child.status, child.started_at
            task.input = task.input or _unquoted(child.input)

    def _cancel_if_over(self, task: Task) -> None:
        if self._stored.row.has_ended:
            task.state, task.ended_at = model.CANCELLED, self._stored.row.updated_at

    def _join_attempts(self) -> set[int]:
        """Make one task of the attempts of each call; returns the `id()`s of the others."""
        hidden = set()
        firsts: dict[int, Task] = {}
        for task_id, task in self._by_id.items():
            first_id, number, max_attempts, *_ = self._facts(task)
            if first_id is None or number is None or max_attempts is None:
                continue
            first = firsts.setdefault(first_id, task)
            if task.kind == model.TIMER:
                hidden.add(id(task))
                if task.state == model.WAITING and number < max_attempts:
                    first.state, first.due, first.ended_at = model.RETRYING, task.due, None
                continue
            if task is first:
                first.max_attempts = max_attempts
            else:
                hidden.add(id(task))
            first.attempts.append(
                Attempt(
                    number,
                    task_id,
                    task.state,
                    task.scheduled_at or "",
                    task.started_at,
                    task.ended_at,
                    task.error,
                    task.worker,
                    task.instance_id,
                    task.child_status,
                )
            )
            first.state, first.ended_at, first.worker = task.state, task.ended_at, task.worker
            first.result, first.error, first.stack = task.result, task.error, task.stack
            first.instance_id, first.child_status = task.instance_id, task.child_status
        return hidden


def _scheduled(event: dict[str, Any]) -> Task:
    event_type, task_id, at = event["EventType"], event["EventId"], event["Timestamp"]
    if event_type == h.TIMER_CREATED:
        return Task(model.TIMER, "", model.WAITING, at, task_id, started_at=at, due=event["FireAt"])
    if event_type == h.SUB_ORCHESTRATION_CREATED:
        return Task(
            model.CHILD,
            event["Name"],
            model.QUEUED,
            at,
            task_id,
            input=_unquoted(event["Input"]),
            instance_id=event["InstanceId"],
        )
    if event_type == h.EVENT_SENT:
        request = json.loads(event["Input"])
        is_signal = request.get("signal", False)
        return Task(
            model.ENTITY_SIGNAL if is_signal else model.ENTITY_CALL,
            request["op"],
            model.COMPLETED if is_signal else model.WAITING,
            at,
            task_id,
            ended_at=at if is_signal else None,
            input=_unquoted(request.get("input")),
            instance_id=event["InstanceId"],
            request_id=None if is_signal else request["id"],
        )
    if event_type == h.TASK_SCHEDULED:
        (input,) = json.loads(event["Input"] or "[null]")  # if it is there, a list of one JSON text
        is_http_call = event["Name"] == HTTP_ACTIVITY
        kind = model.HTTP_CALL if is_http_call else model.ACTIVITY
        return Task(kind, event["Name"], model.QUEUED, at, task_id, input=input)
    raise ValueError(f"the timeline has no kind of task for history events of type {event_type}")


def _show_kept_input(task: Task, facts: TaskFacts) -> None:
    if task.input is None and facts.input is not None:
        task.input, task.input_is_cut = facts.input, len(facts.input) == KEPT_INPUT
        if task.kind == model.HTTP_CALL:
            task.name = _http_call_name(task.input)


def _http_call_name(request: str | None) -> str:
    """``GET https://…``; of a request that was cut, or is unknown, the extension's name for the activity."""
    try:
        values = parse_json(request or "{}")
        return f"{values['method']} {values['uri']}"
    except (ValueError, KeyError):
        return HTTP_ACTIVITY


def _unquoted(text: str | None) -> str | None:
    """The SDK sends JSON texts as JSON strings: the JSON text in such a string, any other text as it is."""
    try:
        value = parse_json(text or "")
        if isinstance(value, str):
            parse_json(value)
            return value
    except ValueError:
        pass
    return text


def _text(result: str) -> str:
    """The string in a JSON text, or the text itself."""
    try:
        value = parse_json(result)
    except ValueError:
        return result
    return value if isinstance(value, str) else result


def _status_code(result: str) -> int | None:
    response = json.loads(result)
    status = response.get("statusCode") if isinstance(response, dict) else None
    return status if isinstance(status, int) else None
