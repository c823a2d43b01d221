"""The timeline of an instance as it is now: what the store holds, and what only the dispatchers know.

That is which activities run, and which external events the code waits for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from dfhost.dispatch.dispatchers import Dispatchers
from dfhost.dispatch.instance_cache import LoadedInstance
from dfhost.engine import history as h
from dfhost.engine.tasks import CompoundTask, SingleTask, TaskNode
from dfhost.store.reader import StoredTimeline
from dfhost.timeline.builder import OFF_LOOP_FROM, build_timeline
from dfhost.timeline.model import EVENT, TIMER, WAITING, Task, Timeline

_EVENT_RAISED = h.prefix_of(h.EVENT_RAISED)


class CodeState(NamedTuple):
    """What the code waits for. `awaited`: task ids, names of events and ids of requests; None if that is unknown.

    `events`: those that it waits for or has left open, as tasks. `unclaimed`: events that have come and that nothing
    waits for. `held`: names of those that end a wait once the instance is resumed. `long_timers`: see `AwaitedTasks`.
    """

    awaited: Collection[int | str] | None = None
    events: Sequence[Task] = ()
    unclaimed: Sequence[h.Event] = ()
    held: Sequence[str] = ()
    long_timers: Sequence[tuple[int | str, str]] = ()


def code_state(instance: LoadedInstance | None, stored: StoredTimeline) -> CodeState:
    """`instance`: None if it has ended, or if its code runs at this moment and cannot be asked."""
    if instance is None:
        return CodeState()
    result, interpreter = instance.execution.result, instance.execution.interpreter
    tasks = None if result is None else result.awaited
    awaited = None if tasks is None else tasks.keys
    if interpreter.held_back():
        awaited = None  # what the code waits for has not even been started
    events, unclaimed, held = _external_events(instance, awaited, stored)
    return CodeState(awaited, events, unclaimed, held, tasks.long_timers if tasks else ())


async def live_timeline(stored: StoredTimeline, code: CodeState, dispatchers: Dispatchers) -> Timeline:
    build = partial(_live_timeline, stored, code, dispatchers)
    return build() if len(stored.history) < OFF_LOOP_FROM else await asyncio.to_thread(build)


def _live_timeline(stored: StoredTimeline, code: CodeState, dispatchers: Dispatchers) -> Timeline:
    ids = stored.row.instance_id, stored.row.execution_id
    states = {task_id: dispatchers.activities.state(*ids, task_id) for task_id in stored.inputs}
    running = {task_id: since for task_id, (_, since) in states.items() if since is not None}
    timeline = build_timeline(stored, running)
    whole_timers = dict(code.long_timers)
    for task in timeline.tasks:
        if not task.is_open or task.task_id is None:
            continue
        if code.awaited is not None:
            task.is_awaited = task.task_id in code.awaited or task.request_id in code.awaited
        if task.kind == TIMER:
            task.due = whole_timers.get(task.task_id, task.due)
    if not stored.row.has_ended:
        timeline.tasks += code.events
    return timeline


def _external_events(
    instance: LoadedInstance, awaited: Collection[int | str] | None, stored: StoredTimeline
) -> tuple[list[Task], list[h.Event], list[str]]:
    """Those that are waited for, those that have come and that nothing waits for, and `CodeState.held`."""
    interpreter = instance.execution.interpreter
    waits = list(interpreter.event_waits.tasks())
    unclaimed = list(interpreter.event_waits.early_events())
    held: list[str] = []
    # Events that have come since the last episode are not processed yet, but end a wait all the same.
    for event in (*interpreter.suspended_events, *(event for _, event in instance.messages)):
        if event.event_type != h.EVENT_RAISED or event.key in interpreter.open_tasks:
            continue
        ended = [task for task in waits if _event_name(task).lower() == event.key.lower()]
        if ended:
            waits.remove(ended[-1])
            if interpreter.is_suspended:
                held.append(str(event.key))
        else:
            unclaimed.append(event)
    events = [
        _event_task(name, task.waiting_since, awaited is None or name in awaited)
        for task in waits
        for name in [_event_name(task)]
    ]
    raised = list(_raised(stored))
    for key in (awaited or ()) if raised else ():
        # For the extension, and so for the interpreter, an event whose name differs in case ends the wait; not so
        # for the SDK.
        name = str(key)
        others = [event for event in raised if event.key != key and event.key.lower() == name.lower()]
        if others and not any(_event_name(task) == name for task in waits):
            begun = [
                task.waiting_since for task in _begun_waits(interpreter.tasks) if _event_name(task) == name
            ]
            events.append(_event_task(name, begun[-1] if begun else others[0].text, True))
            unclaimed.append(others[0])
    return events, unclaimed, held


def _begun_waits(tasks: Iterable[TaskNode]) -> Iterator[SingleTask]:
    """The waits for external events that have begun, ended ones included, the oldest first."""
    for task in tasks:
        if isinstance(task, CompoundTask):
            yield from _begun_waits(task.children)
        elif task.waiting_since:
            yield task


def _event_task(name: str, begin: str, is_awaited: bool) -> Task:
    """`begin`: the history event at which the wait began."""
    return Task(EVENT, name, WAITING, h.timestamp_in(begin), is_awaited=is_awaited)


def _raised(stored: StoredTimeline) -> Iterator[h.Event]:
    return (h.parse(text) for text in (*stored.history, *stored.inbox) if text.startswith(_EVENT_RAISED))


def _event_name(task: SingleTask) -> str:
    return str(task.action["externalEventName"])
