"""What happened in a test on one screen, the causes of failures first: for tests in which much has happened. Pure.

Failed calls of a function are one cause if they failed at the same place. `report` shows every call.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from dfhost.cli.style import count
from dfhost.printable import shortened
from dfhost.testing.report import Explained, ReportedEntity, ReportedQueue, brief, ended, outcome, since
from dfhost.timeline import model, sentences
from dfhost.timeline.model import Task, Timeline
from dfhost.user_frames import user_frames

_MOST_LINES = 24
_MOST_CAUSES = 2  # with their items and places; more are counted
_MOST_FRAMES = 2  # of a traceback, the newest
_MOST_OF_RUN = 8  # lines of one instance
_MOST_TASKS = 2  # of one instance
_MOST_OTHERS = 2  # failed entities, queues, faults that no call has met, notes
_WIDTH = 120  # characters of a line
_NOTE = "The host says: "
_MORE = "This is the short report: `pytest -vv` or durable.report() has every call and wait."


class _Cause(NamedTuple):
    """Why calls of one function have failed. `calls`: which, in words. `of`: "20 calls" or, of a map, "20 items"."""

    function: str
    error: str
    stack: str
    of: str
    calls: list[str]


def fits_a_screen(report: str) -> bool:
    """Whether all lines of the report fit, a line that is wrapped counted as several."""
    return sum(1 + len(line) // _WIDTH for line in report.splitlines()) <= _MOST_LINES


def short_report(
    runs: Sequence[Explained],
    entities: Sequence[ReportedEntity],
    queues: Sequence[ReportedQueue],
    unmet: Sequence[str],
    notes: Sequence[str],
    start: str,
) -> str:
    """The arguments are those of `report`."""
    failed_entities = [entity for entity in entities if entity.failed][:_MOST_OTHERS]
    blocks = [
        list(_causes([timeline for timeline, _ in runs])),
        [f"{each.id} failed at {brief(each.failed[-1].error)}" for each in failed_entities],
        [_queue(queue) for queue in queues[:_MOST_OTHERS]],
        [f"Fault that no call has met: {fault}" for fault in unmet[:_MOST_OTHERS]],
        [f"{_NOTE}{note}" for note in notes[:_MOST_OTHERS]],
    ]
    blocks = [block for block in blocks if block]
    left = sorted(runs, key=lambda run: _rank(run[0]))
    while left and (left[0][0].parent_id is None or left[0][0].status != "Completed"):
        block = list(_run(*left[0], start))[:_MOST_OF_RUN]
        room = _MOST_LINES - 3 - sum(len(each) + 1 for each in blocks)
        if len(block) > room and len(left) < len(runs):  # the first one is always shown
            break
        blocks.append(block)
        del left[0]
    kinds = Counter(f"{timeline.name} ({timeline.status})" for timeline, _ in left)
    more = ", ".join(f"{number} of {kind}" for kind, number in kinds.most_common())
    blocks.append([f"More instances: {more}."] * bool(more) + [_MORE])
    # Notes are whole: how to mend the code may stand at their end.
    return "\n\n".join(
        "\n".join(line if line.startswith(_NOTE) else shortened(line, _WIDTH) for line in block)
        for block in blocks
    )


def _queue(queue: ReportedQueue) -> str:
    oldest = f", the oldest is {brief(queue.oldest[0])}" if queue.oldest else ""
    return f"queue {queue.name}: {count(queue.messages, 'message')}{oldest}"


def _rank(timeline: Timeline) -> tuple[bool, bool, bool]:
    """Instances that the test has started, then those that have failed, then those that go on."""
    return timeline.parent_id is not None, timeline.status != "Failed", timeline.ended_at is not None


# -- why calls failed --------------------------------------------------------------------------------------------
def _causes(timelines: Sequence[Timeline]) -> Iterator[str]:
    # A child that has called something that failed is no cause of its own.
    explained = {timeline.instance_id for timeline in timelines if timeline.failed_tasks()}
    calls: dict[str, dict[tuple[str, int], Task]] = defaultdict(dict)
    for number, task in enumerate(task for timeline in timelines for task in timeline.tasks):
        if task.is_activity or task.kind == model.CHILD:
            item = _map_item(task)  # of which the newest try decides
            calls[task.name][(item[0], item[1]) if item else ("", number)] = task
    causes: dict[tuple[str, str], _Cause] = {}
    for name, called in calls.items():
        for (map_id, _), task in sorted(called.items(), key=lambda each: each[0]):
            if task.state == model.FAILED and task.instance_id not in explained:
                error, of = task.error or "no reason given", f"{len(called)} {'items' if map_id else 'calls'}"
                new = _Cause(name, error, task.stack, of, [])
                causes.setdefault((name, task.stack or error), new).calls.append(_which(task))
    ranked = sorted(causes.values(), key=lambda cause: -len(cause.calls))
    for cause in ranked[:_MOST_CAUSES]:
        yield f"{cause.function} failed for {len(cause.calls)} of {cause.of}: {brief(cause.error)}"
        yield f"  {', '.join(cause.calls)}"
        yield from _place(cause.stack)
    for cause in ranked[_MOST_CAUSES:][:1]:
        more = sum(len(each.calls) for each in ranked[_MOST_CAUSES:])
        yield f"{more} more failed otherwise, of {cause.function} for example: {brief(cause.error)}"


def _which(task: Task) -> str:
    item = _map_item(task)
    index, given = (item[1], item[2]) if item else (task.index, task.input)
    return f"{'' if index is None else f'[{index}] '}{sentences.brief(given, 30)}"


def _map_item(task: Task) -> tuple[str, int, str] | None:
    """The map's id, the number and the JSON of the item, if a map has made the call (docs/map.md has the shape)."""
    with suppress(ValueError, TypeError, KeyError):
        given = json.loads(task.input or "")
        return str(given["map_id"]), int(given["index"]), json.dumps(given["item"], ensure_ascii=False)
    return None


def _place(stack: str) -> Iterator[str]:
    """The newest frames, without the lines that underline a part of the line above."""
    lines = [line for line in user_frames(stack).splitlines() if line.strip(" ^~")]
    starts = [number for number, line in enumerate(lines) if line.startswith("  File ")]
    newest = lines[starts[-_MOST_FRAMES:][0] if starts else 0 :]
    return (f"  {line}" for line in newest[: 3 * _MOST_FRAMES])


# -- what instances did ------------------------------------------------------------------------------------------
def _run(timeline: Timeline, sentence: str, start: str) -> Iterator[str]:
    called = f", called by {timeline.parent_id}" if timeline.parent_id else ""
    yield f"{timeline.name} {timeline.instance_id}: {timeline.status}{called}"
    if timeline.input is not None:
        yield f"  input {brief(timeline.input)}"
    shown = [task for task in timeline.tasks if task.is_open][:_MOST_TASKS]
    for task in shown:
        row = since(task.scheduled_at, start), sentences.task_label(task), task.state, outcome(task)
        yield f"  {'  '.join(filter(None, row))}"
    if more := Counter(task.state for task in timeline.tasks if task not in shown):
        states = ", ".join(f"{number} {state}" for state, number in more.most_common())
        yield f"  {count(more.total(), 'more task' if shown else 'task')}: {states}"
    yield from ended(timeline, sentence)
