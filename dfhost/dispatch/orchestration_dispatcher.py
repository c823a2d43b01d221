"""Running orchestrations: an inbox message leads to an episode, and one commit makes the episode true.

An episode is queued, run and committed (`EpisodeRunner`), and followed up: its activities and timers start. One
episode of an instance at a time. `engine/replay_gate.py` decides whether a message is worth an episode, and
`EpisodeDelays` when that one runs. `InstanceCache` decides which instances stay in memory. What replays a history
without an episode is in `HistoryReplays`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from functools import partial
from math import isinf

from dfhost.clock import Clock
from dfhost.dispatch.activity_dispatcher import ActivityDispatcher
from dfhost.dispatch.completion_waiters import CompletionWaiters
from dfhost.dispatch.episode_delays import EpisodeDelays
from dfhost.dispatch.episode_limiter import BusyInstance, EpisodeLimiter
from dfhost.dispatch.episode_reports import EpisodeReports
from dfhost.dispatch.episode_runner import EpisodeRunner
from dfhost.dispatch.history_check import HistoryCheck
from dfhost.dispatch.history_replays import HistoryReplays, forget_replay
from dfhost.dispatch.instance_cache import InstanceCache, LoadedInstance
from dfhost.dispatch.poison_messages import PoisonMessages
from dfhost.dispatch.timer_dispatcher import TimerDispatcher
from dfhost.dispatch.wait_reports import WaitReports
from dfhost.engine import history as h
from dfhost.engine.episode import Episode
from dfhost.engine.options import EngineOptions, FunctionRegistry
from dfhost.engine.replay_gate import ReplayNeed
from dfhost.errors import HostError
from dfhost.garbage import GarbageByVolume, large_text
from dfhost.host_log import HostLog
from dfhost.runner.app_runner import AppRunner
from dfhost.store.activities_and_timers import ActivityWorkItem
from dfhost.store.errors import StaleCommit
from dfhost.store.listener import InboxMessage, InstanceRemoved
from dfhost.store.store import Store
from dfhost.thread_pool import ThreadPool


class OrchestrationDispatcher:
    """`limit`: how many episodes may run at once."""

    def __init__(
        self,
        runner: AppRunner,
        store: Store,
        log: HostLog,
        clock: Clock,
        poison: PoisonMessages,
        limit: int,
        *,
        registry: FunctionRegistry,
        options: EngineOptions,
        activities: ActivityDispatcher,
        timers: TimerDispatcher,
    ) -> None:
        self._runner = runner
        self._store = store
        # Of their own, so that an activity that blocks stalls no replay.
        self._threads = ThreadPool(max(1, min(limit, runner.replays_at_once)))
        self._log = log
        self._clock = clock
        self._poison = poison
        self._activities = activities
        self._timers = timers
        self._instances = InstanceCache(store, clock, poison)
        self._episodes = EpisodeRunner(
            runner, store, log, clock, self._instances, registry, options, self._stored
        )
        self._queue: deque[LoadedInstance] = deque()
        stopped_by = (
            "functionTimeout is over or the app is loaded again"
            if runner.applies_timeout
            else "the host ends"
        )
        self._running = EpisodeLimiter(
            self._threads,
            log,
            limit,
            self._show_running,
            lambda: runner.ready_since,
            stopped_by,
        )
        self._garbage = GarbageByVolume()
        self._wait_reports = WaitReports(log, clock, self._instances)
        self._episode_reports = EpisodeReports(log, store, self._threads, self._instances)
        replay_of = partial(self._episodes.replay_of, is_silent=True)  # the instances do not go on
        check = HistoryCheck(
            store,
            log,
            self._threads,
            options,
            replay_of,
            self._instances.is_busy,
            lambda: len(self._queue) + len(self._running) > 0,
        )
        self.replays = HistoryReplays(
            self._instances, poison, self._threads, options, replay_of, self._schedule, check
        )
        self._delays = EpisodeDelays(self._end_delay, asyncio.get_running_loop())
        self._stopped_accepting = False
        self.completions = CompletionWaiters()

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()

    @property
    def unfinished(self) -> int:
        """See `IdleSignal`."""
        return len(self._queue) + len(self._running) + len(self._delays)

    def stop_accepting(self) -> None:
        """Start no more episodes; what has arrived stays in the inbox for the next host."""
        self._stopped_accepting = True
        self._queue.clear()
        self.replays.stop_checking()

    def close(self) -> None:
        self.replays.close()
        self._threads.stop()
        self._running.close()

    def __contains__(self, instance_id: str) -> bool:
        """Whether the instance is in memory."""
        return instance_id in self._instances

    def receive(self, messages: Iterable[InboxMessage]) -> bool:
        """Those of instances in memory may come before they are on the disk; `commit_finished` comes after that.

        Returns whether they lead to an episode at once.
        """
        receivers: dict[str, LoadedInstance] = {}
        for message in messages:
            if message.new_instance is not None:
                self.drop(message.instance_id)
                instance: LoadedInstance | None = self._instances.add_new(
                    message.new_instance, message.seq - 1
                )
            else:
                instance = receivers.get(message.instance_id) or self._load(message.instance_id)
            if instance is not None:
                receivers[message.instance_id] = instance
                self._instances.pass_on(instance, message)
        return any([self._schedule(instance) for instance in receivers.values()])

    def wake(self, instance_id: str) -> None:
        """Load an instance that has something to do; for the start of the host."""
        if instance_id not in self._instances and (instance := self._load(instance_id)):
            self._schedule(instance)

    def _load(self, instance_id: str) -> LoadedInstance | None:
        try:
            return self._instances.get(instance_id)
        except Exception as error:  # one instance must not keep the others from their messages
            self._poison.report_defect(instance_id, error)
            return None

    def drop(self, instance_id: str) -> None:
        """The instance has ended or was purged: drop it. If an episode of it runs, that will be discarded."""
        instance = self._instances.remove(instance_id)
        if instance is not None:
            self._running.remove(instance)
            self._delays.cancel(instance)
            self._start_queued()
        self.completions.notify(instance_id)

    def removed(self, event: InstanceRemoved) -> None:
        """A client has terminated or purged the instance."""
        instance = self._instances.in_memory(event.instance_id)
        if instance is not None and instance.started_at:
            self._episode_reports.removed(instance, event)
            self._running.report_left_running(instance)
        self.drop(event.instance_id)

    def commit_finished(self) -> None:
        """All that was received so far is on the disk, so an evicted instance can be loaded again."""
        self._instances.evict()

    # -- queueing --------------------------------------------------------------------------------------------

    def _schedule(self, instance: LoadedInstance) -> bool:
        """Queue an episode, now or after a delay, if the messages ask for one; whether one is queued now.

        The instance's errors stay its own.
        """
        if instance.busy or self._stopped_accepting:
            return False
        try:
            return self._decide(instance)
        except Exception as error:  # its messages are still in its inbox
            self.drop(instance.instance_id)
            self._poison.report_defect(instance.instance_id, error, failed_at="scheduled")
            return False

    def _decide(self, instance: LoadedInstance) -> bool:
        """Ask the gate about each new message. Queue an episode, delay it, or leave the instance idle."""
        execution = instance.execution
        for _, event in instance.messages[instance.reported :]:  # before the gate takes note of them
            if event.event_type == h.EVENT_RAISED:
                self._wait_reports.event_arrived(instance, event)
            elif event.event_type in (h.SUSPENDED, h.RESUMED):
                self._wait_reports.paused_or_resumed(instance, event)
        for _, event in instance.messages[instance.judged :]:
            instance.replay_need = max(instance.replay_need, execution.gate.need_after(event))
        instance.judged = instance.reported = len(instance.messages)
        if instance.has_more_commands:
            instance.replay_need = max(instance.replay_need, ReplayNeed.ENGINE)
        if not instance.replay_need and not instance.needs_episode:
            self._instances.mark_idle(instance)
            return False
        self._instances.mark_active(instance.instance_id)
        if not (instance.needs_episode or instance.has_more_commands) and self._delays.applies_to(instance):
            return False
        self._queue_episode(instance)
        return True

    def _end_delay(self, instance: LoadedInstance) -> None:
        if self._instances.holds(instance) and not instance.busy and not self._stopped_accepting:
            self._queue_episode(instance)

    def _queue_episode(self, instance: LoadedInstance) -> None:
        instance.busy = True
        self._delays.cancel(instance)
        self._queue.append(instance)
        self._start_queued()

    def _start_queued(self) -> None:
        while self._queue and not self._running.full:
            instance = self._queue.popleft()
            if not self._instances.holds(instance):
                continue
            instance.episode_started_at = self._clock.timestamp()
            self._running.add(instance)
            events, need, processed_up_to = instance.take_messages()
            if not instance.started_at:
                instance.started_at = time.perf_counter()
                of = f"of {instance.parent.instance_id}" if instance.parent else ""
                self._log.started(instance.name, "orchestrator", instance.instance_id, of)
            self._threads.post(partial(self._episodes.run, instance, events, need, processed_up_to))

    def _show_running(self, instance: BusyInstance) -> None:
        self._store.show_running(instance.instance_id, instance.execution_id, self._clock.timestamp())

    # -- after the commit ------------------------------------------------------------------------------------

    def _stored(
        self, instance: LoadedInstance, episode: Episode, seconds: float, error: HostError | None
    ) -> None:
        self._running.remove(instance)
        self._start_queued()
        self._garbage.add(large_text(instance.execution.code.text_length, len(instance.execution.past)))
        if not self._instances.holds(instance):
            # It was terminated, purged or replaced: before the episode, or after it in the same commit.
            if error is None and episode.ends_instance:
                self._episode_reports.ended(instance, episode)
            return
        if error is not None:
            if isinstance(error, StaleCommit):  # the instance was ended from outside
                self.drop(instance.instance_id)
            return  # otherwise the instance is stuck, or the file cannot be written, and the host stops
        instance.last_episode_seconds = seconds
        instance.last_episode_at = self._loop.time()
        instance.stored_events = episode.history_length
        is_first, instance.needs_episode = instance.needs_episode, False
        instance.renewals = instance.renewals + 1 if is_first and episode.next_generation is not None else 0
        instance.has_more_commands = episode.has_more_commands
        self._episode_reports.held_back(instance, episode)
        self._episode_reports.awaits_open_tasks(instance, episode)
        self._episode_reports.renewed(instance)
        self._wait_reports.episode_committed(instance)
        self._start_work(episode)
        if episode.ends_instance:
            self.drop(instance.instance_id)
            self._episode_reports.ended(instance, episode)
        elif episode.next_generation is not None:
            instance.begin_generation(episode.next_generation)
        if instance.code_changed:
            forget_replay(instance)
        instance.busy, instance.episode_since = False, 0.0
        if not episode.ends_instance:
            self._schedule(instance)

    def _start_work(self, episode: Episode) -> None:
        self._activities.add(
            ActivityWorkItem(episode.instance_id, episode.execution_id, activity)
            for activity in episode.activities
        )
        if episode.timers:  # the store has fired those that were due
            self._timers.add(timer.fire_at for timer in episode.timers if timer.fire_at > episode.at)

    # -- inspection ------------------------------------------------------------------------------------------

    @property
    def waits_for_worker(self) -> bool:
        """Whether all code waits until a worker process of the app has started."""
        return isinf(self._runner.ready_since)

    @property
    def is_full(self) -> bool:
        """Whether as many episodes run as may at once."""
        return self._running.full

    @property
    def uncommitted_since(self) -> str | None:
        """An ISO text: the changes of the episodes that run now are not older. None if none runs."""
        return min((each.episode_started_at for each in self._running), default=None)

    def has_code(self, orchestrator: str) -> bool:
        """Whether the app has it now."""
        return orchestrator in self._runner.app.orchestrators
