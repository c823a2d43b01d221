"""Runs one episode and has it stored: the replay in a thread, then one commit.

An episode that cannot be stored is replaced by one that fails its instance. When an episode runs, and what follows
from it, is `OrchestrationDispatcher`'s part.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence

from dfhost.clock import Clock
from dfhost.dispatch.instance_cache import InstanceCache, LoadedInstance
from dfhost.engine import failures
from dfhost.engine import history as h
from dfhost.engine.episode import Episode
from dfhost.engine.history import Event
from dfhost.engine.options import EngineOptions, FunctionRegistry
from dfhost.engine.orchestrator_code import Replay
from dfhost.engine.replay_gate import ReplayNeed
from dfhost.engine.replay_result import ReplayResult
from dfhost.errors import HostError, OperationFailed
from dfhost.host_log import HostLog
from dfhost.runner.app_runner import AppRunner, ReplayCall
from dfhost.store.store import Store

_MOST_FAILURES = 2  # that are tried in place of an episode that cannot be stored

#: Called on the host's loop, once an episode is stored, or with the error. Seconds: what the last replay took.
EpisodeStored = Callable[[LoadedInstance, Episode, float, "HostError | None"], None]


class EpisodeRunner:
    """`stored` gets the outcome of each `run`, unless the instance was removed before it could begin."""

    def __init__(
        self,
        runner: AppRunner,
        store: Store,
        log: HostLog,
        clock: Clock,
        instances: InstanceCache,
        registry: FunctionRegistry,
        options: EngineOptions,
        stored: EpisodeStored,
    ) -> None:
        self._runner = runner
        self._store = store
        self._log = log
        self._clock = clock
        self._instances = instances
        self._registry = registry
        self._options = options
        self._on_stored = stored

    def replay_of(self, orchestrator: str, instance_id: str, is_silent: bool = False) -> Replay | None:
        """None if the app has no such orchestrator. `is_silent`: see `ReplayCall`."""
        function = self._runner.app.orchestrators.get(orchestrator)
        if function is None:
            return None
        name = function.name
        return lambda trigger, keeps: self._runner.replay(
            ReplayCall(name, instance_id, trigger, keeps, is_silent)
        )

    def run(
        self, instance: LoadedInstance, events: list[Event], need: ReplayNeed, processed_up_to: int
    ) -> None:
        """Run an episode, in this thread. `processed_up_to`: the number of the newest message among `events`."""
        instance.episode_since = time.time()
        self._runner.wait_until_ready()  # the history has the time at which the code runs, not before
        if not self._instances.holds(instance):  # it was removed while this waited for a thread or a worker
            return
        at, began = self._clock.timestamp(), time.perf_counter()
        try:
            replay = self.replay_of(instance.name, instance.instance_id) or _never_replayed
            episode = instance.execution.run_episode(events, at, replay, self._registry, self._options, need)
        except Exception as error:  # a defect of ours must not leave the instance hanging
            self._log.note(
                f"dfhost itself failed in an episode of {instance.instance_id}:\n{traceback.format_exc()}"
            )
            episode = _failed_episode(instance, events, at, f"dfhost itself failed: {error!r}")
        # One without a replay says nothing about the next that has one.
        took = time.perf_counter() - began
        seconds = took if need is ReplayNeed.REPLAY else instance.last_episode_seconds
        if episode.status == "Failed":
            instance.attempt = self._instances.attempt_of(instance)
        self._commit(instance, episode, events, seconds, processed_up_to)

    def _commit(
        self,
        instance: LoadedInstance,
        episode: Episode,
        arrived: Sequence[Event],
        seconds: float,
        processed_up_to: int,
        failures_tried: int = 0,
    ) -> None:
        """Have the episode stored. If it cannot be, the instance fails instead.

        If that cannot be stored either, it fails without the events that have `arrived`.
        """

        def then(_: None, error: HostError | None) -> None:
            if isinstance(error, OperationFailed) and self._instances.holds(instance):
                if failures_tried < _MOST_FAILURES:
                    failed = _failed_episode(
                        instance, [] if failures_tried else arrived, episode.at, str(error)
                    )
                    self._commit(instance, failed, arrived, seconds, 0, failures_tried + 1)
                    return
                self._log.note(
                    f"{instance.name} {instance.instance_id} is stuck: neither its episode nor its failure can be "
                    f"stored ({error}). Terminate it, or purge it."
                )
            self._on_stored(instance, episode, seconds, error)

        self._store.commit_episode(episode, processed_up_to, then)


def _failed_episode(instance: LoadedInstance, arrived: Sequence[Event], at: str, error: str) -> Episode:
    """An episode that fails the instance. `Execution` does not make it: its state may be what is wrong."""
    past = instance.execution.past[: instance.stored_events]  # without an episode that could not be stored
    reason, details = failures.orchestrator_failed(instance.name, error)
    completed = h.execution_completed(at, h.next_event_id(past), "Failed", reason)
    events = [h.orchestrator_started(at), *arrived, completed, h.orchestrator_completed(at)]
    return Episode(
        instance.instance_id, instance.execution_id, at, "Failed", events, len(past),
        [event.as_played().text for event in events], output=reason, sets_output=True, details=details,
        parent=instance.parent,
    )  # fmt: skip


def _never_replayed(trigger: str, keeps_generator: bool) -> ReplayResult:
    raise AssertionError("the instance of an unknown orchestrator fails before it is replayed")
