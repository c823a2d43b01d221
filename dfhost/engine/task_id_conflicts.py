"""Finding values that the extension would hand to the wrong task.

The SDK numbers its tasks as user code yields them; the extension numbers what it starts. The two agree, but for
retries behind a failed task_all, a compound yielded after its members, and one task listed twice: there Azure
delivers a result under an id that means another task to the SDK, and nobody notices. Here the instance fails
and says so.
"""

from __future__ import annotations

from dfhost.engine import actions as act
from dfhost.engine.interpreter import ActionInterpreter, SingleTask
from dfhost.engine.replay_result import OpenTask, ReplayResult

_ADVICE = (
    "On Azure the result of one would silently become the value of the other. Settle every task of a failed "
    "task_all (try: yield task, for each) before anything new is called, build a compound before any of its "
    "tasks is yielded alone or leave that task out of it, and pass no task twice."
)


def find_task_id_conflict(program: ActionInterpreter, reply: ReplayResult) -> str | None:
    """A sentence that names two tasks of one id, or None. To be asked after every replay."""
    if reply.open is None or reply.ended or program.is_suspended:
        return None
    started = {key for key in program.open if isinstance(key, int)}
    if not program.has_retried and reply.open.same_ids(started):
        return None
    for task_id in sorted(started):
        leaf = program.open[task_id]
        known = reply.open.get(task_id)
        if known is None:
            return _told(task_id, _started(leaf, task_id), "no task of its own: it is listed more than once")
        if not _same(leaf, task_id, known):
            return _told(task_id, _started(leaf, task_id), _known(known, task_id, program))
    return None


def _same(leaf: SingleTask, task_id: int, known: OpenTask) -> bool:
    if task_id == leaf.first_id:
        return known.role == "call" and known.action == leaf.action
    role = "timer" if leaf.retrying else "attempt"
    return known.role == role and known.first_id == leaf.first_id


def _started(leaf: SingleTask, task_id: int) -> str:
    what = act.describe(leaf.action)
    if task_id == leaf.first_id:
        return what
    return f"the retry {'timer' if leaf.retrying else 'attempt'} of {what}"


def _known(known: OpenTask, task_id: int, program: ActionInterpreter) -> str:
    if known.action is not None:
        return act.describe(known.action)
    first = program.open.get(known.first_id)
    return f"the retry {known.role} of {act.describe(first.action) if first else f'task {known.first_id}'}"


def _told(task_id: int, started: str, known: str) -> str:
    return f"task {task_id} is {started} for the Durable Task extension, but {known} for the Python SDK. {_ADVICE}"
