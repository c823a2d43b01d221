"""Driving orchestrations: who has news gets an episode, an episode becomes true by one commit.

Owns the executions that are in memory (a cache: everything can be read back from the store) and decides when a
replay is worth its cost. One episode of an instance at a time; nothing here polls.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from dfhost.app.functions import App
from dfhost.app.sdk import Replayer
from dfhost.app.threads import UserThreads
from dfhost.engine import failures
from dfhost.engine import history as h
from dfhost.engine.episode import Episode, Parent
from dfhost.engine.execution import EngineOptions, Execution, FunctionRegistry, Replay, ReplayNeed
from dfhost.engine.history import Event
from dfhost.engine.replay_result import ReplayResult
from dfhost.errors import HostError
from dfhost.host_log import HostLog
from dfhost.store.events import InboxMessage, InstanceRow
from dfhost.store.store import ActivityWorkItem, EpisodeDiscarded, Store
from dfhost.worker.clock import now
from dfhost.worker.episode_limiter import EpisodeLimiter
from dfhost.worker.event_name_hints import EventNameHints
from dfhost.worker.instance_cache import InstanceCache


@dataclass(slots=True)
class LoadedInstance:
    """An instance in memory. `letters` lie in its inbox and are not yet processed."""

    instance_id: str
    execution_id: str
    name: str
    parent: Parent | None
    execution: Execution
    base: int  # history events that are stored
    last_seq: int  # the newest letter that was seen
    letters: list[tuple[str, Event]] = field(default_factory=list)  # with the execution they are for, or ""
    arrived_seq: int = 0
    noted: int = 0  # how many of `letters` the execution has looked at
    stir: ReplayNeed = ReplayNeed.NOTHING
    busy: bool = False
    episode_at: float = 0.0  # when the episode under way has begun, 0 if it waits for its turn
    awake: bool = False
    begun: float = 0.0
    replay_cost: float = 0.0
    replayed_at: float = 0.0
    waits: asyncio.TimerHandle | None = None

    @property
    def arrived(self) -> list[Event]:
        return [event for _, event in self.letters]


class ActivityQueue(Protocol):
    """What an orchestration hands on: see `Activities` and `DurableTimers`."""

    def add(self, works: Iterable[ActivityWorkItem]) -> None: ...


class OrchestrationDispatcher:
    def __init__(
        self,
        app: App,
        store: Store,
        pool: UserThreads,
        log: HostLog,
        known: FunctionRegistry,
        options: EngineOptions,
        limit: int,
        *,
        activities: ActivityQueue,
        timers_added: Callable[[Iterable[str]], None],
    ) -> None:
        self._store = store
        self._pool = pool
        self._log = log
        self._known = known
        self._options = options
        self._activities = activities
        self._timers_added = timers_added
        self._replayers = {f.durable_name.lower(): Replayer(f.callable) for f in app.orchestrators}
        self._runtimes: dict[str, LoadedInstance] = {}
        self._resting = InstanceCache()
        self._ready: deque[LoadedInstance] = deque()
        self._slips = EventNameHints(log)
        self._under_way = EpisodeLimiter(pool, log, limit)
        self._draining = False
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}
        self._told: set[str] = set()  # orchestrators whose held-back actions were mentioned

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()

    @property
    def idle(self) -> bool:
        return not self._under_way

    def drain(self) -> None:
        """No new episodes; what has arrived stays in the inbox for the next host."""
        self._draining = True
        self._ready.clear()

    # -- letters in ------------------------------------------------------------------------------------------

    def __contains__(self, instance_id: str) -> bool:
        """Is it in memory?"""
        return instance_id in self._runtimes

    def receive(self, letters: Iterable[InboxMessage]) -> None:
        """Letters of instances in memory may come before they are on the disk; `settled` tells when they are."""
        touched: dict[str, LoadedInstance] = {}
        for letter in letters:
            if letter.born is not None:
                runtime: LoadedInstance | None = self._begin(letter.born, letter.seq - 1)
            else:
                runtime = self._runtimes.get(letter.instance_id) or self._load(letter.instance_id)
            if runtime is None:
                continue
            touched[letter.instance_id] = runtime
            if letter.seq > runtime.last_seq:
                self._take(runtime, letter)
        for runtime in touched.values():
            self._consider(runtime)

    def wake(self, instance_id: str) -> None:
        """Look at an instance that has something to do; used once, when the host starts."""
        if instance_id not in self._runtimes and (runtime := self._load(instance_id)):
            self._consider(runtime)

    def _begin(self, row: InstanceRow, last_seq: int) -> LoadedInstance:
        """A new instance: nothing has to be read."""
        self.forget(row.instance_id)
        runtime = LoadedInstance(
            row.instance_id, row.execution_id, row.name, row.parent, Execution(), 0, last_seq
        )
        self._runtimes[row.instance_id] = runtime
        return runtime

    def _take(self, runtime: LoadedInstance, letter: InboxMessage) -> None:
        runtime.last_seq = letter.seq
        if letter.execution_id in ("", runtime.execution_id):
            runtime.letters.append((letter.execution_id, letter.event or h.parse(letter.text)))
            runtime.arrived_seq = letter.seq

    def _load(self, instance_id: str) -> LoadedInstance | None:
        stored = self._store.stored(instance_id)
        if stored is None or stored.row.finished:
            return None
        row = stored.row
        execution = Execution(h.parse(text) for text in stored.history)
        runtime = LoadedInstance(
            instance_id, row.execution_id, row.name, row.parent, execution, len(stored.history), 0
        )
        runtime.awake = stored.awake
        if stored.history:  # it began in another life of the host, or before it was put aside
            age = (h.moment(now()) - h.moment(row.created_at)).total_seconds()
            runtime.begun = time.perf_counter() - max(0.0, age)
        self._runtimes[instance_id] = runtime
        for letter in stored.inbox:
            self._take(runtime, letter)
        return runtime

    def forget(self, instance_id: str) -> None:
        """The instance has ended or is gone: drop what is in memory, an episode under way will find out."""
        runtime = self._runtimes.pop(instance_id, None)
        self._resting.remove(instance_id)
        if runtime is not None:
            self._under_way.remove(runtime)
            if runtime.waits is not None:
                runtime.waits.cancel()
            self._pump()
        self._wake_waiters(instance_id)

    # -- questions -------------------------------------------------------------------------------------------

    async def asked(self, instance_id: str) -> LoadedInstance | None:
        """A living instance, for questions only; one that is at rest on the disk is read in and replayed first.

        Its execution may be looked at unless it is `busy`, which is waited for a little.
        """
        runtime = self._runtimes.get(instance_id) or self._load(instance_id)
        if runtime is None:
            return None
        patience = self._loop.time() + 0.2
        while runtime.busy and self._loop.time() < patience:
            await asyncio.sleep(0.01)
        execution = runtime.execution
        if runtime.busy or runtime.awake or execution.reply is not None or not execution.past:
            return runtime
        if self._known.refuse("orchestrator", execution.name) is None:
            runtime.busy = True
            await asyncio.wait({asyncio.ensure_future(self._recall(runtime))}, timeout=1.0)
        return runtime

    async def _recall(self, runtime: LoadedInstance) -> None:
        execution = runtime.execution
        runtime.episode_at = time.time()
        await self._pool.run(lambda: execution.recall(self._replay_of([], execution), self._options))
        runtime.busy, runtime.episode_at = False, 0.0
        if self._runtimes.get(runtime.instance_id) is runtime:
            self._consider(runtime)

    # -- when to run -----------------------------------------------------------------------------------------

    def _consider(self, runtime: LoadedInstance) -> None:
        if runtime.busy or self._draining:
            return
        for _, event in runtime.letters[runtime.noted :]:
            runtime.stir = max(runtime.stir, runtime.execution.note(event))
            if event.kind == h.EVENT_RAISED:
                awaited = runtime.execution.program.awaited_events()
                self._slips.came(event.key, awaited, f"{runtime.name} {runtime.instance_id}")
        runtime.noted = len(runtime.letters)
        if not runtime.stir and not runtime.awake:
            self._resting.add(runtime.instance_id, runtime.base)
            return
        self._resting.remove(runtime.instance_id)
        if runtime.stir is ReplayNeed.SDK and (pause := self._pause(runtime)) > 0:
            if runtime.waits is None:
                runtime.waits = self._loop.call_later(pause, self._resume, runtime)
            return
        self._enqueue(runtime)

    def _pause(self, runtime: LoadedInstance) -> float:
        """Seconds to let completions gather, so that replaying never takes longer than the work it waits for.

        None while little is at stake, while nothing else is under way, or where the SDK itself says that all it
        waits for is there.
        """
        if runtime.replay_cost < 0.002:
            return 0.0
        execution = runtime.execution
        reply = execution.reply
        if reply is None or (reply.awaited is not None and reply.awaited.all and len(reply.awaited.keys) > 1):
            return 0.0
        if len(runtime.letters) >= sum(1 for _ in execution.program.holds_open()):
            return 0.0
        return runtime.replayed_at + runtime.replay_cost - time.perf_counter()

    def _resume(self, runtime: LoadedInstance) -> None:
        runtime.waits = None
        if self._runtimes.get(runtime.instance_id) is runtime and not runtime.busy and not self._draining:
            self._enqueue(runtime)

    def _enqueue(self, runtime: LoadedInstance) -> None:
        runtime.busy = True
        if runtime.waits is not None:
            runtime.waits.cancel()
            runtime.waits = None
        self._ready.append(runtime)
        self._pump()

    def _pump(self) -> None:
        while self._ready and not self._under_way.full:
            runtime = self._ready.popleft()
            self._under_way.add(runtime)
            arrived, runtime.letters = runtime.arrived, []
            stir, runtime.stir, runtime.noted = runtime.stir, ReplayNeed.NOTHING, 0
            if runtime.awake:
                stir = ReplayNeed.SDK
            consumed = runtime.arrived_seq
            if not runtime.begun:
                runtime.begun = time.perf_counter()
                self._log.started(runtime.name, "orchestration", runtime.instance_id)
            self._pool.post(partial(self._run, runtime, arrived, stir, consumed))

    def settled(self) -> None:
        """What was received so far is on the disk, so that who rests longest may go: it is read again."""
        for instance_id in self._resting.surplus():
            self._runtimes.pop(instance_id, None)

    # -- an episode, in the pool -----------------------------------------------------------------------------

    def _run(self, runtime: LoadedInstance, arrived: list[Event], stir: ReplayNeed, consumed: int) -> None:
        at = now()
        began, runtime.episode_at = time.perf_counter(), time.time()
        execution = runtime.execution
        replay = self._replay_of(arrived, execution)
        try:
            episode = execution.advance(arrived, at, replay, self._known, self._options, stir)
        except Exception as error:  # a defect of ours must not leave the instance hanging
            self._log.note(f"dfhost failed in an episode of {runtime.instance_id}:\n{traceback.format_exc()}")
            reason, details = failures.orchestrator_failed(runtime.name, f"dfhost itself failed: {error!r}")
            done = h.execution_completed(at, execution.program.next_id, "Failed", reason)
            events = [h.orchestrator_started(at), *arrived, done]
            texts = [event.played().text for event in events]
            episode = Episode(
                runtime.instance_id, runtime.execution_id, at, "Failed", events, len(execution.past), texts,
                output=reason, sets_output=True, details=details, parent=runtime.parent,
            )  # fmt: skip
        seconds = time.perf_counter() - began
        self._store.commit_episode(episode, consumed, partial(self._committed, runtime, episode, seconds))

    def _replay_of(self, arrived: list[Event], execution: Execution) -> Replay:
        name = execution.name or next((e.name or "" for e in arrived if e.kind == h.EXECUTION_STARTED), "")
        return self._replayers.get(name.lower(), _nobody)

    # -- making it true --------------------------------------------------------------------------------------

    def _committed(
        self, runtime: LoadedInstance, episode: Episode, seconds: float, _: None, error: HostError | None
    ) -> None:
        self._under_way.remove(runtime)
        self._pump()
        if self._runtimes.get(runtime.instance_id) is not runtime:
            # Terminated, purged or replaced: before the episode, or behind it in the same commit.
            if error is None and episode.finished:
                self._tell_end(runtime, episode)
            return
        if error is not None:
            # Either someone else has ended the instance, or the file cannot be written and the host stops.
            if isinstance(error, EpisodeDiscarded):
                self.forget(runtime.instance_id)
            return
        runtime.replay_cost = seconds
        runtime.replayed_at = time.perf_counter()
        if episode.held_back and runtime.name not in self._told:
            self._told.add(runtime.name)
            self._log.note(
                f"{runtime.name}: {episode.held_back}, so it has not started. Azure does the same: a list of "
                "actions is worked off in turn. For a bounded fan-out use lanes, see the README on sliding windows."
            )
        runtime.base = episode.history_length
        runtime.awake = False
        self._activities.add(
            ActivityWorkItem(runtime.instance_id, runtime.execution_id, activity)
            for activity in episode.activities
        )
        if episode.timers:
            self._timers_added(timer.fire_at for timer in episode.timers if timer.fire_at > episode.at)
        if episode.finished:
            self._tell_end(runtime, episode)
            self.forget(runtime.instance_id)
        elif episode.next is not None:
            runtime.execution = episode.next
            runtime.execution_id = episode.next.execution_id
            # What was meant for the generation that is over is gone from the store, too.
            runtime.letters = [letter for letter in runtime.letters if not letter[0]]
            runtime.awake = True
        runtime.busy, runtime.episode_at = False, 0.0
        if not episode.finished:
            self._consider(runtime)

    def _tell_end(self, runtime: LoadedInstance, episode: Episode) -> None:
        seconds = time.perf_counter() - runtime.begun
        if episode.status == "Completed":
            self._log.finished(runtime.name, "orchestration", runtime.instance_id, seconds)
        else:
            raised = episode.raised
            error, stack = (raised.text, raised.stack) if raised else (episode.output or "", "")
            self._log.failed(runtime.name, "orchestration", runtime.instance_id, seconds, error, stack)

    # -- waiting for an end ----------------------------------------------------------------------------------

    def end_of(self, instance_id: str) -> asyncio.Future[None]:
        """Done when the instance ends (or is gone) after this call."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiters.setdefault(instance_id, []).append(future)
        return future

    def _wake_waiters(self, instance_id: str) -> None:
        for future in self._waiters.pop(instance_id, ()):
            if not future.done():
                future.set_result(None)


def _nobody(trigger: str) -> ReplayResult:
    raise AssertionError("an unknown orchestrator is refused before it is replayed")
