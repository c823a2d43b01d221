"""Waiting for tasks of which some may fail, as the extension needs it done."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from typing import Any

import azure.durable_functions as df

ERROR_LENGTH = 1000  # characters kept of an error: an exception's message may hold a whole page


def settle(
    context: df.DurableOrchestrationContext, tasks: Sequence[Any]
) -> Generator[Any, Any, list[dict[str, Any]]]:
    """Wait for all `tasks`, whatever becomes of them: `outcomes = yield from settle(context, tasks)`.

    One dict a task, in the order given: `{"status": "succeeded", "result": …}` or `{"status": "failed", "error":
    "ValueError: …"}`. Activities, retried activities, sub-orchestrations and entity calls may be mixed; timers and
    events have no failure. Fresh tasks only: one that was yielded before belongs to another wait.

    After a failed `task_all` the extension starts what comes next only when every sibling has ended, and hands a
    retried sibling's value to the wrong task if the orchestrator went on before. So each of them is waited for.
    """
    yield from wait_for_all(context, tasks)
    return [
        {"status": "failed", "error": error_text(task.result)}
        if has_failed(task)
        else {"status": "succeeded", "result": task.result}
        for task in tasks
    ]


def wait_for_all(
    context: df.DurableOrchestrationContext, tasks: Sequence[Any], event: Any = None
) -> Generator[Any, Any, None]:
    """Only the wait: afterwards `task.is_completed` holds for each, and `task.result` is there.

    `event`: a wait for an external event that is open from now on. The SDK delivers an event only to a wait that
    was yielded; and a `task_all` inside a `task_any` breaks it if two of its tasks fail.
    """
    if not tasks:
        return
    try:
        yield context.task_any([*tasks, event]) if event else context.task_all(list(tasks))
    except Exception:  # the first failure; each task is looked at below
        pass
    for task in tasks:
        # A task that has ended is not yielded again: the SDK would go one call deeper for each of them, and
        # a thousand of them is more than Python allows.
        if not task.is_completed:
            try:
                yield task
            except Exception:
                pass


def has_failed(task: Any) -> bool:
    """Whether a task that has ended failed. The SDK keeps the exception where the result would be."""
    return isinstance(task.result, Exception)


def error_text(error: object) -> str:
    """`ValueError: no` from what the SDK raises for a failed task.

    It raises a plain Exception whose text is the extension's reason, a space, a newline, a space, and the .NET
    exception as one line of JSON (or `Message: …, StackTrace: …` for a sub-orchestration). The reason of a
    failed activity starts `Activity function 'x' failed: `, with two blanks at its end until extension 3.15.
    """
    reason, _, details = str(error).rpartition(" \n ")
    if not reason or not _machine_text(details):
        reason = str(error)
    head, found, message = reason.partition("' failed: ")
    if found and head.startswith(("Activity function '", "Orchestrator function '")):
        reason = message
    reason = reason.strip() or type(error).__name__
    return reason if len(reason) <= ERROR_LENGTH else reason[: ERROR_LENGTH - 1] + "…"


def _machine_text(details: str) -> bool:
    if details == "None" or details.startswith("Message: "):
        return True
    try:
        return isinstance(json.loads(details), dict)
    except ValueError:
        return False
