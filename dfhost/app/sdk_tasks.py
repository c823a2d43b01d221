"""Reads the SDK's own tasks: which of them a generator waits for, and which ids they have.

Private parts of the SDK that this relies on: the classes of its tasks, and of the orchestration context `open_tasks`
and `_actions`. The engine holds replays back by what it learns here, and finds task-id conflicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from azure.durable_functions.models.actions.CompoundAction import CompoundAction
from azure.durable_functions.models.actions.NoOpAction import NoOpAction
from azure.durable_functions.models.Task import (
    AtomicTask,
    LongTimerTask,
    RetryAbleTask,
    WhenAllTask,
    WhenAnyTask,
)

from dfhost.engine.replay_result import AwaitedTasks, SdkTask


def awaited_tasks(task: Any) -> AwaitedTasks | None:
    """What a generator waits for that has yielded `task`; None if the SDK has given a task in it no id yet."""
    if isinstance(task, RetryAbleTask):
        return AwaitedTasks(frozenset((task.children[0].id,)), True)
    if not isinstance(task, (WhenAllTask, WhenAnyTask)):
        return None if task.id is None else AwaitedTasks(frozenset((task.id,)), True)
    keys: list[int | str] = []
    long_timers: list[tuple[int | str, str]] = []
    all_needed = isinstance(task, WhenAllTask)
    for child in task.pending_tasks:
        if type(child) is AtomicTask and child.id is not None:  # nearly all of a wide fan-out
            keys.append(child.id)
            continue
        part = awaited_tasks(child)
        if part is None:
            return None
        keys += part.keys
        long_timers += part.long_timers
        all_needed = all_needed and part.needs_all
    if isinstance(task, LongTimerTask):
        long_timers = [(key, str(task.action.to_json()["fireAt"])) for key in keys]
    unique = frozenset(keys)
    # Two waits for one event name share a key, so every arrival may be the one that matters.
    return AwaitedTasks(unique, all_needed and len(unique) == len(keys), tuple(long_timers))


class OpenTasks:
    """The open tasks of an orchestration context, as the engine's `SdkTasks`. Each is looked up when asked for."""

    def __init__(self, context: Any) -> None:
        self._context = context
        tasks = context.open_tasks
        self.ids = frozenset(i for i, task in tasks.items() if type(i) is int and type(task) is not list)

    def get(self, task_id: int) -> SdkTask | None:
        if task_id not in self.ids:
            return None
        task = self._context.open_tasks[task_id]
        if isinstance(task.action_repr, NoOpAction):
            role = "timer" if task.parent.is_waiting_on_timer else "attempt"
            return SdkTask(role, task.parent.children[0].id)
        return SdkTask("call", task_id, self._places[id(task.action_repr)])

    @cached_property
    def _places(self) -> dict[int, tuple[int, ...]]:
        """Where each action is, by the identity of the SDK's object."""
        places: dict[int, tuple[int, ...]] = {}

        def look(actions: Sequence[Any], above: tuple[int, ...]) -> None:
            for number, action in enumerate(actions):
                place = (*above, number)
                places.setdefault(id(action), place)
                if isinstance(action, CompoundAction):
                    look(action.compound_tasks, place)

        look(self._context._actions[0], ())
        return places
