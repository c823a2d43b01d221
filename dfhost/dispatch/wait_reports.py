"""Reports why orchestrations stand still: what they wait for, which external events come, who suspends and resumes.

Each wait is reported once, when the episode that has led to it is committed. While an activity, a child or an entity
is to end first, nothing is reported: work goes on, and that has lines of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dfhost.clock import Clock
from dfhost.dispatch.event_hints import EventHints
from dfhost.dispatch.instance_cache import InstanceCache, LoadedInstance
from dfhost.engine import actions as act
from dfhost.engine.execution import Execution
from dfhost.engine.history import SUSPENDED, Event, reason, timestamp_in
from dfhost.host_log import HostLog
from dfhost.timestamps import padded, parse_timestamp

_SHORT = 5.0  # seconds; nobody wonders about an orchestration that goes on so soon, as one that polls


@dataclass(slots=True)
class _Waits:
    """`timers`: task id -> when it is due, ISO text."""

    needs_all: bool
    events: list[str] = field(default_factory=list)
    timers: dict[int | str, str] = field(default_factory=dict)


class WaitReports:
    """To be called on the host's loop."""

    def __init__(self, log: HostLog, clock: Clock, instances: InstanceCache) -> None:
        self._log = log
        self._instances = instances
        self._clock = clock
        self._since = clock.timestamp()
        self._hints = EventHints(log)

    def event_arrived(self, instance: LoadedInstance, event: Event) -> None:
        """Its name may also be the id of a request to an entity, which is what its response is called."""
        if timestamp_in(event.text) < self._since:  # an earlier host has reported it
            return
        name = event.key
        interpreter = instance.execution.interpreter
        is_known = instance.execution.result is not None  # else it was loaded and not replayed yet
        if name in interpreter.open_tasks or (not is_known and _is_request_id(name)):
            return
        waits = interpreter.event_waits.awaits(name) or instance.execution.gate.awaits(name)
        is_awaited = waits if is_known else None
        receiver = f"{instance.name} {instance.instance_id}"
        child = self._instances.child_awaiting(instance, name) if is_awaited is False else None
        self._log.received(instance.name, instance.instance_id, name, is_awaited if child is None else None)
        if child is not None:
            self._hints.child_awaits(name, receiver, child.instance_id)
        self._hints.arrived(event, interpreter.event_waits.names(), receiver)
        instance.reported_waits.discard(name)  # the next wait for it is a new one

    def paused_or_resumed(self, instance: LoadedInstance, event: Event) -> None:
        if timestamp_in(event.text) < self._since:  # as above
            return
        verb = "suspended" if event.event_type == SUSPENDED else "resumed"
        self._log.steered(instance.name, instance.instance_id, verb, reason(event))

    def episode_committed(self, instance: LoadedInstance) -> None:
        """Report what the code waits for now, if a replay has led to it and it was not reported before."""
        result = instance.execution.result
        if result is None or result is instance.reported_result:
            return
        instance.reported_result = result
        waits = _waits_of(instance.execution)
        if waits is None or instance.reported_waits.issuperset((*waits.events, *waits.timers)):
            return
        due = (max if waits.needs_all else min)(waits.timers.values(), default=None)
        timer_in = None if due is None else (parse_timestamp(due) - self._clock.now()).total_seconds()
        if timer_in is not None and timer_in <= _SHORT and not (waits.needs_all and waits.events):
            return
        instance.reported_waits = {*waits.events, *waits.timers}
        self._log.waiting(instance.name, instance.instance_id, waits.events, timer_in, waits.needs_all)


def _waits_of(execution: Execution) -> _Waits | None:
    """None if the code has ended, is suspended, or waits for work. Where it needs work and events, the events."""
    result, interpreter = execution.result, execution.interpreter
    if result is None or result.awaited is None or result.has_ended or interpreter.is_suspended:
        return None
    keys, needs_all, long_timers = result.awaited
    waits, whole, works = _Waits(needs_all), dict(long_timers), False
    has_events = next(interpreter.event_waits.tasks(), None) is not None
    for key in keys:
        task = interpreter.open_tasks.get(key)
        if isinstance(key, str) and task is None:
            waits.events.append(key)
        elif task is not None and task.action_type == act.CREATE_TIMER:
            waits.timers[key] = padded(whole.get(key) or task.action["fireAt"])
        elif needs_all and has_events:  # no replay comes when only the events are left, so this is the moment
            works = True
        else:
            return None
    if works:
        waits.timers.clear()
    waits.events.sort()
    return waits


def _is_request_id(name: str) -> bool:
    """Whether it looks like a UUID."""
    return len(name) == 36 and name.count("-") == 4
