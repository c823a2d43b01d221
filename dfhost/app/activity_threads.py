"""Runs activities in the user's threads, as few threads as get the work done.

Sync activities run in the pool, async ones on the user loop.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from dfhost.app.exceptions import describe_exception
from dfhost.app.functions import Function
from dfhost.app.threads import UserThreads
from dfhost.loop_queue import LoopQueue, callback_queue
from dfhost.runner.app_runner import ActivityCall, ActivityListener, ActivityOutcome

# One thread has done five trivial activities before five threads have woken up, and a thread that blocks is soon
# joined by others: 1 at first, 2 after a millisecond, 4 after two … (200 fan-outs of 5: 12 % less time).
_THREAD_PATIENCE = 0.001
_FAST = 5  # activities that one thread ends in that time, if they are trivial and only compute
# While the process computes all the time, a thread more would mostly wait for the interpreter lock, so it comes after
# this many seconds. A map of 1,000 trivial items had 60 threads without this, and 20 switches of the lock an item.
_PATIENCE_WHILE_COMPUTING = 0.02
_TIME_SLICE = 0.02  # seconds that a thread goes on taking activities before it returns to the pool


class _Progress(NamedTuple):
    """At one moment: activities ended so far, and seconds."""

    ended: int
    cpu: float  # of this process
    time: float


class ActivityThreads:
    """To be made on the loop that calls `InProcessRunner.start`.

    `pass_on` is called, in any thread, when outcomes that listeners have got should go on: where a thread has nothing
    more to run, and each millisecond while it has. So few messages carry the outcomes of many trivial activities.
    """

    def __init__(self, threads: UserThreads, pass_on: Callable[[], None]) -> None:
        self._threads = threads
        self._pass_on = pass_on
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._on_loop: LoopQueue[Callable[[], None]] = callback_queue(self._loop)
        self._queue: deque[tuple[Function, ActivityCall, ActivityListener]] = deque()
        self._lock = threading.Lock()
        self._busy_threads = 0  # under the lock
        self._next_thread: asyncio.TimerHandle | None = None
        self._ended_count = 0
        self._before = _Progress(0, 0.0, 0.0)  # when the timer was set
        self._added_at = 0.0

    def run(self, function: Function, call: ActivityCall, listener: ActivityListener) -> None:
        """`listener` gets the outcome, in the thread that the activity ran in. From any thread."""
        if function.is_async:
            self._threads.spawn(partial(self._run_async, function, call, listener))
            return
        self._queue.append((function, call, listener))
        if self._busy_threads and self._next_thread is not None:
            return  # one of them takes it, or is soon joined by others
        if threading.get_ident() == self._loop_thread:
            self._dispatch()
        else:
            self._on_loop.put_if_open(self._dispatch)

    # -- threads, on that loop -------------------------------------------------------------------------------

    def _dispatch(self) -> None:
        waiting = len(self._queue)
        added = 0 if self._busy_threads else self._add_threads(1)
        if waiting > added and self._next_thread is None:
            self._before = self._progress()
            self._next_thread = self._loop.call_later(_THREAD_PATIENCE, self._double_threads)

    def _double_threads(self) -> None:
        """Unless more threads would only compete for the processor."""
        self._next_thread = None
        self._pass_on()  # a thread may hang in an activity, and an outcome of its last one wait
        before, now = self._before, self._progress()
        seconds = now.time - before.time  # more than a millisecond, if the loop is busy
        get_on_fast = now.ended - before.ended >= _FAST * self._busy_threads * seconds / _THREAD_PATIENCE
        compute = now.cpu - before.cpu > 0.8 * seconds
        if not get_on_fast and (not compute or now.time - self._added_at > _PATIENCE_WHILE_COMPUTING):
            self._add_threads(max(1, self._busy_threads))
        self._dispatch()

    def _progress(self) -> _Progress:
        return _Progress(self._ended_count, time.process_time(), time.perf_counter())

    def _add_threads(self, count: int) -> int:
        """Add at most `count` threads; returns how many."""
        with self._lock:
            count = min(count, len(self._queue), self._threads.size - self._busy_threads)
            self._busy_threads += count
        if count:
            self._added_at = time.perf_counter()
        for _ in range(count):
            self._threads.post(self._run_time_slice)
        return count

    # -- running ---------------------------------------------------------------------------------------------

    def _run_time_slice(self) -> None:
        passed_on = time.perf_counter()
        until = passed_on + _TIME_SLICE
        try:
            while (now := time.perf_counter()) < until:
                if now - passed_on > _THREAD_PATIENCE:
                    passed_on = now
                    self._pass_on()
                try:
                    function, call, listener = self._queue.popleft()
                except IndexError:
                    break
                self._run(function, call, listener)
        finally:
            self._pass_on()
            with self._lock:
                self._busy_threads -= 1
                is_left = bool(self._queue)
            if is_left:
                self._on_loop.put_if_open(self._dispatch)

    def _run(self, function: Function, call: ActivityCall, listener: ActivityListener) -> None:
        entry = self._threads.calls.begin("activity", function.name, call.instance_id)
        outcome: ActivityOutcome
        try:
            outcome = function.call(call.input, call.retry_count)
        except BaseException as error:  # user code may raise anything, SystemExit included
            outcome = describe_exception(error)
        finally:
            self._threads.calls.end(entry)
        self._ended_count += 1  # a hint: two threads may count as one
        listener.ended(outcome)

    async def _run_async(self, function: Function, call: ActivityCall, listener: ActivityListener) -> None:
        entry = self._threads.calls.begin("activity", function.name, call.instance_id)
        outcome: ActivityOutcome
        try:
            outcome = await function.call_async(call.input, call.retry_count)
        except BaseException as error:  # as above
            if self._threads.loop.is_closed():
                raise  # the app has ended the loop: the activity runs again at the next start
            outcome = describe_exception(error)
        finally:
            self._threads.calls.end(entry)
        listener.ended(outcome)
