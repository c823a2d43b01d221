"""Timelines as values ready for JSON. An absent key stands for None."""

from __future__ import annotations

from typing import Any

from dfhost.timeline.model import Attempt, Task, Timeline
from dfhost.timeline.sentences import failure_sentence, task_label

#: The keys of a task that hold payloads.
PAYLOADS = ("input", "result", "error", "stack")


def timeline_json(timeline: Timeline, limit: int | None = None) -> dict[str, Any]:
    """`limit`: the most characters of a task's payload. `failures`: a sentence for each task that failed for good."""
    return _present(
        instanceId=timeline.instance_id,
        name=timeline.name,
        version=timeline.version,
        runtimeStatus=timeline.status,
        createdTime=timeline.created_at,
        firstCreatedTime=timeline.first_created_at,
        startedTime=timeline.started_at,
        endedTime=timeline.ended_at,
        lastUpdatedTime=timeline.updated_at,
        hasContinued=timeline.has_continued or None,
        generation=timeline.generation if timeline.first_created_at else None,
        parentInstanceId=timeline.parent_id,
        input=timeline.input,
        output=timeline.output,
        customStatus=timeline.custom_status,
        error=timeline.error,
        stack=timeline.stack or None,
        cause=timeline.cause,
        tasks=[task_json(task, limit) for task in timeline.tasks],
        failures=[failure_sentence(task) for task in timeline.failed_tasks()],
    )


def task_json(task: Task, limit: int | None = None) -> dict[str, Any]:
    """`limit` as above; `truncated` names the payloads that were cut, `awaited` stands in open tasks alone."""
    payloads = {"input": task.input, "result": task.result, "error": task.error, "stack": task.stack or None}
    cut = [name for name in PAYLOADS if limit is not None and len(payloads[name] or "") > limit]
    if task.input_is_cut and "input" not in cut:
        cut.append("input")
    payloads.update((name, (payloads[name] or "")[:limit]) for name in cut)
    has_retries = task.max_attempts > 1
    return _present(
        kind=task.kind,
        name=task.name,
        label=task_label(task),
        state=task.state,
        taskId=task.task_id,
        index=task.index,
        fanOut=task.fan_out,
        fanOutSize=task.fan_out_size,
        scheduledTime=task.scheduled_at,
        startedTime=task.started_at,
        endedTime=task.ended_at,
        **payloads,
        truncated=cut or None,
        attempt=task.attempt if has_retries else None,
        maxAttempts=task.max_attempts if has_retries else None,
        attempts=[_attempt_json(each) for each in task.attempts] or None,
        due=task.due,
        instanceId=task.instance_id,
        childStatus=task.child_status,
        httpStatus=task.http_status,
        worker=task.worker,
        awaited=task.is_awaited if task.is_open else None,
    )


def _attempt_json(attempt: Attempt) -> dict[str, Any]:
    return _present(
        attempt=attempt.number,
        taskId=attempt.task_id,
        state=attempt.state,
        scheduledTime=attempt.scheduled_at,
        startedTime=attempt.started_at,
        endedTime=attempt.ended_at,
        error=attempt.error,
        worker=attempt.worker,
        instanceId=attempt.instance_id,
        childStatus=attempt.child_status,
    )


def _present(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
