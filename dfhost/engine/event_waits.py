"""External events and the waits for them: which wait gets which event, as on the extension.

Names are matched without regard to case. Of several waits for one name the newest gets the event; of several events
that nothing waited for, the oldest is taken first (both recorded).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from dfhost.engine.history import Event
from dfhost.engine.tasks import SingleTask


class EventWaits:
    """The open waits of one execution, and the events that have come too early for one."""

    def __init__(self) -> None:
        self._waits: dict[str, list[SingleTask]] = {}  # by the event's name in lower case
        self._early: dict[str, deque[Event]] = {}  # likewise

    def add(self, task: SingleTask) -> bool:
        """Open a wait. False if an event was there already: it is taken, and the task is done."""
        name = _name(task).lower()
        if early := self._early.get(name):
            early.popleft()
            return False
        self._waits.setdefault(name, []).append(task)
        return True

    def take(self, event: Event) -> SingleTask | None:
        """The wait that gets this event. None if it is kept for a later one."""
        name = event.key.lower()
        if not (waits := self._waits.get(name)):
            self._early.setdefault(name, deque()).append(event)
            return None
        task = waits.pop()
        if not waits:
            del self._waits[name]
        return task

    def tasks(self) -> Iterator[SingleTask]:
        """The open waits."""
        return (task for waits in self._waits.values() for task in waits)

    def early_events(self) -> Iterator[Event]:
        return (event for events in self._early.values() for event in events)

    def names(self) -> Iterator[str]:
        """What open waits wait for, as the code writes it."""
        return map(_name, self.tasks())

    def awaits(self, name: str) -> bool:
        """Whether a wait for an event of exactly this name is open."""
        return any(_name(task) == name for task in self._waits.get(name.lower(), ()))


def _name(task: SingleTask) -> str:
    name: str = task.action["externalEventName"]
    return name
