"""What happened in a test, for whoever reads why it failed: one block of lines for each instance and entity. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dfhost.cli.style import count
from dfhost.durations import exact_duration
from dfhost.printable import readable_payload, shortened
from dfhost.testing.records import FailedBatch
from dfhost.timeline import model
from dfhost.timeline.model import Task, Timeline
from dfhost.timeline.sentences import task_label
from dfhost.timestamps import parse_timestamp

_MOST_RUNS = 20
_MOST_TASKS = 40  # of one instance
_MOST_TASKS_OF_CHILD = 10  # more than that: only those that failed or are open
_MOST_ALIKE = 3  # sub-orchestrations of one name and status in which nothing has failed; more are counted
MOST_OF_QUEUE = 3  # messages
_LONGEST = 200  # characters of a payload

#: A timeline, and what its instance waits for in a sentence.
Explained = tuple[Timeline, str]


class ReportedEntity(NamedTuple):
    """`state`: as JSON, None if it does not exist."""

    id: str
    state: str | None
    failed: Sequence[FailedBatch]


class ReportedQueue(NamedTuple):
    """A storage queue that is not empty. `oldest`: the texts of its oldest messages."""

    name: str
    messages: int
    oldest: Sequence[str]


def report(
    runs: Sequence[Explained],
    entities: Sequence[ReportedEntity],
    queues: Sequence[ReportedQueue],
    unmet: Sequence[str],
    notes: Sequence[str],
    start: str,
) -> str:
    """`unmet`: the faults that no call has met. `start`: when the test began; the times of tasks count from there."""
    shown, folded = _without_alike(runs)
    stacks: set[str] = set()
    blocks = ["\n".join(_run(timeline, sentence, start, stacks)) for timeline, sentence in shown[:_MOST_RUNS]]
    if len(shown) > _MOST_RUNS:
        blocks.append(f"{len(shown) - _MOST_RUNS} more instances.")
    if folded:
        alike = (f"{number} of {name} ({status})" for (name, status), number in folded.items())
        blocks.append(f"More sub-orchestrations without a failed task: {', '.join(alike)}.")
    # Those with failures first.
    ranked = sorted(entities, key=lambda entity: not entity.failed)
    blocks += ["\n".join(_entity(entity, start)) for entity in ranked[:_MOST_RUNS]]
    if len(entities) > _MOST_RUNS:
        blocks.append(f"{len(entities) - _MOST_RUNS} more entities.")
    blocks += ["\n".join(_queue(queue)) for queue in queues[:_MOST_RUNS]]
    if len(queues) > _MOST_RUNS:
        blocks.append(f"{len(queues) - _MOST_RUNS} more queues.")
    if unmet:
        blocks.append("\n".join(("Faults that no call has met:", *(f"  {fault}" for fault in unmet))))
    if notes:
        blocks.append("\n".join(("The host says:", *(f"  {note}" for note in notes))))
    return "\n\n".join(blocks)


def _without_alike(runs: Sequence[Explained]) -> tuple[list[Explained], Counter[tuple[str, str]]]:
    """Those to show, and how many more there are by name and status: children that are alike, if there are many."""
    alike = Counter(_kind(timeline) for timeline, _ in runs if not _stands_out(timeline))
    shown: list[Explained] = []
    seen: Counter[tuple[str, str]] = Counter()
    folded: Counter[tuple[str, str]] = Counter()
    for run in runs:
        kind = _kind(run[0])
        seen[kind] += 1
        first = run[0].status != "Completed" and seen[kind] <= _MOST_ALIKE
        if first or _stands_out(run[0]) or alike[kind] <= _MOST_ALIKE:
            shown.append(run)
        else:
            folded[kind] += 1
    return shown, folded


def _kind(timeline: Timeline) -> tuple[str, str]:
    return timeline.name, timeline.status


def _stands_out(timeline: Timeline) -> bool:
    return timeline.parent_id is None or timeline.status == "Failed" or bool(timeline.failed_tasks())


def _run(timeline: Timeline, sentence: str, start: str, stacks: set[str]) -> Iterator[str]:
    """`stacks`: the tracebacks that have been shown; each is shown once."""
    called = f", called by {timeline.parent_id}" if timeline.parent_id else ""
    yield f"{timeline.name} {timeline.instance_id}: {timeline.status}{called}"
    if timeline.input is not None:
        yield f"  input {brief(timeline.input)}"
    shown = _chosen(timeline)
    rows = [(since(each.scheduled_at, start), task_label(each), each.state) for each in shown]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for row, task in zip(rows, shown, strict=True):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield f"  {'  '.join(cells)}  {outcome(task)}".rstrip()
        for attempt in task.attempts if task.max_attempts > 1 else ():
            yield f"      attempt {attempt.number}  {attempt.state}  {brief(attempt.error or '')}".rstrip()
        if task.state == model.FAILED and task.stack not in stacks:
            stacks.add(task.stack)
            yield from _indented(task.stack)
    if len(shown) < len(timeline.tasks):
        yield f"  {len(timeline.tasks) - len(shown)} more tasks."
    yield from ended(timeline, sentence)


def ended(timeline: Timeline, sentence: str) -> Iterator[str]:
    """How the instance has ended, or what it waits for."""
    if timeline.custom_status not in (None, "null"):
        yield f"  custom status {brief(timeline.custom_status)}"
    if timeline.ended_at is None:
        yield f"  {sentence}"
    elif timeline.error:
        yield f"  failed: {brief(timeline.cause or timeline.error)}"
        if not timeline.failed_tasks():  # it has a failure of its own
            yield from _indented(timeline.stack)
    else:
        yield f"  output {brief(timeline.output or 'null')}"


def _entity(entity: ReportedEntity, start: str) -> Iterator[str]:
    yield f"{entity.id}: {'does not exist' if entity.state is None else f'state {brief(entity.state)}'}"
    for batch in entity.failed[-_MOST_TASKS:]:
        yield f"  {since(batch.at, start)}  failed  {brief(batch.error)}"
        yield from _indented(batch.stack)


def _queue(queue: ReportedQueue) -> Iterator[str]:
    yield f"queue {queue.name}: {count(queue.messages, 'message')}"
    for text in queue.oldest:
        yield f"  {brief(text)}"
    if more := queue.messages - len(queue.oldest):
        yield f"  {count(more, 'more message')}."


def _chosen(timeline: Timeline) -> Sequence[Task]:
    """Of a great many those that failed or are open, then the first ones; in their order."""
    tasks, matters = timeline.tasks, model.OPEN | {model.FAILED}
    if timeline.parent_id and len(tasks) > _MOST_TASKS_OF_CHILD:
        return [task for task in tasks if task.state in matters][:_MOST_TASKS_OF_CHILD]
    if len(tasks) <= _MOST_TASKS:
        return tasks
    ranked = sorted(range(len(tasks)), key=lambda number: (tasks[number].state not in matters, number))
    return [tasks[number] for number in sorted(ranked[:_MOST_TASKS])]


def outcome(task: Task) -> str:
    if task.error:
        return f"-> {brief(task.error)}"
    if task.due and task.state in model.OPEN:
        return f"due at {task.due}"
    return f"-> {brief(task.result)}" if task.result is not None else ""


def since(at: str | None, start: str) -> str:
    if at is None:
        return ""
    passed = parse_timestamp(at) - parse_timestamp(start)
    return f"+{exact_duration(passed)}" if passed else "+0"


def brief(text: str | None) -> str:
    return shortened(" ".join(readable_payload(text or "").split()), _LONGEST)


def _indented(stack: str) -> Iterator[str]:
    return (f"      {line}" for line in stack.splitlines() if line.strip())
