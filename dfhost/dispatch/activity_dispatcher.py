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
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
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


@dataclass(slots=True)
class _RunningActivity:
    item: ActivityWorkItem
    function: FunctionInfo
    delays: Iterator[float]  # before each retry of the function's own policy
    since: float | None = None  # when its present attempt began to run
    retry_count: int = 0


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
            self._attempt(_RunningActivity(item, function, function.retry_delays()))
        elif item.activity.name == HTTP_ACTIVITY:
            self._on_loop.put_if_open(partial(self._call_http, item))
        else:
            self._on_loop.put_if_open(partial(self._fail_missing, item))

    def _attempt(self, running: _RunningActivity) -> None:
        item, running.since = running.item, None
        call = ActivityCall(running.function.name, item.instance_id, item.activity.input, running.retry_count)
        self._runner.run_activity(call, partial(self._begun, running), partial(self._ended, running))

    def _begun(self, running: _RunningActivity) -> None:
        """On any thread."""
        if running.since is None:
            running.since = time.perf_counter()
            self._show_begun(running.item, running.item.activity.input)

    def _show_begun(self, item: ActivityWorkItem, input: str) -> None:
        self._running.setdefault((item.instance_id, item.activity.task_id), self._clock.timestamp())
        self._log.started(item.activity.name, "activity", item.instance_id, input)

    # -- the end of one, on any thread -----------------------------------------------------------------------

    def _ended(self, running: _RunningActivity, outcome: ActivityOutcome, worker: int | None = None) -> None:
        item, now = running.item, time.perf_counter()
        seconds = now - (now if running.since is None else running.since)
        activity = item.activity
        if not isinstance(outcome, Failure):
            self._log.finished(activity.name, "activity", item.instance_id, seconds, activity.input)
            self._end(item, h.task_completed(self._clock.timestamp(), activity.task_id, outcome), worker)
            return
        delay = next(running.delays, None)
        self._log.failed(
            activity.name,
            "activity",
            item.instance_id,
            seconds,
            outcome.text,
            outcome.stack,
            activity.input,
            _attempt_of(running, delay),
        )
        if delay is not None:
            running.retry_count += 1
            self._on_loop.put_if_open(partial(self._attempt_later, running, delay))
            return
        reason, details = failures.activity_failed(activity.name, outcome)
        self._end(item, h.task_failed(self._clock.timestamp(), activity.task_id, reason, details), worker)

    def _attempt_later(self, running: _RunningActivity, delay: float) -> None:
        async def wait() -> None:
            await self._clock.pause(delay)
            self._attempt(running)

        self._tasks.start(wait())

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


def _not_sent(error: Exception) -> str:
    return f"The request cannot be sent: {type(error).__name__}: {error}"


def _attempt_of(running: _RunningActivity, delay: float | None) -> Attempt | None:
    """`delay`: seconds to the next attempt by the function's own policy, None if that makes no more."""
    policy = running.function.retry
    own = Attempt(running.retry_count + 1, policy.max_attempts, delay) if policy else None
    return own if delay is not None else _orchestrators_attempt(running.item.activity) or own


def _orchestrators_attempt(activity: ScheduledActivity) -> Attempt | None:
    """Of `call_activity_with_retry`."""
    if activity.max_attempts == 1:
        return None
    return Attempt(activity.attempt, activity.max_attempts, activity.retry_after)
