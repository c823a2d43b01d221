"""Tasks in words."""

from __future__ import annotations

from collections.abc import Sequence

from dfhost.credentials import hide_credentials
from dfhost.printable import error_in_a_line, readable_payload, shortened
from dfhost.timeline import model
from dfhost.timeline.model import Task, Timeline

_BRIEF = 60  # characters of an input or an error
_PER_CHARACTER = 20  # that many characters of a payload are read at most for one that is shown
_LISTED = 3  # failed tasks; more are counted


def task_label(task: Task) -> str:
    """``process_item [3] "item-4"``: which task it is, and the beginning of its input."""
    place = "" if task.index is None else f"[{task.index}]"
    target = task.instance_id if task.kind in (model.ENTITY_CALL, model.ENTITY_SIGNAL) else None
    shown = "" if task.kind == model.HTTP_CALL else brief(task.input)
    return " ".join(filter(None, (task.name or task.kind, target, place, shown)))


def failure_sentence(task: Task) -> str:
    """``process_item [3] "item-4" failed, attempt 3 of 3: ValueError: bad``"""
    attempt = f", attempt {task.attempt} of {task.max_attempts}" if task.max_attempts > 1 else ""
    return f"{task_label(task)} failed{attempt}: {error_in_a_line(task.error or 'no reason given')}"


def failure_sentences(timeline: Timeline, output: str) -> list[str]:
    """For the console, a sentence for each task that the instance has failed of.

    Those are the failed tasks whose error is in `output`, the instance's: its code has caught the others.
    """
    failed = [task for task in timeline.failed_tasks() if task.error and task.error.split("\n")[0] in output]
    sentences = [hide_credentials(failure_sentence(task)) for task in failed[:_LISTED]]
    if more := len(failed) - len(sentences):
        sentences.append(f"{more} more {'task' if more == 1 else 'tasks'} failed, too")
    return sentences


def rewind_sentence(retried: Sequence[Task]) -> str:
    """Why a rewind does not help after these `Timeline.retried_tasks`, of which there is at least one."""
    more = f" and {len(retried) - 1} more were" if len(retried) > 1 else " was"
    what = "retried" if len(retried[0].attempts) > 1 else "called with retries"
    return (
        f"{task_label(retried[0])}{more} {what}: after a rewind the instance fails as non-deterministic, on Azure "
        "too. Restart it instead."
    )


def brief(text: str | None, longest: int = _BRIEF) -> str:
    """The beginning of a payload in one line; "" for none, and for null."""
    line = " ".join(readable_payload((text or "")[: longest * _PER_CHARACTER]).split())
    return "" if line == "null" else shortened(line, longest)
