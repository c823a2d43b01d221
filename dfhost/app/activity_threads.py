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

from dfhost.app.exceptions import describe_exception
from dfhost.app.functions import Function
from dfhost.app.threads import UserThreads
from dfhost.loop_queue import LoopQueue, callback_queue
from dfhost.runner.app_runner import ActivityCall, ActivityOutcome

# One thread has done five trivial activities before five threads have woken up, and a thread that blocks is soon
# joined by others: 1 at first, 2 after a millisecond, 4 after two … (200 fan-outs of 5: 12 % less time).
_THREAD_PATIENCE = 0.001
_FAST = 5  # activities that one thread ends in that time, if they are trivial and only compute
_TIME_SLICE = 0.02  # seconds that a thread goes on taking activities before it returns to the pool

#: What is called at the end of an activity that ran in this process.
Done = Callable[[ActivityOutcome], None]


class ActivityThreads:
    """To be made on the host loop."""

    def __init__(self, threads: UserThreads) -> None:
        self._threads = threads
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._on_loop: LoopQueue[Callable[[], None]] = callback_queue(self._loop)
        self._queue: deque[tuple[Function, ActivityCall, Done]] = deque()
        self._busy_threads = 0
        self._next_thread: asyncio.TimerHandle | None = None
        self._ended_count = self._ended_count_before = 0

    def run(self, function: Function, call: ActivityCall, done: Done) -> None:
        """`done` gets the outcome, in the thread that the activity ran in. From any thread."""
        if function.is_async:
            self._threads.spawn(partial(self._run_async, function, call, done))
            return
        self._queue.append((function, call, done))
        if self._busy_threads and self._next_thread is not None:
            return  # one of them takes it, or is soon joined by others
        if threading.get_ident() == self._loop_thread:
            self._dispatch()
        else:
            self._on_loop.put_if_open(self._dispatch)

    # -- threads, on the host loop ---------------------------------------------------------------------------

    def _dispatch(self) -> None:
        if self._queue and not self._busy_threads:
            self._add_threads(1)
        if self._queue and self._next_thread is None and self._busy_threads:
            self._ended_count_before = self._ended_count
            self._next_thread = self._loop.call_later(_THREAD_PATIENCE, self._double_threads)

    def _double_threads(self) -> None:
        """Unless those that are busy get on so fast that more would only compete for the processor."""
        self._next_thread = None
        if self._ended_count - self._ended_count_before < _FAST * self._busy_threads:
            self._add_threads(max(1, self._busy_threads))
        self._dispatch()

    def _add_threads(self, count: int) -> None:
        wanted = min(self._busy_threads + min(count, len(self._queue)), self._threads.size)
        while self._busy_threads < wanted:
            self._busy_threads += 1
            self._threads.post(self._run_time_slice)

    def _release(self) -> None:
        self._busy_threads -= 1
        self._dispatch()

    # -- running ---------------------------------------------------------------------------------------------

    def _run_time_slice(self) -> None:
        until = time.perf_counter() + _TIME_SLICE
        try:
            while time.perf_counter() < until:
                try:
                    function, call, done = self._queue.popleft()
                except IndexError:
                    break
                self._run(function, call, done)
        finally:
            self._on_loop.put_if_open(self._release)

    def _run(self, function: Function, call: ActivityCall, done: Done) -> None:
        entry = self._threads.calls.begin("activity", function.name, call.instance_id)
        outcome: ActivityOutcome
        try:
            outcome = function.call(call.input, call.retry_count)
        except BaseException as error:  # user code may raise anything, SystemExit included
            outcome = describe_exception(error)
        finally:
            self._threads.calls.end(entry)
        self._ended_count += 1  # a hint: two threads may count as one
        done(outcome)

    async def _run_async(self, function: Function, call: ActivityCall, done: Done) -> None:
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
        done(outcome)
