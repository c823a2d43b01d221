"""Running activities: as many at once as host.json allows.

An activity is queued after the commit that scheduled it, run (`ActivityRunner`), and its result is stored in the
inbox of its orchestration, in groups. From there on the result is a message like any other:
`Dispatchers.events_written` passes it to `OrchestrationDispatcher.receive`, where the replay gate decides whether it
leads to an episode.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from threading import Lock

from dfhost.clock import Clock
from dfhost.dispatch.activity_runner import ActivityRunner, work_key
from dfhost.dispatch.call_http import CallHttp
from dfhost.host_log import HostLog
from dfhost.runner.app_runner import AppRunner
from dfhost.store.activities_and_timers import ActivityResult, ActivityWorkItem
from dfhost.store.store import Store

_PORTION = 2000  # work items queued, or results stored, at a time: 20 ms on the host loop or in the store


class ActivityDispatcher:
    """`limit`: how many activities may run at once."""

    def __init__(
        self, runner: AppRunner, store: Store, log: HostLog, clock: Clock, limit: int, call_http: CallHttp
    ) -> None:
        self._activities = ActivityRunner(runner, log, clock, call_http, self._end)
        self._store = store
        self._limit = max(1, limit)
        self._queue: deque[ActivityWorkItem] = deque()
        self._busy = 0  # activities that run; one that ends passes its place on, in its own thread
        self._lock = Lock()  # guards `_queue`, `_busy`, `_results` and `_storing`
        self._results: deque[ActivityResult] = deque()  # not stored yet
        self._storing = False  # the store was asked to take them
        self._stopped_accepting = False

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._activities.start()

    @property
    def unfinished(self) -> int:
        """See `IdleSignal`. A queued activity counts if it may start."""
        may_start = min(len(self._queue), self._limit - self._busy)
        return self._busy + may_start + len(self._results) + self._storing

    def stop_accepting(self) -> None:
        """Start no more activities; what is queued stays in the store for the next host."""
        self._stopped_accepting = True
        with self._lock:
            self._queue.clear()

    def add_left(self, items: Sequence[ActivityWorkItem], left_calls: bool) -> None:
        """Queue those that an earlier host has left. `left_calls`: some of them may have run there.

        They start in the order of `items`, so that it can only be the first ones, as many as may run at once.
        """
        if left_calls:
            self._activities.interrupted.update(map(work_key, items[: self._limit]))
        self.add(items)

    def add(self, items: Iterable[ActivityWorkItem]) -> None:
        """Queue activities whose scheduling is committed; a great many in portions: others come in between."""
        if self._stopped_accepting:
            return
        remaining = iter(items)
        with self._lock:
            self._queue.extend(islice(remaining, _PORTION))
            count = min(self._limit - self._busy, len(self._queue))
            self._busy += count
            first = [self._queue.popleft() for _ in range(count)]
        for item in first:
            self._activities.run(item)
        if (following := next(remaining, None)) is not None:
            self._loop.call_soon(self.add, chain((following,), remaining))

    def drop(self, instance_id: str) -> None:
        """Drop the queued activities of an instance that has ended."""
        with self._lock:
            if any(item.instance_id == instance_id for item in self._queue):
                self._queue = deque(item for item in self._queue if item.instance_id != instance_id)

    def state(self, instance_id: str, execution_id: str, task_id: int) -> tuple[str, str | None]:
        """("running", since when as ISO text) or ("queued", None)."""
        since = self._activities.running_since(instance_id, execution_id, task_id)
        return ("queued", None) if since is None else ("running", since)

    @property
    def any_runs(self) -> bool:
        """Whether a worker has begun an activity that has not ended."""
        return self._activities.any_runs

    @property
    def limit_reached(self) -> int | None:
        """How many activities run, if no more may run at once; else None."""
        return self._limit if self._busy >= self._limit else None

    # -- storing results, on any thread ---------------------------------------------------------------------

    def _end(self, result: ActivityResult) -> None:
        """Have the result stored, together with those that come until the writer takes them."""
        with self._lock:
            # Both at once: whoever takes the result finds the place free, so `unfinished` is 0 after its commit.
            self._results.append(result)
            following = self._queue.popleft() if self._queue else None
            if following is None:
                self._busy -= 1
            is_first, self._storing = not self._storing, True
        if is_first:
            self._store.store_results(self._take_results)
        if following is not None:
            self._activities.run(following)

    def _take_results(self) -> list[ActivityResult]:
        with self._lock:
            results = [self._results.popleft() for _ in range(min(len(self._results), _PORTION))]
            has_more = self._storing = bool(self._results)
        if has_more:
            self._store.store_results(self._take_results)
        return results
