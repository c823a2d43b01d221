"""Running activities: as many at once as host.json allows.

An activity is queued after the commit that scheduled it, run, and its result is stored in the inbox of its
orchestration, in groups. From there on the result is a message like any other: `Dispatchers.events_written` passes
it to `OrchestrationDispatcher.receive`, where the replay gate decides whether it leads to an episode.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain, islice
from threading import Lock

from dfhost.background_tasks import BackgroundTasks
from dfhost.clock import Clock
from dfhost.dispatch.call_http import CallHttp, CallHttpError
from dfhost.engine import failures
from dfhost.engine import history as h
from dfhost.engine.actions import HTTP_ACTIVITY
from dfhost.engine.episode import ScheduledActivity
from dfhost.engine.failures import Failure
from dfhost.host_log import Attempt, HostLog
from dfhost.loop_queue import LoopQueue, callback_queue
from dfhost.runner.app_runner import ActivityCall, ActivityOutcome, AppRunner
from dfhost.runner.functions import FunctionInfo
from dfhost.store.activities_and_timers import ActivityResult, ActivityWorkItem
from dfhost.store.store import Store

_PORTION = 2000  # work items queued, or results stored, at a time: 20 ms on the host loop or in the store


class ActivityDispatcher:
    """`limit`: how many activities may run at once."""

    def __init__(
        self, runner: AppRunner, store: Store, log: HostLog, clock: Clock, limit: int, call_http: CallHttp
    ) -> None:
        self._send_http = call_http
        self._runner = runner
        self._store = store
        self._log = log
        self._clock = clock
        self._limit = max(1, limit)
        self._queue: deque[ActivityWorkItem] = deque()
        self._busy = 0  # activities that run; one that ends passes its place on, in its own thread
        self._lock = Lock()  # of the two, of `_results` and `_storing`
        self._running: dict[tuple[str, int], str] = {}  # (instance, task id) -> since when
        self._tasks = BackgroundTasks()
        self._results: deque[ActivityResult] = deque()  # not stored yet
        self._storing = False  # the store was asked to take them
        self._stopped_accepting = False

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_loop: LoopQueue[Callable[[], None]] = callback_queue(self._loop)

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
            self._start(item)
        if (following := next(remaining, None)) is not None:
            self._loop.call_soon(self.add, chain((following,), remaining))

    def drop(self, instance_id: str) -> None:
        """Drop the queued activities of an instance that has ended."""
        with self._lock:
            if any(item.instance_id == instance_id for item in self._queue):
                self._queue = deque(item for item in self._queue if item.instance_id != instance_id)

    def state(self, instance_id: str, task_id: int) -> tuple[str, str | None]:
        """("running", since when as ISO text) or ("queued", None)."""
        since = self._running.get((instance_id, task_id))
        return ("queued", None) if since is None else ("running", since)

    @property
    def limit_reached(self) -> int | None:
        """How many activities run, if no more may run at once; else None."""
        return self._limit if self._busy >= self._limit else None

    # -- starting --------------------------------------------------------------------------------------------

    def _start(self, item: ActivityWorkItem) -> None:
        """On any thread."""
        function = self._runner.app.activities.get(item.activity.name)
        if function is not None:
            _RunningActivity(self, item, function).attempt()
        elif item.activity.name == HTTP_ACTIVITY:
            self._on_loop.put_if_open(partial(self._call_http, item))
        else:
            self._on_loop.put_if_open(partial(self._fail_missing, item))

    def _show_begun(self, item: ActivityWorkItem, input: str) -> None:
        """On any thread."""
        self._running.setdefault((item.instance_id, item.activity.task_id), self._clock.timestamp())
        self._log.started(item.activity.name, "activity", item.instance_id, input)

    def _fail_missing(self, item: ActivityWorkItem) -> None:
        name = item.activity.name
        is_disabled = name in self._runner.app.disabled_of("activity")
        reason, details = failures.activity_missing(name, is_disabled)
        activity = item.activity
        self._log.failed(
            name,
            "activity",
            item.instance_id,
            0.0,
            reason,
            "",
            activity.input,
            _orchestrators_attempt(activity),
        )
        self._end(item, h.task_failed(self._clock.timestamp(), item.activity.task_id, reason, details))

    # -- the activity behind call_http, on the host loop -----------------------------------------------------

    def _call_http(self, item: ActivityWorkItem) -> None:
        self._tasks.start(self._run_http_call(item))

    async def _run_http_call(self, item: ActivityWorkItem) -> None:
        activity, began = item.activity, time.perf_counter()
        request = json.loads(activity.input)
        named = f"{request.get('method')} {request['uri']}"
        self._show_begun(item, named)
        try:
            result = await self._send_http(activity.input, item.instance_id)
        except Exception as error:  # a CallHttpError, or what nobody has thought of
            seconds = time.perf_counter() - began
            failure = error if isinstance(error, CallHttpError) else CallHttpError(_not_sent(error), "")
            self._log.failed(activity.name, "activity", item.instance_id, seconds, failure.reason, "", named)
            event = h.task_failed(self._clock.timestamp(), activity.task_id, failure.reason, failure.details)
        else:
            seconds = time.perf_counter() - began
            status = result.partition(":")[2].partition(",")[0]  # `call_http` writes it first
            self._log.finished(activity.name, "activity", item.instance_id, seconds, f"{status} {named}")
            event = h.task_completed(self._clock.timestamp(), activity.task_id, result)
        self._end(item, event)

    # -- storing results, on any thread ---------------------------------------------------------------------

    def _end(self, item: ActivityWorkItem, event: h.Event, worker: int | None = None) -> None:
        """Have the result stored, together with those that come until the writer takes them."""
        started_at = self._running.pop((item.instance_id, item.activity.task_id), None)
        with self._lock:
            # Both at once: whoever takes the result finds the place free, so `unfinished` is 0 after its commit.
            self._results.append(ActivityResult(item, event, started_at, worker))
            following = self._queue.popleft() if self._queue else None
            if following is None:
                self._busy -= 1
            is_first, self._storing = not self._storing, True
        if is_first:
            self._store.store_results(self._take_results)
        if following is not None:
            self._start(following)

    def _take_results(self) -> list[ActivityResult]:
        with self._lock:
            results = [self._results.popleft() for _ in range(min(len(self._results), _PORTION))]
            has_more = self._storing = bool(self._results)
        if has_more:
            self._store.store_results(self._take_results)
        return results


class _RunningActivity:
    """An activity of the app, from its first attempt to its result: its log, and the retries of its own policy.

    The `ActivityListener` of its attempts.
    """

    __slots__ = ("_delays", "_dispatcher", "_function", "_item", "_retry_count", "_since")

    def __init__(
        self, dispatcher: ActivityDispatcher, item: ActivityWorkItem, function: FunctionInfo
    ) -> None:
        self._dispatcher = dispatcher
        self._item = item
        self._function = function
        self._delays = function.retry_delays() if function.retry else iter(())
        self._retry_count = 0
        self._since: float | None = None  # when its present attempt began to run

    def attempt(self) -> None:
        item, self._since = self._item, None
        call = ActivityCall(self._function.name, item.instance_id, item.activity.input, self._retry_count)
        self._dispatcher._runner.run_activity(call, self)

    def begun(self) -> None:
        if self._since is None:
            self._since = time.perf_counter()
            self._dispatcher._show_begun(self._item, self._item.activity.input)

    def ended(self, outcome: ActivityOutcome, worker: int | None = None) -> None:
        dispatcher, item, now = self._dispatcher, self._item, time.perf_counter()
        seconds = now - (now if self._since is None else self._since)
        activity = item.activity
        if not isinstance(outcome, Failure):
            dispatcher._log.finished(activity.name, "activity", item.instance_id, seconds, activity.input)
            event = h.task_completed(dispatcher._clock.timestamp(), activity.task_id, outcome)
            dispatcher._end(item, event, worker)
            return
        delay = next(self._delays, None)
        dispatcher._log.failed(
            activity.name,
            "activity",
            item.instance_id,
            seconds,
            outcome.text,
            outcome.stack,
            activity.input,
            self._failed_attempt(delay),
        )
        if delay is not None:
            self._retry_count += 1
            dispatcher._on_loop.put_if_open(partial(self._attempt_later, delay))
            return
        reason, details = failures.activity_failed(activity.name, outcome)
        dispatcher._end(
            item, h.task_failed(dispatcher._clock.timestamp(), activity.task_id, reason, details), worker
        )

    def _attempt_later(self, delay: float) -> None:
        async def wait() -> None:
            await self._dispatcher._clock.pause(delay)
            self.attempt()

        self._dispatcher._tasks.start(wait())

    def _failed_attempt(self, delay: float | None) -> Attempt | None:
        """`delay`: seconds to the next attempt by the function's own policy, None if that makes no more."""
        policy = self._function.retry
        own = Attempt(self._retry_count + 1, policy.max_attempts, delay) if policy else None
        return own if delay is not None else _orchestrators_attempt(self._item.activity) or own


def _not_sent(error: Exception) -> str:
    return f"The request cannot be sent: {type(error).__name__}: {error}"


def _orchestrators_attempt(activity: ScheduledActivity) -> Attempt | None:
    """Of `call_activity_with_retry`."""
    if activity.max_attempts == 1:
        return None
    return Attempt(activity.attempt, activity.max_attempts, activity.retry_after)
