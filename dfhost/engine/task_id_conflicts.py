"""Task-id conflicts: the extension would deliver a result to the wrong task.

The SDK numbers its tasks as user code yields them; the extension numbers them as it starts them. The numbers agree
but for retries behind a failed task_all, a compound yielded after its members, and one task listed twice. There
Azure delivers a result under an id that means another task to the SDK, without a sign. Here the instance fails
with a sentence that names the two tasks.
"""

from __future__ import annotations

from dfhost.engine import actions as act
from dfhost.engine.interpreter import ActionInterpreter
from dfhost.engine.replay_result import ReplayResult, SdkTask
from dfhost.engine.tasks import SingleTask

_ADVICE = (
    "On Azure the result of one would silently become the value of the other. Settle every task of a failed "
    "task_all (try: yield task, for each) before anything new is called, build a compound before any of its "
    "tasks is yielded alone or leave that task out of it, and pass no task twice."
)


def find_task_id_conflict(interpreter: ActionInterpreter, result: ReplayResult) -> str | None:
    """A sentence that names two tasks of one id, or None. To be called after every replay."""
    if result.sdk_tasks is None or result.has_ended or interpreter.is_suspended:
        return None
    started = {key for key in interpreter.open_tasks if isinstance(key, int)}
    if not interpreter.has_retried and result.sdk_tasks.ids == started:
        return None
    for task_id in sorted(started):
        task = interpreter.open_tasks[task_id]
        sdk_task = result.sdk_tasks.get(task_id)
        if sdk_task is None:
            return (
                f"{_started_as(task_id, task)} is listed more than once: twice in a task_all or task_any, or "
                f"there and yielded alone as well. Azure would start it again, as task {task_id}, and results would "
                "silently become the values of other tasks. Pass each task once."
            )
        if not _is_same(task_id, task, sdk_task, interpreter):
            return _sentence(task_id, task, _describe_sdk_task(sdk_task, interpreter))
    return None


def _is_same(task_id: int, task: SingleTask, sdk_task: SdkTask, interpreter: ActionInterpreter) -> bool:
    if task_id == task.first_id:
        return sdk_task.role == "call" and interpreter.action_at(sdk_task.place) == task.action
    return sdk_task.role == _retry_role(task) and sdk_task.first_id == task.first_id


def _retry_role(task: SingleTask) -> str:
    return "timer" if task.awaits_retry_timer else "attempt"


def _describe_sdk_task(sdk_task: SdkTask, interpreter: ActionInterpreter) -> str:
    if sdk_task.role == "call":
        return act.describe(interpreter.action_at(sdk_task.place))
    first = interpreter.open_tasks.get(sdk_task.first_id)
    return (
        f"the retry {sdk_task.role} of {act.describe(first.action) if first else f'task {sdk_task.first_id}'}"
    )


def _started_as(task_id: int, task: SingleTask) -> str:
    started = act.describe(task.action)
    return started if task_id == task.first_id else f"the retry {_retry_role(task)} of {started}"


def _sentence(task_id: int, task: SingleTask, for_sdk: str) -> str:
    started = _started_as(task_id, task)
    return f"task {task_id} is {started} for the Durable Task extension, but {for_sdk} for the Python SDK. {_ADVICE}"
