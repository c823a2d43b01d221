"""The limit on concurrent episodes, and what happens when an orchestrator's code does not return.

An orchestrator should yield after a moment. One that blocks, or loops for ever, must not stop the others: a new
thread replaces its own until it returns, and its place becomes free as soon as its instance is terminated.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from dfhost.host_log import HostLog
from dfhost.thread_pool import ThreadPool

_CHECK_SECONDS = 0.25
_BLOCKED_SECONDS = 1.0  # the thread of an episode that takes longer is replaced: no other one might be free
SLOW_SECONDS = 5.0  # an episode that takes longer is reported


class BusyInstance(Protocol):
    """`episode_since` is the time when its episode began to run, 0 while that waits for a thread.

    `stored_events` is 0 until its first episode is committed.
    """

    instance_id: str
    execution_id: str
    name: str
    episode_started_at: str
    episode_since: float
    stored_events: int
    is_shown_running: bool


class EpisodeLimiter:
    """To be used on the host loop; `limit` is host.json's.

    `show_running` is called once for an instance whose first episode takes long: it is no longer Pending.
    """

    def __init__(
        self,
        threads: ThreadPool,
        log: HostLog,
        limit: int,
        show_running: Callable[[BusyInstance], None],
        ready_since: Callable[[], float],
        stopped_by: str,
    ) -> None:
        """`ready_since`: see `AppRunner`. `stopped_by`: what stops code that does not return, for people."""
        self._stopped_by = stopped_by
        self._ready_since = ready_since
        self._threads = threads
        self._show_running = show_running
        self._log = log
        self._limit = max(1, limit)
        self._busy: dict[int, BusyInstance] = {}  # by id(), oldest first
        self._next_check: asyncio.TimerHandle | None = None
        self._reported: set[str] = set()

    def __len__(self) -> int:
        return len(self._busy)

    def __iter__(self) -> Iterator[BusyInstance]:
        return iter(self._busy.values())

    @property
    def full(self) -> bool:
        return len(self._busy) >= self._limit

    def add(self, instance: BusyInstance) -> None:
        self._busy[id(instance)] = instance
        if self._next_check is None:
            self._next_check = asyncio.get_running_loop().call_later(_CHECK_SECONDS, self._check)

    def remove(self, instance: BusyInstance) -> None:
        """Its episode has ended, or its result is of no use any more."""
        self._busy.pop(id(instance), None)

    def report_left_running(self, instance: BusyInstance) -> None:
        """The instance was terminated or purged. Its code cannot be stopped, if it does not yield."""
        since = max(instance.episode_since, self._ready_since())
        if id(instance) not in self._busy or not instance.episode_since:
            return
        if time.time() - since > _BLOCKED_SECONDS:
            self._log.note(
                f"{instance.name} {instance.instance_id} has ended, but its code still runs without a yield. That "
                f"may keep a processor busy until {self._stopped_by}."
            )

    def close(self) -> None:
        """Check nothing any more."""
        if self._next_check is not None:
            self._next_check.cancel()

    def _check(self) -> None:
        self._next_check = None
        if time.time() - self._ready_since() > _BLOCKED_SECONDS:  # else they may have waited for a worker
            self._threads.replace_blocked(_BLOCKED_SECONDS)
        if not self._busy:
            return
        for each in self._busy.values():
            if each.episode_since and not each.stored_events and not each.is_shown_running:
                each.is_shown_running = True
                self._show_running(each)
            since = max(each.episode_since, self._ready_since())
            is_slow = each.episode_since and time.time() - since > SLOW_SECONDS
            if is_slow and each.name not in self._reported:
                self._reported.add(each.name)
                self._log.note(
                    f"{each.name}: its code has been running for {SLOW_SECONDS:.0f} s without a yield (instance "
                    f"{each.instance_id}). An orchestrator must neither block nor loop for ever; such work belongs "
                    "in an activity. Until it yields the instance processes no event, but it can be terminated."
                )
        self._next_check = asyncio.get_running_loop().call_later(_CHECK_SECONDS, self._check)
