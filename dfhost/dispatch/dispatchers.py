"""The four dispatchers: they do what the store holds for them to do.

There is one each for orchestrations, activities, entities and timers; the first three run user code. They have the
same methods: `start`, then `add` or `receive` for new work, `drop` (but for timers) for an instance that has ended or
was purged, `stop_accepting` for the end of the host, and `unfinished` (see `IdleSignal`). `Dispatchers` routes the
store's events to them. Its start queues whatever the tables hold, so a crash needs no other recovery. Knows no HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from dfhost.clock import Clock
from dfhost.dispatch.activity_dispatcher import ActivityDispatcher
from dfhost.dispatch.call_http import CallHttp
from dfhost.dispatch.entity_dispatcher import EntityDispatcher
from dfhost.dispatch.orchestration_dispatcher import OrchestrationDispatcher
from dfhost.dispatch.poison_messages import PoisonMessages
from dfhost.dispatch.timer_dispatcher import TimerDispatcher
from dfhost.engine.options import EngineOptions
from dfhost.errors import DatabaseError, OperationFailed
from dfhost.host_log import HostLog
from dfhost.idle_signal import nobody_waits
from dfhost.runner.app_runner import AppRunner
from dfhost.runner.function_registry import AppFunctionRegistry
from dfhost.runner.functions import AppInfo
from dfhost.store.listener import InboxMessage, InstanceRemoved, InstanceRewound, StoreEvent
from dfhost.store.store import Store


class Dispatchers:
    """The store's listener (`StoreListener`)."""

    def __init__(
        self,
        runner: AppRunner,
        store: Store,
        log: HostLog,
        clock: Clock,
        options: EngineOptions,
        *,
        max_activities: int,
        max_orchestrators: int,
        max_entities: int,
        max_entity_batch: int,
        call_http: CallHttp,
        on_store_failure: Callable[[DatabaseError], None],
    ) -> None:
        self.registry = AppFunctionRegistry(runner.app)
        poison = PoisonMessages(store, log, clock)
        self.timers = TimerDispatcher(store, log, clock)
        self.activities = ActivityDispatcher(runner, store, log, clock, max_activities, call_http)
        self.entities = EntityDispatcher(
            runner,
            store,
            log,
            clock,
            poison,
            max_entities,
            registry=self.registry,
            max_batch=max_entity_batch,
        )
        self.orchestrations = OrchestrationDispatcher(
            runner,
            store,
            log,
            clock,
            poison,
            max_orchestrators,
            registry=self.registry,
            options=options,
            activities=self.activities,
            timers=self.timers,
        )
        self._dispatchers = (self.timers, self.activities, self.entities, self.orchestrations)
        self.on_end = nobody_waits  # see `IdleSignal.changed`
        for part in (self.timers, self.entities):
            part.on_end = self._ended
        self._store = store
        self._log = log
        self._on_store_failure = on_store_failure
        self._started = False
        self._uncommitted: list[StoreEvent] = []
        self._waiting: set[str] = set()  # the instances of `_uncommitted`
        store.listen(self)

    @property
    def unfinished(self) -> int:
        """See `IdleSignal`."""
        return self._store.unfinished + sum(each.unfinished for each in self._dispatchers)

    def _ended(self) -> None:
        self.on_end()

    def start(self, open_instances: int, *, check_histories: bool, left_calls: bool = False) -> None:
        """Queue whatever the store holds, so that everything an earlier host has left continues.

        `open_instances`: how many orchestrations have not ended. `check_histories`: whether to look in the background
        if the code fits those that only wait. `left_calls`: see `RunningCalls`.
        """
        for dispatcher in self._dispatchers:
            dispatcher.start()
        self._started = True
        unfinished = self._store.unfinished_activities()
        instances, entities = self._store.instances_needing_episodes(), self._store.entities_with_requests()
        orchestrations = {*(item.instance_id for item in unfinished), *instances}
        busy = len(orchestrations) + len(entities)
        waiting = max(0, open_instances - len(orchestrations))
        if found := busy + waiting:
            counts = [f"{n:,} {what}" for n, what in ((busy, "with work to do"), (waiting, "waiting")) if n]
            instances_in_words = "1 instance" if found == 1 else f"{found:,} instances"
            self._log.note(f"Continuing {instances_in_words} of the last run: {', '.join(counts)}.")
        self.activities.add_left(unfinished, left_calls)
        for instance_id in instances:
            self.orchestrations.wake(instance_id)
        for entity_id in entities:
            self.entities.wake(entity_id)
        if waiting and check_histories:
            self.orchestrations.replays.check_histories()

    def change_app(self, app: AppInfo) -> None:
        """The app was loaded again."""
        self.registry.change_app(app)
        self.orchestrations.replays.code_changed()

    def stop_accepting(self) -> None:
        """Start nothing new from now on."""
        for dispatcher in self._dispatchers:
            dispatcher.stop_accepting()

    async def finish(self) -> None:
        """Start nothing new and wait until the results of what runs have been passed to the store."""
        self.stop_accepting()
        while any(dispatcher.unfinished for dispatcher in self._dispatchers):
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        await self.timers.close()
        self.entities.close()
        self.orchestrations.close()

    # -- the store's listener --------------------------------------------------------------------------------

    def events_written(self, events: Sequence[StoreEvent]) -> bool:
        """Pass on at once what instances in memory wait for: their replays run while the disk is written.

        All else waits for the commit: what must be loaded from the store, and what follows from the end of an
        instance. So do all events of an instance behind the first of its events that waits.
        """
        if not self._started:  # `start` takes up what the store holds by then
            return False
        at_once: list[InboxMessage] = []
        for event in events:
            if (
                isinstance(event, InboxMessage)
                and not event.to_entity
                and event.instance_id not in self._waiting
                and (event.new_instance is not None or event.instance_id in self.orchestrations)
            ):
                at_once.append(event)
            else:
                self._waiting.add(event.instance_id)
                self._uncommitted.append(event)
        return self.orchestrations.receive(at_once)

    def all_answered(self) -> None:
        self.on_end()

    def commit_finished(self, committed: bool) -> None:
        events, self._uncommitted = self._uncommitted, []
        self._waiting.clear()
        if committed:
            self._route(events)
            self.orchestrations.commit_finished()

    def operation_failed(self, error: OperationFailed) -> None:
        self._log.note(str(error))

    def store_failed(self, error: DatabaseError) -> None:
        self._on_store_failure(error)

    def _route(self, events: Sequence[StoreEvent]) -> None:
        """Pass committed events to their dispatchers, in order."""
        messages: list[InboxMessage] = []
        for event in events:
            if isinstance(event, InstanceRemoved):
                # The messages before it belong to the instance that was removed, those behind it to a new one.
                self._receive(messages)
                messages = []
                if event.is_entity:
                    self.entities.drop(event.instance_id)
                else:
                    self.orchestrations.removed(event)
                    self.activities.drop(event.instance_id)
            elif isinstance(event, InstanceRewound):
                # Its failure may be in the same commit. Then it is still in memory, and must be loaded again.
                self._receive(messages)
                messages = []
                self.orchestrations.drop(event.instance_id)
                self.timers.add(event.timers)
                self._log.steered(event.name, event.instance_id, "rewound", event.reason)
            else:
                messages.append(event)
        self._receive(messages)

    def _receive(self, messages: list[InboxMessage]) -> None:
        self.entities.receive(each for each in messages if each.to_entity)
        self.orchestrations.receive(each for each in messages if not each.to_entity)
