"""Runs each activity from its first attempt to its result: its log, the retries of its own policy, `call_http`.

How many run at once, and what becomes of the results, is `ActivityDispatcher`'s part.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from dfhost.background_tasks import BackgroundTasks
from dfhost.clock import Clock
from dfhost.dispatch.call_http import CallHttp, CallHttpError
from dfhost.engine import failures
from dfhost.engine import history as h
from dfhost.engine.actions import HTTP_ACTIVITY
from dfhost.engine.episode import ScheduledActivity
from dfhost.engine.failures import Failure
from dfhost.engine.history import Event
from dfhost.host_log import Attempt, HostLog
from dfhost.loop_queue import LoopQueue, callback_queue
from dfhost.runner.app_runner import ActivityCall, ActivityOutcome, AppRunner
from dfhost.runner.functions import FunctionInfo
from dfhost.store.activities_and_timers import ActivityResult, ActivityWorkItem


class ActivityRunner:
    """`on_result` is called once for each activity that was given to `run`, on any thread."""

    def __init__(
        self,
        app_runner: AppRunner,
        log: HostLog,
        clock: Clock,
        call_http: CallHttp,
        on_result: Callable[[ActivityResult], None],
    ) -> None:
        self.app_runner = app_runner
        self.log = log
        self.clock = clock
        self._call_http = call_http
        self._on_result = on_result
        self._tasks = BackgroundTasks()
        self._running: dict[tuple[str, str, int], str] = {}  # see `work_key` -> since when
        #: Those that may have run under the last host. Each is taken out when it begins.
        self.interrupted: set[tuple[str, str, int]] = set()

    def start(self) -> None:
        self._on_loop: LoopQueue[Callable[[], None]] = callback_queue(asyncio.get_running_loop())

    def run(self, item: ActivityWorkItem) -> None:
        """Run the activity, which ends later. From any thread."""
        function = self.app_runner.app.activities.get(item.activity.name)
        if function is not None:
            _ActivityRun(self, item, function).attempt()
        elif item.activity.name == HTTP_ACTIVITY:
            self._start_task(partial(self._run_http_call, item))
        else:
            self._on_loop.put_if_open(partial(self._fail_missing, item))

    def running_since(self, instance_id: str, execution_id: str, task_id: int) -> str | None:
        """ISO text; None while no worker has begun it."""
        return self._running.get((instance_id, execution_id, task_id))

    @property
    def any_runs(self) -> bool:
        return bool(self._running)

    # -- of each activity, on any thread ---------------------------------------------------------------------

    def begun(self, item: ActivityWorkItem, input: str) -> None:
        """`input`: what the log shows of it."""
        self._running.setdefault(key := work_key(item), self.clock.timestamp())
        if self.interrupted and key in self.interrupted:
            self.interrupted.discard(key)
            self.log.started_again(item.activity.name, item.instance_id, input)
        else:
            self.log.started(item.activity.name, "activity", item.instance_id, input)

    def attempt_after(self, seconds: float, run: _ActivityRun) -> None:
        async def wait() -> None:
            await self.clock.pause(seconds)
            run.attempt()

        self._start_task(wait)

    def end(self, item: ActivityWorkItem, event: Event, worker: int | None = None) -> None:
        """`event`: its TaskCompleted or TaskFailed. `worker`: as of `ActivityListener.ended`."""
        started_at = self._running.pop(work_key(item), None)
        self._on_result(ActivityResult(item, event, started_at, worker))

    def _start_task(self, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        def start() -> None:
            self._tasks.start(make())

        self._on_loop.put_if_open(start)

    # -- those that are not functions of the app, on the host loop -------------------------------------------

    def _fail_missing(self, item: ActivityWorkItem) -> None:
        activity = item.activity
        is_disabled = activity.name in self.app_runner.app.disabled_of("activity")
        reason, details = failures.activity_missing(activity.name, is_disabled)
        attempt = _orchestrators_attempt(activity)
        self.log.failed(activity.name, "activity", item.instance_id, 0.0, reason, "", activity.input, attempt)
        self.end(item, h.task_failed(self.clock.timestamp(), activity.task_id, reason, details))

    async def _run_http_call(self, item: ActivityWorkItem) -> None:
        activity, began = item.activity, time.perf_counter()
        request = json.loads(activity.input)
        named = f"{request.get('method')} {request['uri']}"
        self.begun(item, named)
        try:
            result = await self._call_http(activity.input, item.instance_id)
        except Exception as error:  # a CallHttpError, or what nobody has thought of
            seconds = time.perf_counter() - began
            failure = error if isinstance(error, CallHttpError) else CallHttpError(_not_sent(error), "")
            self.log.failed(activity.name, "activity", item.instance_id, seconds, failure.reason, "", named)
            event = h.task_failed(self.clock.timestamp(), activity.task_id, failure.reason, failure.details)
        else:
            seconds = time.perf_counter() - began
            status = result.partition(":")[2].partition(",")[0]  # `call_http` writes it first
            self.log.finished(activity.name, "activity", item.instance_id, seconds, f"{status} {named}")
            event = h.task_completed(self.clock.timestamp(), activity.task_id, result)
        self.end(item, event)


class _ActivityRun:
    """A function of the app on one input; the `ActivityListener` of its attempts."""

    __slots__ = ("_delays", "_function", "_item", "_retry_count", "_runner", "_since")

    def __init__(self, runner: ActivityRunner, item: ActivityWorkItem, function: FunctionInfo) -> None:
        self._runner = runner
        self._item = item
        self._function = function
        self._delays = function.retry_delays() if function.retry else iter(())
        self._retry_count = 0
        self._since: float | None = None  # when its present attempt began to run

    def attempt(self) -> None:
        item, self._since = self._item, None
        call = ActivityCall(self._function.name, item.instance_id, item.activity.input, self._retry_count)
        self._runner.app_runner.run_activity(call, self)

    def begun(self) -> None:
        if self._since is None:
            self._since = time.perf_counter()
            self._runner.begun(self._item, self._item.activity.input)

    def ended(self, outcome: ActivityOutcome, worker: int | None = None) -> None:
        runner, item, now = self._runner, self._item, time.perf_counter()
        seconds = now - (now if self._since is None else self._since)
        activity = item.activity
        if not isinstance(outcome, Failure):
            runner.log.finished(activity.name, "activity", item.instance_id, seconds, activity.input)
            runner.end(item, h.task_completed(runner.clock.timestamp(), activity.task_id, outcome), worker)
            return
        delay = next(self._delays, None)
        runner.log.failed(
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
            runner.attempt_after(delay, self)
            return
        reason, details = failures.activity_failed(activity.name, outcome)
        runner.end(item, h.task_failed(runner.clock.timestamp(), activity.task_id, reason, details), worker)

    def _failed_attempt(self, delay: float | None) -> Attempt | None:
        """`delay`: seconds to the next attempt by the function's own policy, None if that makes no more."""
        policy = self._function.retry
        own = Attempt(self._retry_count + 1, policy.max_attempts, delay) if policy else None
        return own if delay is not None else _orchestrators_attempt(self._item.activity) or own


def work_key(item: ActivityWorkItem) -> tuple[str, str, int]:
    """An activity of a terminated instance may still run when its id was started again."""
    return item.instance_id, item.execution_id, item.activity.task_id


def _not_sent(error: Exception) -> str:
    return f"The request cannot be sent: {type(error).__name__}: {error}"


def _orchestrators_attempt(activity: ScheduledActivity) -> Attempt | None:
    """Which attempt of a `call_activity_with_retry` this is; None if the call has no retries."""
    if activity.max_attempts == 1:
        return None
    return Attempt(activity.attempt, activity.max_attempts, activity.retry_after)
