"""The orchestration instances in memory: loading them, and evicting those that have been idle for longest.

Everything can be loaded again from the store, at the price of one replay. That is little for a short history, so of
those the newest few are kept. A parent of ten thousand children would pay it for every child, so long histories are
evicted last. What an instance weighs is the length of its history's texts: a payload of 1 MB weighs as much as
thousands of events. Of some long ones a generator is kept as well (`engine/orchestrator_code.py`); it is
dropped first, since its instance can go on without it.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from dfhost.clock import Clock
from dfhost.dispatch.poison_messages import PoisonMessages
from dfhost.engine import actions as act
from dfhost.engine import history as h
from dfhost.engine.episode import NextGeneration
from dfhost.engine.execution import Execution
from dfhost.engine.execution_info import Parent
from dfhost.engine.history import Event
from dfhost.engine.replay_gate import ReplayNeed
from dfhost.engine.replay_result import ReplayResult
from dfhost.host_log import Attempt
from dfhost.store.instance_row import InstanceRow
from dfhost.store.listener import InboxMessage
from dfhost.store.store import Store
from dfhost.timestamps import parse_timestamp

LONG_FROM = 200  # events
KEPT_SHORT = 1000  # idle instances with a short history
KEPT_IN_SHORT = 16_000_000  # characters in their histories; with what is built from them about 50 MB
KEPT_IN_LONG = 150_000_000  # characters in the long histories of idle instances
_LOOPS_FROM = 10  # renewals
_SHORT_EPISODE = 1.0  # seconds
_MOST_CHILDREN = 100  # among which `child_awaiting` looks
KEPT_GENERATOR_EVENTS = 250_000  # that the generators of idle instances have processed: about 100 MB


@dataclass(slots=True)
class LoadedInstance:
    """An instance in memory. Its `messages` are in its inbox and not processed yet."""

    instance_id: str
    execution_id: str
    name: str
    parent: Parent | None
    execution: Execution
    stored_events: int  # in its history
    newest_seen: int  # the number of the newest message that came, whichever execution it was for
    messages: list[tuple[str, Event]] = field(default_factory=list)  # with the execution they are for, or ""
    newest_accepted: int = 0  # the number of the newest one that was for this execution
    judged: int = 0  # how many of `messages` the replay gate has seen
    reported: int = 0  # how many of them `WaitReports` has seen
    replay_need: ReplayNeed = ReplayNeed.NONE
    needs_episode: bool = False  # with a replay, though there is no message: a new generation
    renewals: int = 0  # how many generations in a row have called continue_as_new in their first episode
    has_more_commands: bool = False  # its last episode left some to the next
    is_shown_running: bool = False  # in the store, before its first episode is committed
    busy: bool = False  # an episode is queued or runs
    code_changed: bool = False  # since that episode was queued
    episode_started_at: str = ""  # when that got its turn: the changes that it commits are not older
    episode_since: float = 0.0  # time.time() when that began to run, 0 while it is queued
    delayed_episode: asyncio.TimerHandle | None = None  # see `EpisodeDelays`
    started_at: float = 0.0  # time.perf_counter() of the instance's first episode
    attempt: Attempt | None = None  # once it has failed, see `InstanceCache.attempt_of`
    reported_result: ReplayResult | None = None  # whose waits were reported, see `WaitReports`
    reported_waits: set[int | str] = field(default_factory=set)  # task ids of timers, and names of events
    last_episode_seconds: float = 0.0
    last_episode_at: float = 0.0  # its commit, by the loop's time()

    @property
    def is_loop(self) -> bool:
        """Whether it does nothing but call continue_as_new, and none of its code runs for long."""
        runs_long = self.episode_since > 0 and time.time() - self.episode_since > _SHORT_EPISODE
        return self.renewals >= _LOOPS_FROM and not runs_long

    def receive(self, message: InboxMessage) -> None:
        """Raises if the message cannot be read: it is not added, and will not be accepted again."""
        if message.seq <= self.newest_seen:  # it was loaded with the inbox
            return
        self.newest_seen = message.seq
        if message.execution_id in ("", self.execution_id):
            self.messages.append((message.execution_id, message.event or h.parse_message(message.text)))
            self.newest_accepted = message.seq

    def take_messages(self) -> tuple[list[Event], ReplayNeed, int]:
        """For an episode: the events that have come, what they ask for, and the number of the newest of them.

        The first replay of a generation has none of the external events that have come meanwhile: they are for the
        next episode, as on Azure, or its code would seem to be replayed.
        """
        if self.needs_episode and self.execution.is_new_generation and self._has_only_events:
            self.judged, self.replay_need = 0, ReplayNeed.NONE  # the gate is another one after the replay
            return [], ReplayNeed.REPLAY, 0
        events = [event for _, event in self.messages]
        need = ReplayNeed.REPLAY if self.needs_episode else self.replay_need
        self.messages, self.judged, self.reported, self.replay_need = [], 0, 0, ReplayNeed.NONE
        return events, need, self.newest_accepted

    @property
    def _has_only_events(self) -> bool:
        return all(event.event_type == h.EVENT_RAISED for _, event in self.messages)

    def begin_generation(self, following: NextGeneration) -> None:
        """Go on with this one. Messages for the old one are no longer in the store either."""
        self.execution = Execution(following.history)
        self.execution_id = following.execution_id
        self.reported = sum(not execution_id for execution_id, _ in self.messages[: self.reported])
        self.messages = [message for message in self.messages if not message[0]]
        self.needs_episode = True
        self.reported_waits.clear()  # task ids begin anew


class _IdleInstances:
    """Ids of idle instances in the order in which they became so, each with the size of what is kept of it."""

    def __init__(self) -> None:
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self.size = 0  # of all of them

    def __len__(self) -> int:
        return len(self._sizes)

    def add(self, instance_id: str, size: int) -> None:
        self._sizes[instance_id] = size
        self.size += size

    def remove(self, instance_id: str) -> None:
        self.size -= self._sizes.pop(instance_id, 0)

    def pop_oldest(self) -> str:
        instance_id, size = self._sizes.popitem(last=False)
        self.size -= size
        return instance_id


class InstanceCache:
    """Instances by id. Idle ones stay until `evict` finds that there are too many."""

    def __init__(self, store: Store, clock: Clock, poison: PoisonMessages) -> None:
        self._store = store
        self._clock = clock
        self._poison = poison
        self._unreadable: set[str] = set()  # instances whose history cannot be read
        self._instances: dict[str, LoadedInstance] = {}
        self._idle_short = _IdleInstances()  # by the characters in their histories
        self._idle_long = _IdleInstances()
        self._idle_generators = _IdleInstances()  # by the events that their generators have processed

    def __contains__(self, instance_id: str) -> bool:
        return instance_id in self._instances

    def __iter__(self) -> Iterator[LoadedInstance]:
        return iter(self._instances.values())

    def holds(self, instance: LoadedInstance) -> bool:
        """False once it has ended, or was purged or replaced."""
        return self._instances.get(instance.instance_id) is instance

    def is_busy(self, instance_id: str) -> bool:
        """Whether its code runs now, or is about to."""
        instance = self._instances.get(instance_id)
        return instance is not None and instance.busy

    def attempt_of(self, child: LoadedInstance) -> Attempt | None:
        """Which attempt of its parent's call `child` is, if that call has retries and the parent is in memory.

        On any thread, before the child's end is committed: with that the parent goes on.
        """
        if child.parent is None or (parent := self._instances.get(child.parent.instance_id)) is None:
            return None
        task = parent.execution.interpreter.open_tasks.get(child.parent.task_id)
        if task is None or task.action_type not in act.WITH_RETRY:
            return None
        return Attempt(task.attempt, task.max_attempts, task.retry_after)

    def child_awaiting(self, parent: LoadedInstance, event_name: str) -> LoadedInstance | None:
        """A child that is in memory and waits for an event of exactly this name."""
        children = (
            self._instances.get(task.action.get("instanceId") or f"{parent.execution_id}:{task_id}")
            for task_id, task in parent.execution.interpreter.open_tasks.items()
            if task.action_type in act.SUB_ORCHESTRATIONS
        )
        for child in islice(children, _MOST_CHILDREN):
            if child is not None and child.execution.interpreter.event_waits.awaits(event_name):
                return child
        return None

    def in_memory(self, instance_id: str) -> LoadedInstance | None:
        return self._instances.get(instance_id)

    def get(self, instance_id: str) -> LoadedInstance | None:
        """Load it if need be; None if it has ended, cannot be read or does not exist."""
        return self._instances.get(instance_id) or self._load(instance_id)

    def add_new(self, row: InstanceRow, newest_seen: int) -> LoadedInstance:
        """An instance that was just created: there is nothing to load."""
        instance = LoadedInstance(
            row.instance_id, row.execution_id, row.name, row.parent, Execution(), 0, newest_seen
        )
        self._instances[row.instance_id] = instance
        return instance

    def _load(self, instance_id: str) -> LoadedInstance | None:
        stored = self._store.load_instance(instance_id)
        if stored is None or stored.row.has_ended:
            return None
        row = stored.row
        try:
            execution = Execution(h.parse(text) for text in stored.history)
        except Exception as error:
            if instance_id not in self._unreadable:
                self._unreadable.add(instance_id)
                self._poison.report_history(instance_id, error)
            return None
        instance = LoadedInstance(
            instance_id, row.execution_id, row.name, row.parent, execution, len(stored.history), 0
        )
        instance.needs_episode = stored.needs_episode
        if stored.history:  # it was started by an earlier host, or was evicted
            age = (self._clock.now() - parse_timestamp(row.created_at)).total_seconds()
            instance.started_at = time.perf_counter() - max(0.0, age)
        self._instances[instance_id] = instance
        for message in stored.inbox:
            self.pass_on(instance, message)
        return instance

    def pass_on(self, instance: LoadedInstance, message: InboxMessage) -> None:
        try:
            instance.receive(message)
        except Exception as error:
            self._poison.set_aside(message, error)

    def remove(self, instance_id: str) -> LoadedInstance | None:
        self.mark_active(instance_id)
        return self._instances.pop(instance_id, None)

    def mark_idle(self, instance: LoadedInstance) -> None:
        """It has nothing to do, so it may be evicted."""
        self.mark_active(instance.instance_id)
        idle = self._idle_short if instance.stored_events < LONG_FROM else self._idle_long
        idle.add(instance.instance_id, instance.execution.code.text_length)
        if events := instance.execution.code.generator_length:
            self._idle_generators.add(instance.instance_id, events)

    def mark_active(self, instance_id: str) -> None:
        self._idle_short.remove(instance_id)
        self._idle_long.remove(instance_id)
        self._idle_generators.remove(instance_id)

    def evict(self) -> None:
        """Drop the surplus of idle instances. Only when everything that they received is on the disk."""
        while len(self._idle_short) > KEPT_SHORT or self._idle_short.size > KEPT_IN_SHORT:
            self.remove(self._idle_short.pop_oldest())
        while self._idle_long.size > KEPT_IN_LONG and len(self._idle_long) > 1:
            self.remove(self._idle_long.pop_oldest())
        while self._idle_generators.size > KEPT_GENERATOR_EVENTS:
            self._instances[self._idle_generators.pop_oldest()].execution.code.drop_generator()
