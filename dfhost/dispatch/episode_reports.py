"""Reports what an episode has come to: its instance has ended, cannot end yet, or holds actions back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

from dfhost.dispatch.instance_cache import InstanceCache, LoadedInstance
from dfhost.engine import actions as act
from dfhost.engine.episode import Episode
from dfhost.engine.tasks import SingleTask
from dfhost.errors import DatabaseError
from dfhost.host_log import HostLog
from dfhost.store.listener import InstanceRemoved
from dfhost.store.reader import StoredTimeline
from dfhost.store.store import Store
from dfhost.thread_pool import ThreadPool
from dfhost.timeline.builder import OFF_LOOP_FROM, build_timeline
from dfhost.timeline.sentences import failure_sentences

_OFTEN_ENDED_BY_THEN = 1.0  # seconds; if code awaits the first of several calls, the others follow soon
_LISTED = 3  # functions
_MANY_RENEWALS = 1_000  # in a row; with a wait in each, however short, none follow at once


class EpisodeReports:
    """To be called on the host's loop. A long history is read in one of the `threads`."""

    def __init__(self, log: HostLog, store: Store, threads: ThreadPool, instances: InstanceCache) -> None:
        self._log = log
        self._store = store
        self._threads = threads
        self._instances = instances
        self._reported_held_back: set[str] = set()  # names of orchestrators
        self._reported_open_tasks: set[str] = set()  # likewise
        self._reported_renewals: set[str] = set()  # likewise

    def held_back(self, instance: LoadedInstance, episode: Episode) -> None:
        """Once for each orchestrator: an action has not started, since another one must end first."""
        if episode.held_back and instance.name not in self._reported_held_back:
            self._reported_held_back.add(instance.name)
            self._log.note(
                f"{instance.name}: {episode.held_back}, so it has not started. Azure does the same: actions of "
                "an orchestrator are processed in order. To bound a fan-out, divide its items among a fixed number "
                "of sub-orchestrations."
            )

    def awaits_open_tasks(self, instance: LoadedInstance, episode: Episode) -> None:
        """Once for each orchestrator: the instance only seems to hang. Of calls only if they take long."""
        if not episode.awaits_open_tasks or instance.name in self._reported_open_tasks:
            return
        self._reported_open_tasks.add(instance.name)
        if any(task.action_type in act.CALLS for _, task in instance.execution.interpreter.blocking_tasks()):
            asyncio.get_running_loop().call_later(_OFTEN_ENDED_BY_THEN, self._note_if_open, instance)
        else:
            self._note_open_tasks(instance)

    def _note_if_open(self, instance: LoadedInstance) -> None:
        if self._instances.holds(instance) and not instance.busy:
            self._note_open_tasks(instance)
        else:
            self._reported_open_tasks.discard(instance.name)  # another instance may have to wait longer

    def _note_open_tasks(self, instance: LoadedInstance) -> None:
        tasks = [task for _, task in instance.execution.interpreter.blocking_tasks()]
        calls = list(dict.fromkeys(_called(task) for task in tasks if task.action_type in act.CALLS))
        timers = any(task.action_type == act.CREATE_TIMER for task in tasks)
        shown = [*calls[:_LISTED], *(["others"] if len(calls) > _LISTED else [])]
        until = [
            *([f"{' and '.join(shown)} {'has' if len(shown) == 1 else 'have'} ended"] if shown else []),
            *(["its timers have fired"] if timers else []),
        ]
        advice = " Call cancel() on a timer that is no longer needed." if timers else ""
        self._log.note(
            f"{instance.name} {instance.instance_id}: its code has ended, but it stays Running until "
            f"{' and '.join(until)}, as on Azure.{advice}"
        )

    def renewed(self, instance: LoadedInstance) -> None:
        """Once for each orchestrator: it goes on and on with continue_as_new, and keeps a processor busy."""
        if instance.renewals >= _MANY_RENEWALS and instance.name not in self._reported_renewals:
            self._reported_renewals.add(instance.name)
            self._log.note(
                f"{instance.name} {instance.instance_id} is a loop without a wait: continue_as_new has begun "
                f"{instance.renewals:,} generations in a row, and none has waited for anything. That keeps a "
                "processor busy. Yield a timer or an event before continue_as_new, and terminate the instance."
            )

    def ended(self, instance: LoadedInstance, episode: Episode) -> None:
        """The instance has completed or failed; of a failure also the tasks that have led to it."""
        seconds = time.perf_counter() - instance.started_at
        if episode.status == "Completed":
            self._log.finished(instance.name, "orchestrator", instance.instance_id, seconds)
        elif episode.history_length < OFF_LOOP_FROM:
            self._failed(instance, episode, seconds, self._store.timeline)
        else:
            read = self._store.timeline_for_thread
            self._threads.post(partial(self._failed, instance, episode, seconds, read))

    def removed(self, instance: LoadedInstance, event: InstanceRemoved) -> None:
        """The instance was terminated or purged before it ended."""
        seconds = time.perf_counter() - instance.started_at
        how = "terminated" if event.is_terminated else "purged"
        how += f": {event.reason}" if event.reason else ""
        self._log.ended(instance.name, instance.instance_id, seconds, how)

    def _failed(
        self,
        instance: LoadedInstance,
        episode: Episode,
        seconds: float,
        read: Callable[[str], StoredTimeline | None],
    ) -> None:
        raised = episode.raised
        error, stack = (raised.text, raised.stack) if raised else (episode.output or "", "")
        try:
            stored = read(instance.instance_id)  # None if it was purged meanwhile
        except DatabaseError:  # the store has said so, or is closed; the failure is told without its tasks
            stored = None
        tasks = failure_sentences(build_timeline(stored, {}), episode.output or "") if stored else []
        cause = episode.cause
        if stored and stored.cause and not (cause or raised):
            cause, tasks = stored.cause, []  # which names the child
        if cause is not None:
            error = f"{cause}\nIts output is: {error}"
        stack = "\n".join(filter(None, [*tasks, stack]))
        self._log.failed(
            instance.name,
            "orchestrator",
            instance.instance_id,
            seconds,
            error,
            stack,
            attempt=instance.attempt,
        )


def _called(task: SingleTask) -> str:
    return "an HTTP call" if task.action_type == act.CALL_HTTP else str(task.action["functionName"])
