"""An instance together with those that it has called, and those that they have: their timelines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from dfhost.timeline.model import CHILD, FAILED, Timeline
from dfhost.timeline.sentences import rewind_sentence

_MOST = 2_000  # instances

#: By instance id; None if there is no such instance.
TimelineOf = Callable[[str], Awaitable[Timeline | None]]


async def timelines_below(
    instance_id: str, timeline_of: TimelineOf, only_state: str | None = None
) -> AsyncGenerator[Timeline, None]:
    """The instance's timeline and those of its descendants. `only_state`: without children in any other state."""
    pending, looked_at = [instance_id], 0
    while pending and looked_at < _MOST:
        timeline = await timeline_of(pending.pop())
        looked_at += 1
        if timeline is not None:
            yield timeline
            children = (task for task in timeline.tasks if task.kind == CHILD)
            pending += [
                task.instance_id for task in children if task.instance_id and only_state in (None, task.state)
            ]
        await asyncio.sleep(0)  # others are answered in between


async def rewind_warning(instance_id: str, timeline_of: TimelineOf) -> str:
    """Why a rewind will not help, "" if it may: a call was retried in the instance or in a failed descendant.

    A rewind goes down to the children that failed.
    """
    async with aclosing(timelines_below(instance_id, timeline_of, only_state=FAILED)) as timelines:
        async for timeline in timelines:
            if retried := timeline.retried_tasks():
                return rewind_sentence(retried)
    return ""
