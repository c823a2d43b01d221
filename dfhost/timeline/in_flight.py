"""How many calls of an activity ran at once, over time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from dfhost.timeline import model
from dfhost.timeline.model import Attempt, Task, Timeline
from dfhost.timestamps import parse_timestamp, timestamp

Span = tuple[str, str | None]


def activity_spans(timeline: Timeline, name: str) -> list[Span]:
    """When each attempt of this activity began to run and ended; None while it runs. Times are ISO texts."""
    spans: list[Span] = []
    for task in timeline.tasks:
        if task.kind == model.ACTIVITY and task.name == name:
            runs: Sequence[Attempt | Task] = task.attempts or [task]
            spans += [(each.started_at, each.ended_at) for each in runs if each.started_at is not None]
    return spans


def in_flight(spans: Iterable[Span], steps: int = 240) -> list[tuple[str, int]]:
    """The most that ran in each of `steps` equal times, from the first start on: (its begin, how many)."""
    known = [(parse_timestamp(start), None if end is None else parse_timestamp(end)) for start, end in spans]
    if not known:
        return []
    first = min(start for start, _ in known)
    last = max([start for start, _ in known] + [end for _, end in known if end is not None])
    width = max((last - first) / steps, timedelta(microseconds=1))
    changes = sorted([(start, 1) for start, _ in known] + [(end, -1) for _, end in known if end is not None])
    counts: list[tuple[str, int]] = []
    running = place = 0
    for step in range(steps):
        begin, end = first + width * step, first + width * (step + 1)
        most = 0
        while place < len(changes) and changes[place][0] < end:
            if changes[place][0] > begin:
                most = max(most, running)
            running += changes[place][1]
            place += 1
        counts.append((timestamp(begin), max(most, running)))
    return counts
