"""Running activities: as many at once as host.json allows, in the user's threads.

An activity is queued after the commit that scheduled it, run, and its result is stored in the inbox of its
orchestration, in groups. From there on the result is a message like any other: `TaskHubWorker.events_written` passes
it to `OrchestrationDispatcher.receive`, where the replay gate decides whether it leads to an episode.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from functools import partial
from itertools import chain, islice

from dfhost.app.exceptions import describe_exception
from dfhost.app.functions import App, Function
from dfhost.app.loop_queue import LoopQueue
from dfhost.app.threads import UserThreads
from dfhost.clock import Clock
from dfhost.dispatch.idle_signal import unheard
from dfhost.dispatch.call_http import CallHttpError, call_http
from dfhost.engine import failures
from dfhost.engine import history as h
from dfhost.engine.actions import HTTP_ACTIVITY
from dfhost.engine.failures import Failure
from dfhost.host_log import HostLog
from dfhost.store.open_tasks import ActivityResult, ActivityWorkItem
from dfhost.store.store import Store

# One thread has done five trivial activities before five threads have woken up, and a thread that blocks is soon
# joined by others: 1 at first, 2 after a millisecond, 4 after two … (200 fan-outs of 5: 12 % less time).
_THREAD_PATIENCE = 0.001
_FAST = 5  # activities that one thread ends in that time, if they are trivial and only compute
_PORTION = 2000  # work items queued, or results stored, at a time: 20 ms on the host loop or in the store
_TIME_SLICE = 0.02  # seconds that a thread goes on taking activities before it returns to the pool


class ActivityDispatcher:
    """`limit`: how many activities may run at once."""

    def __init__(
        self, app: App, store: Store, threads: UserThreads, log: HostLog, clock: Clock, limit: int
    ) -> None:
        self._app = app
        self._store = store
        self._threads = threads
        self._log = log
        self._clock = clock
        self._limit = max(1, limit)
        self._plain_queue: deque[ActivityWorkItem] = deque()
        self._async_queue: deque[ActivityWorkItem] = deque()
        self._busy_threads = 0  # with plain activities
        self._busy_coroutines = 0
        self._running: dict[tuple[str, int], float] = {}  # (instance, task id) -> since when
        self._next_thread: asyncio.TimerHandle | None = None
        self._ended_count = self._ended_count_before = 0
        self._results: deque[ActivityResult] = deque()  # not stored yet
        self._storing = False
        self._draining = False
        self.on_end = unheard  # see `IdleSignal.changed`

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._released: LoopQueue[bool] = LoopQueue(self._loop, self._release)

    @property
    def unfinished(self) -> int:
        """See `IdleSignal`. A queued activity counts if it may start."""
        busy = self._busy_threads + self._busy_coroutines
        queued = len(self._plain_queue) + len(self._async_queue)
        return busy + min(queued, self._limit - busy) + len(self._results) + self._storing

    def drain(self) -> None:
        """Start no more activities; what is queued stays in the store for the next host."""
        self._draining = True
        self._plain_queue.clear()
        self._async_queue.clear()

    def add(self, items: Iterable[ActivityWorkItem]) -> None:
        """Queue activities whose scheduling is committed; a great many in portions: others come in between."""
        if self._draining:
            return
        remaining = iter(items)
        for item in islice(remaining, _PORTION):
            function = self._app.activities.get(item.activity.name)
            is_async = function.is_async if function else True
            (self._async_queue if is_async else self._plain_queue).append(item)
        self._dispatch()
        if (following := next(remaining, None)) is not None:
            self._loop.call_soon(self.add, chain((following,), remaining))

    def forget(self, instance_id: str) -> None:
        """Drop the queued activities of an instance that has ended."""
        for queue in (self._plain_queue, self._async_queue):
            if any(item.instance_id == instance_id for item in queue):
                kept = [item for item in queue if item.instance_id != instance_id]
                queue.clear()
                queue.extend(kept)

    def state(self, instance_id: str, task_id: int) -> tuple[str, float | None]:
        """("running", since when as a timestamp) or ("queued", None)."""
        since = self._running.get((instance_id, task_id))
        return ("queued", None) if since is None else ("running", since)

    # -- threads and coroutines ------------------------------------------------------------------------------

    def _dispatch(self) -> None:
        while self._async_queue and self._busy_threads + self._busy_coroutines < self._limit:
            self._busy_coroutines += 1
            self._threads.spawn(partial(self._run_async, self._async_queue.popleft()))
        if self._plain_queue and not self._busy_threads:
            self._add_threads(1)
        if self._plain_queue and self._next_thread is None and self._busy_threads:
            self._ended_count_before = self._ended_count
            self._next_thread = self._loop.call_later(_THREAD_PATIENCE, self._double_threads)

    def _double_threads(self) -> None:
        """Unless those that are busy get on so fast that more would only compete for the processor."""
        self._next_thread = None
        if self._ended_count - self._ended_count_before < _FAST * self._busy_threads:
            self._add_threads(max(1, self._busy_threads))
        self._dispatch()

    def _add_threads(self, count: int) -> None:
        wanted = min(self._busy_threads + min(count, len(self._plain_queue)), self._threads.size)
        while self._busy_threads < wanted and self._busy_threads + self._busy_coroutines < self._limit:
            self._busy_threads += 1
            self._threads.post(self._run_time_slice)

    def _release(self, was_thread: list[bool]) -> None:
        """For each item one thread (True) or coroutine is no longer busy."""
        threads = sum(was_thread)
        self._busy_threads -= threads
        self._busy_coroutines -= len(was_thread) - threads
        self._dispatch()
        self.on_end()

    # -- running, in the user's threads ----------------------------------------------------------------------

    def _run_time_slice(self) -> None:
        until = time.perf_counter() + _TIME_SLICE
        try:
            while time.perf_counter() < until:
                try:
                    item = self._plain_queue.popleft()
                except IndexError:
                    break
                self._run(item)
        finally:
            self._released.put_if_open(True)

    def _run(self, item: ActivityWorkItem) -> None:
        activity = item.activity
        function = self._app.activities.get(activity.name)
        assert function is not None
        entry = self._threads.calls.begin("activity", function.name, item.instance_id)
        try:
            self._run_attempts(item, function)
        finally:
            self._threads.calls.end(entry)

    def _run_attempts(self, item: ActivityWorkItem, function: Function) -> None:
        began = self._begin(item)
        delays, retry_count = function.retry_delays(), 0
        while True:
            try:
                result = function.call(item.activity.input, retry_count)
            except BaseException as error:  # user code may raise anything, SystemExit included
                if (delay := next(delays, None)) is None:
                    self._failed(item, function, error, began)
                    return
                self._log_failure(item, began, error)
            else:
                self._succeeded(item, result, began)
                return
            time.sleep(delay)
            began, retry_count = self._begin_again(item), retry_count + 1

    async def _run_async(self, item: ActivityWorkItem) -> None:
        activity = item.activity
        function = self._app.activities.get(activity.name)
        name = function.name if function else activity.name
        entry = self._threads.calls.begin("activity", name, item.instance_id)
        began = self._begin(item)
        try:
            if activity.name == HTTP_ACTIVITY:
                self._succeeded(item, await call_http(activity.input), began)
                return
            if function is None:
                is_disabled = activity.name in self._app.disabled_activities
                reason, details = failures.activity_missing(activity.name, is_disabled)
                self._log.failed(activity.name, "activity", item.instance_id, 0.0, reason, "")
                self._end(item, h.task_failed(self._clock.now(), activity.task_id, reason, details))
                return
            delays, retry_count = function.retry_delays(), 0
            while True:
                try:
                    result = await function.call_async(activity.input, retry_count)
                except BaseException as error:  # as above
                    if self._threads.loop.is_closed():
                        raise  # the app has ended the loop: the activity runs again at the next start
                    if (delay := next(delays, None)) is None:
                        self._failed(item, function, error, began)
                        return
                    self._log_failure(item, began, error)
                else:
                    self._succeeded(item, result, began)
                    return
                await asyncio.sleep(delay)
                began, retry_count = self._begin_again(item), retry_count + 1
        except CallHttpError as failure:
            seconds = time.perf_counter() - began
            self._log.failed(activity.name, "activity", item.instance_id, seconds, failure.reason, "")
            self._end(
                item, h.task_failed(self._clock.now(), activity.task_id, failure.reason, failure.details)
            )
        finally:
            self._threads.calls.end(entry)
            self._released.put_if_open(False)

    def _begin(self, item: ActivityWorkItem) -> float:
        self._running[item.instance_id, item.activity.task_id] = self._clock.time()
        return self._begin_again(item)

    def _begin_again(self, item: ActivityWorkItem) -> float:
        """The start of each attempt that the function's retry policy allows."""
        self._log.started(item.activity.name, "activity", item.instance_id)
        return time.perf_counter()

    def _succeeded(self, item: ActivityWorkItem, result: str | None, began: float) -> None:
        activity = item.activity
        self._log.finished(activity.name, "activity", item.instance_id, time.perf_counter() - began)
        self._end(item, h.task_completed(self._clock.now(), activity.task_id, result))

    def _failed(self, item: ActivityWorkItem, function: Function, error: BaseException, began: float) -> None:
        failure = self._log_failure(item, began, error)
        reason, details = failures.activity_failed(item.activity.name, failure)
        self._end(item, h.task_failed(self._clock.now(), item.activity.task_id, reason, details))

    def _log_failure(self, item: ActivityWorkItem, began: float, error: BaseException) -> Failure:
        failure = describe_exception(error)
        seconds = time.perf_counter() - began
        self._log.failed(
            item.activity.name, "activity", item.instance_id, seconds, failure.text, failure.stack
        )
        return failure

    # -- storing results, from any thread --------------------------------------------------------------------

    def _end(self, item: ActivityWorkItem, event: h.Event) -> None:
        """Have the result stored, together with those that come until the writer takes them."""
        self._running.pop((item.instance_id, item.activity.task_id), None)
        self._ended_count += 1  # a hint: two threads may count as one
        self._results.append(ActivityResult(item, event))
        if not self._storing:
            self._storing = True
            self._store.store_results(self._take_results)

    def _take_results(self) -> list[ActivityResult]:
        # The flag comes first: a result that is appended from now on calls `store_results` again.
        self._storing = False
        results: list[ActivityResult] = []
        while self._results and len(results) < _PORTION:
            results.append(self._results.popleft())
        if self._results and not self._storing:
            self._storing = True
            self._store.store_results(self._take_results)
        return results
