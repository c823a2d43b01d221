"""The worker: everything that runs user code because of what lies in the store.

Ties the four drivers together and sorts letters between them. Restart needs no special path: what was due is
due. Knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from dfhost.app.functions import App
from dfhost.app.threads import UserThreads
from dfhost.engine import failures
from dfhost.engine.entities import is_entity_id
from dfhost.engine.execution import EngineOptions
from dfhost.errors import DatabaseError
from dfhost.host_log import HostLog
from dfhost.store.events import InboxMessage, InstanceRemoved, StoreEvent
from dfhost.store.store import ActivityResult, Store
from dfhost.worker.activity_dispatcher import ActivityDispatcher
from dfhost.worker.entity_dispatcher import EntityDispatcher
from dfhost.worker.orchestration_dispatcher import OrchestrationDispatcher
from dfhost.worker.timer_dispatcher import TimerDispatcher


class AppFunctionRegistry:
    """What the app has, by kind."""

    def __init__(self, app: App) -> None:
        self._by_kind = {
            "activity": app.activities,
            "orchestrator": app.orchestrators,
            "entity": app.entities,
        }

    def refuse(self, kind: str, name: str) -> str | None:
        functions = self._by_kind[kind]
        if name in functions:
            return None
        return failures.unknown_function(kind, name, functions.names)


class Worker:
    def __init__(
        self,
        app: App,
        store: Store,
        threads: UserThreads,
        episodes: UserThreads,
        log: HostLog,
        options: EngineOptions,
        *,
        max_activities: int,
        max_orchestrators: int,
        max_entities: int,
        max_entity_batch: int,
        on_store_failure: Callable[[DatabaseError], None],
    ) -> None:
        """`threads` run activities and entities, `episodes` replays: an activity that blocks stalls no replay."""
        self.store = store
        self.known = AppFunctionRegistry(app)
        self.timers = TimerDispatcher(store)
        self.activities = ActivityDispatcher(app, threads, log, max_activities, self._ended)
        self.orchestrations = OrchestrationDispatcher(
            app,
            store,
            episodes,
            log,
            self.known,
            options,
            max_orchestrators,
            activities=self.activities,
            timers_added=self.timers.added,
        )
        self.entities = EntityDispatcher(app, store, threads, log, max_entities, max_entity_batch)
        self._log = log
        self._timer_task: asyncio.Task[None] | None = None
        self._later: list[StoreEvent] = []
        self._results: deque[ActivityResult] = deque()
        self._storing = False
        self._listening = False
        self._on_store_failure = on_store_failure
        store.listen(self)

    def start(self) -> None:
        """Take up what the store holds: nothing that was committed waits for anything but its turn."""
        for part in (self.activities, self.orchestrations, self.entities):
            part.start()
        self._listening = True
        self._timer_task = asyncio.get_running_loop().create_task(self.timers.run())
        unfinished, awake = self.store.unfinished_work(), self.store.awake()
        if left := {work.instance_id for work in unfinished}.union(awake):
            them = (
                "1 instance goes on where it was"
                if len(left) == 1
                else f"{len(left):,} instances go on where they were"
            )
            self._log.note(f"{them} when the last host left.")
        self.activities.add(unfinished)
        for instance_id in awake:
            (self.entities if is_entity_id(instance_id) else self.orchestrations).wake(instance_id)

    # -- the store's listener ----------------------------------------------------------------------------------

    def events_written(self, events: Sequence[StoreEvent]) -> None:
        """Hand on at once what an execution in memory waits for: its replay runs while the disk is written.

        Only that: whoever must be read from the store, or sees what happened to others there, comes after the
        commit. So does everything about an instance behind the first such news of it.
        """
        if not self._listening:  # `start` looks for what the store holds by then
            return
        later: set[str] = set()
        at_once: list[InboxMessage] = []
        for one in events:
            if isinstance(one, InboxMessage) and one.instance_id not in later and self._in_memory(one):
                at_once.append(one)
            else:
                later.add(one.instance_id)
                self._later.append(one)
        self.orchestrations.receive(at_once)

    def _in_memory(self, letter: InboxMessage) -> bool:
        return letter.born is not None or letter.instance_id in self.orchestrations

    def commit_finished(self, committed: bool) -> None:
        later, self._later = self._later, []
        if committed:
            self._deliver(later)
            self.orchestrations.settled()

    def store_failed(self, error: DatabaseError) -> None:
        self._on_store_failure(error)

    def _deliver(self, news: Sequence[StoreEvent]) -> None:
        """Hand what was committed to whom it is for, in order."""
        to_entities: list[InboxMessage] = []
        to_orchestrations: list[InboxMessage] = []
        for letter in news:
            if isinstance(letter, InstanceRemoved):
                # What was written before belongs to the instance that is gone.
                self._hand_over(to_entities, to_orchestrations)
                self._forget(letter.instance_id)
            elif is_entity_id(letter.instance_id):
                to_entities.append(letter)
            else:
                to_orchestrations.append(letter)
        self._hand_over(to_entities, to_orchestrations)

    def _hand_over(self, to_entities: list[InboxMessage], to_orchestrations: list[InboxMessage]) -> None:
        if to_entities:
            self.entities.receive(to_entities)
            to_entities.clear()
        if to_orchestrations:
            self.orchestrations.receive(to_orchestrations)
            to_orchestrations.clear()

    def _forget(self, instance_id: str) -> None:
        (self.entities if is_entity_id(instance_id) else self.orchestrations).forget(instance_id)
        self.activities.forget(instance_id)

    async def drain(self) -> None:
        """Take nothing new and wait until what runs has been stored."""
        for part in (self.activities, self.orchestrations, self.entities):
            part.drain()
        while not (
            self.activities.idle and self.orchestrations.idle and self.entities.idle and not self._storing
        ):
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        if self._timer_task is not None:
            self._timer_task.cancel()
            await asyncio.gather(self._timer_task, return_exceptions=True)

    def _ended(self, result: ActivityResult) -> None:
        """An activity has a result: store it, and whatever else ends until then. From any thread."""
        self._results.append(result)
        if not self._storing:
            self._storing = True
            self.store.store_results(self._take_results)

    def _take_results(self) -> list[ActivityResult]:
        # First lower the flag: what is appended from now on asks for another turn.
        self._storing = False
        results: list[ActivityResult] = []
        while self._results:
            results.append(self._results.popleft())
        return results
