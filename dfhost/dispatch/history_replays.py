"""Replays of histories without an episode: for whoever looks at an instance, and after a reload of the app.

Such a replay lets the code say what it waits for. Nothing of it is stored. Meanwhile the instance is `busy`, as
during an episode: messages that come wait. Episodes are `OrchestrationDispatcher`'s part.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection

from dfhost.background_tasks import BackgroundTasks
from dfhost.dispatch.history_check import HistoryCheck
from dfhost.dispatch.instance_cache import InstanceCache, LoadedInstance
from dfhost.dispatch.poison_messages import PoisonMessages
from dfhost.engine.options import EngineOptions
from dfhost.engine.orchestrator_code import Replay
from dfhost.thread_pool import ThreadPool

_LONGEST_EPISODE = 0.2  # seconds that `inspect` waits for the end of an episode
_LONGEST_REPLAY = 1.0  # seconds that somebody waits for a replay; it goes on


class HistoryReplays:
    """To be used on the host's loop; replays in one of the `threads`.

    `replay_of`: how an orchestrator is replayed, by its name and the instance's id; None if the app has no such one.
    `schedule` is called with an instance that was replayed, so that the messages of the meantime are processed.
    """

    def __init__(
        self,
        instances: InstanceCache,
        poison: PoisonMessages,
        threads: ThreadPool,
        options: EngineOptions,
        replay_of: Callable[[str, str], Replay | None],
        schedule: Callable[[LoadedInstance], object],
        check: HistoryCheck,
    ) -> None:
        self._instances = instances
        self._poison = poison
        self._threads = threads
        self._options = options
        self._replay_of = replay_of
        self._schedule = schedule
        self._check = check
        self._tasks = BackgroundTasks()

    def close(self) -> None:
        self._check.cancel()
        self._tasks.cancel()

    def check_histories(self) -> None:
        """Say which waiting instances the code does not fit; for the start of the host."""
        self._check.begin()

    def stop_checking(self) -> None:
        self._check.cancel()

    async def inspect(self, instance_id: str) -> LoadedInstance | None:
        """An instance that has not ended, to be looked at; one that has to be loaded is replayed first.

        The end of an episode is waited for, but not for long: while `busy`, the execution must not be looked at.
        """
        instance = self._instances.get(instance_id)
        if instance is None:
            return None
        deadline = time.monotonic() + _LONGEST_EPISODE
        while instance.busy and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        execution = instance.execution
        if instance.busy or instance.needs_episode or execution.result is not None or not execution.past:
            return instance
        if (replaying := self._start(instance)) is not None:
            await asyncio.wait({replaying}, timeout=_LONGEST_REPLAY)
        return instance

    def code_changed(self) -> None:
        """The app was loaded again: what the old code has said of an instance means nothing any more."""
        replays = []
        for instance in list(self._instances):
            if instance.busy:
                instance.code_changed = True
                continue
            forget_replay(instance)
            # Nothing has waited for these events so far, but the new code may.
            if instance.messages and (replaying := self._start(instance)) is not None:
                replays.append(replaying)
        self._check.cancel()
        self._tasks.start(self._check_after(replays))

    async def _check_after(self, replays: Collection[asyncio.Task[None]]) -> None:
        """The check leaves out what is busy."""
        if replays:
            await asyncio.wait(replays, timeout=_LONGEST_REPLAY)
        self._check.begin()

    def _start(self, instance: LoadedInstance) -> asyncio.Task[None] | None:
        """None if the app has no such orchestrator."""
        replay = self._replay_of(instance.name, instance.instance_id)
        if replay is None:
            return None
        instance.busy = True
        return self._tasks.start(self._replay(instance, replay))

    async def _replay(self, instance: LoadedInstance, replay: Replay) -> None:
        """If the code no longer fits the history, the instance fails when more messages come, not now."""
        instance.episode_since = time.time()
        received = len(instance.messages)
        try:
            await self._threads.run(lambda: instance.execution.replay_history(replay, self._options))
        except Exception as error:  # whoever looks at an instance must not leave it busy
            self._poison.report_defect(instance.instance_id, error, failed_at="replayed")
        if instance.code_changed:
            forget_replay(instance)
        instance.busy, instance.episode_since = False, 0.0
        fits = instance.execution.misfit is None
        if self._instances.holds(instance) and (fits or len(instance.messages) > received):
            self._schedule(instance)


def forget_replay(instance: LoadedInstance) -> None:
    """The code has changed since the instance's last replay."""
    instance.code_changed = False
    instance.execution.forget_replay()
    instance.judged = 0  # a new gate knows nothing of the messages that the old one has seen
