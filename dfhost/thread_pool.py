"""A pool of daemon threads that grows when a call finds no free thread, and can replace those that are blocked.

The threads are daemons so that the process can end at once, whatever runs in them.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from dfhost.loop_queue import LoopQueue, callback_queue

T = TypeVar("T")


class ThreadPool:
    """`size`: how many threads there may be. They have the names that the real worker gives its own."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._stopping = False
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._unfinished = 0  # calls that run or wait for a thread
        self._began: dict[int, float] = {}  # by the thread's id: when its present call did, time.monotonic()
        self._blocked = 0  # threads that have a substitute, beyond `size`
        self._host_calls: LoopQueue[Callable[[], None]] | None = None

    def replace_blocked(self, seconds: float) -> None:
        """From now on, each thread whose present call has taken longer has a substitute; earlier substitutes end.

        A call may never return, so this is to be repeated.
        """
        latest = time.monotonic() - seconds
        with self._lock:
            self._blocked = sum(began < latest for began in list(self._began.values()))
            for _ in range(self._blocked):
                self._grow()

    def stop(self) -> None:
        """End each thread after its present call. Returns without waiting."""
        with self._lock:
            self._stopping = True
            for _ in self._threads:
                self._queue.put(None)

    def post(self, work: Callable[[], None]) -> None:
        """Run `work` in the pool. It must not raise; from any thread."""
        self._queue.put(work)
        with self._lock:
            self._unfinished += 1
            self._grow()

    async def run(self, function: Callable[[], T]) -> T:
        """Run `function()` in the pool and return its result. Awaited on the host loop."""
        result: asyncio.Future[T]
        result, call_on_host_loop = self._host_future()

        def work() -> None:
            try:
                value = function()
            except BaseException as error:  # user code may raise anything, SystemExit included
                call_on_host_loop(partial(set_failure, result, error))
            else:
                call_on_host_loop(partial(set_success, result, value))

        self.post(work)
        return await result

    def _host_future(self) -> tuple[asyncio.Future[Any], Callable[[Callable[[], None]], None]]:
        """A future of the running host loop, and a function that has a callback run there, from any thread."""
        host_loop = asyncio.get_running_loop()
        if self._host_calls is None or self._host_calls.loop is not host_loop:
            self._host_calls = callback_queue(host_loop)
        return host_loop.create_future(), self._host_calls.put_if_open

    def _grow(self) -> None:
        """Start a thread if a call would have to wait for one. Under the lock."""
        if len(self._threads) < min(self._unfinished, self.size + self._blocked) and not self._stopping:
            name = f"ThreadPoolExecutor-0_{len(self._threads)}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system has no more threads: those that there are go on
                if not self._threads:
                    raise
            else:
                self._threads.append(thread)

    def _work(self) -> None:
        thread_id = threading.get_ident()
        while (work := self._queue.get()) is not None:
            self._began[thread_id] = time.monotonic()
            contextvars.Context().run(work)
            del work  # else what it refers to would live until the next call
            with self._lock:
                self._unfinished -= 1
                del self._began[thread_id]
                if len(self._threads) > self.size + self._blocked:
                    self._threads.remove(threading.current_thread())
                    return


def set_success(result: asyncio.Future[Any], value: Any) -> None:
    if not result.done():
        result.set_result(value)


def set_failure(result: asyncio.Future[Any], error: BaseException) -> None:
    if not result.done():
        # A future cannot carry StopIteration, and SystemExit would end the host loop.
        if not isinstance(error, Exception) or isinstance(error, StopIteration):
            error = RuntimeError(f"{type(error).__name__}: {error}").with_traceback(error.__traceback__)
        result.set_exception(error)
