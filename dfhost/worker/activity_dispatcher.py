"""Running activities: as many at once as host.json allows, in the user's threads.

Owns the queue of scheduled work and the count of what runs. An activity is run only after the commit that
scheduled it; its result counts only after the commit that stored it, which is the caller's part.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial

from dfhost.app.exceptions import describe_exception
from dfhost.app.functions import App, Function
from dfhost.app.loop_queue import LoopQueue
from dfhost.app.threads import UserThreads
from dfhost.engine import failures
from dfhost.engine import history as h
from dfhost.engine.actions import HTTP_ACTIVITY
from dfhost.host_log import HostLog
from dfhost.store.store import ActivityResult, ActivityWorkItem
from dfhost.worker.call_http import CallHttpError, call_http
from dfhost.worker.clock import now

# Five trivial activities are done by one thread before five have woken up, and a thread that blocks is soon
# joined by others: 1 thread at once, 2 after a millisecond, 4 after two … (200 fan-outs of 5: 12 % less time).
_PATIENCE = 0.001
_FAST = 5  # activities that one thread ends in that time, if they only compute and are trivial
_TURN = 0.02  # seconds that a pool thread goes on taking activities before others have their turn


class ActivityDispatcher:
    """`ended` hears of every result, in the thread that made it."""

    def __init__(
        self,
        app: App,
        threads: UserThreads,
        log: HostLog,
        limit: int,
        ended: Callable[[ActivityResult], None],
    ) -> None:
        self._app = app
        self._threads = threads
        self._log = log
        self._limit = max(1, limit)
        self._tell = ended
        self._plain: deque[ActivityWorkItem] = deque()
        self._async: deque[ActivityWorkItem] = deque()
        self._turns = 0  # pool threads that take plain activities now
        self._awaiting = 0  # coroutine activities under way
        self.running: dict[tuple[str, int], float] = {}
        self._draining = False
        self._reinforcing: asyncio.TimerHandle | None = None
        self._ended_so_far = self._ended_before = 0

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._turned: LoopQueue[bool] = LoopQueue(self._loop, self._ended)

    @property
    def idle(self) -> bool:
        return not self._turns and not self._awaiting

    def drain(self) -> None:
        """Start nothing new; what is queued stays in the database for the next host."""
        self._draining = True
        self._plain.clear()
        self._async.clear()

    def add(self, works: Iterable[ActivityWorkItem]) -> None:
        if self._draining:
            return
        for work in works:
            function = self._app.activities.get(work.activity.name)
            is_async = function.is_async if function else True
            (self._async if is_async else self._plain).append(work)
        self._pump()

    def forget(self, instance_id: str) -> None:
        """Drop what is queued for an instance that has ended."""
        for queue in (self._plain, self._async):
            if any(work.instance_id == instance_id for work in queue):
                kept = [work for work in queue if work.instance_id != instance_id]
                queue.clear()
                queue.extend(kept)

    def state(self, instance_id: str, task_id: int) -> tuple[str, float | None]:
        """("running", since when as a timestamp) or ("queued", None)."""
        since = self.running.get((instance_id, task_id))
        return ("queued", None) if since is None else ("running", since)

    def _pump(self) -> None:
        while self._async and self._turns + self._awaiting < self._limit:
            self._awaiting += 1
            self._threads.spawn(partial(self._run_async, self._async.popleft()))
        if self._plain and not self._turns:
            self._add_turns(1)
        if self._plain and self._reinforcing is None and self._turns:
            self._ended_before = self._ended_so_far
            self._reinforcing = self._loop.call_later(_PATIENCE, self._reinforce)

    def _reinforce(self) -> None:
        """Double the threads, unless those there are get on so fast that more would only fight for the processor."""
        self._reinforcing = None
        if self._ended_so_far - self._ended_before < _FAST * self._turns:
            self._add_turns(max(1, self._turns))
        self._pump()

    def _add_turns(self, count: int) -> None:
        wanted = min(self._turns + min(count, len(self._plain)), self._threads.size)
        while self._turns < wanted and self._turns + self._awaiting < self._limit:
            self._turns += 1
            self._threads.post(self._take_turn)

    def _ended(self, turns: list[bool]) -> None:
        plain = sum(turns)
        self._turns -= plain
        self._awaiting -= len(turns) - plain
        self._pump()

    # -- in the user's threads -------------------------------------------------------------------------------

    def _take_turn(self) -> None:
        until = time.perf_counter() + _TURN
        try:
            while time.perf_counter() < until:
                try:
                    work = self._plain.popleft()
                except IndexError:
                    break
                self._run(work)
        finally:
            self._turned.put_if_open(True)

    def _run(self, work: ActivityWorkItem) -> None:
        activity = work.activity
        function = self._app.activities.get(activity.name)
        assert function is not None
        began = self._begin(work)
        try:
            result = function.call(activity.input)
        except BaseException as error:  # user code may raise anything, SystemExit included
            self._failed(work, function, error, began)
        else:
            self._succeeded(work, result, began)

    async def _run_async(self, work: ActivityWorkItem) -> None:
        activity = work.activity
        began = self._begin(work)
        try:
            if activity.name == HTTP_ACTIVITY:
                self._succeeded(work, await call_http(activity.input), began)
                return
            function = self._app.activities.get(activity.name)
            if function is None:
                self._end(
                    work, h.task_failed(now(), activity.task_id, *failures.activity_missing(activity.name))
                )
                return
            try:
                result = await function.call_async(activity.input)
            except BaseException as error:  # as above
                self._failed(work, function, error, began)
            else:
                self._succeeded(work, result, began)
        except CallHttpError as failure:
            self._tell_failure(work, began, failure.reason, "")
            self._end(work, h.task_failed(now(), activity.task_id, failure.reason, failure.details))
        finally:
            self._turned.put_if_open(False)

    def _begin(self, work: ActivityWorkItem) -> float:
        self.running[work.instance_id, work.activity.task_id] = time.time()
        self._log.started(work.activity.name, "activity", work.instance_id)
        return time.perf_counter()

    def _succeeded(self, work: ActivityWorkItem, result: str | None, began: float) -> None:
        activity = work.activity
        self._log.finished(activity.name, "activity", work.instance_id, time.perf_counter() - began)
        self._end(work, h.task_completed(now(), activity.task_id, result))

    def _failed(self, work: ActivityWorkItem, function: Function, error: BaseException, began: float) -> None:
        failure = describe_exception(error)
        self._tell_failure(work, began, failure.text, failure.stack)
        reason, details = failures.activity_failed(work.activity.name, failure)
        self._end(work, h.task_failed(now(), work.activity.task_id, reason, details))

    def _tell_failure(self, work: ActivityWorkItem, began: float, error: str, stack: str) -> None:
        seconds = time.perf_counter() - began
        self._log.failed(work.activity.name, "activity", work.instance_id, seconds, error, stack)

    def _end(self, work: ActivityWorkItem, event: h.Event) -> None:
        self.running.pop((work.instance_id, work.activity.task_id), None)
        self._ended_so_far += 1  # a hint: two threads may count as one
        self._tell(ActivityResult(work, event))
