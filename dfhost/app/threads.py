"""The threads in which user code runs: never the host's own loop.

Coroutine functions share one event loop in one thread of theirs (the SDK's client session binds to the
first loop it sees); plain functions and replays share a pool, as in the real worker. This module owns the
threads and nothing else: what runs there, and what becomes of its result, is the callers' business.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from dfhost.app.loop_queue import LoopQueue, call_queue

T = TypeVar("T")


def default_pool_size() -> int:
    """`PYTHON_THREADPOOL_THREAD_COUNT`, else `min(32, cpus + 4)`: the real worker's rule since Python 3.9."""
    try:
        wanted = int(os.environ.get("PYTHON_THREADPOOL_THREAD_COUNT", ""))
    except ValueError:
        wanted = 0
    return wanted if wanted > 0 else min(32, (os.cpu_count() or 1) + 4)


class UserThreads:
    """A pool of daemon threads for plain functions, and one event loop for coroutine functions.

    Daemon: a host that is told twice to leave goes at once, whatever an activity is busy with.
    """

    def __init__(self, size: int | None = None) -> None:
        self.size = size or default_pool_size()
        self.loop = asyncio.new_event_loop()
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._begun: LoopQueue[Callable[[], Coroutine[Any, Any, None]]] = LoopQueue(self.loop, self._begin)
        self._told: LoopQueue[Callable[[], None]] | None = None
        self._threads = [self._thread(n) for n in range(self.size)]
        self._loop_thread = threading.Thread(target=self._serve_loop, name="user-loop", daemon=True)

    def _thread(self, number: int) -> threading.Thread:
        return threading.Thread(target=self._work, name=f"user-{number}", daemon=True)

    def start(self) -> None:
        for thread in (*self._threads, self._loop_thread):
            thread.start()

    def add_thread(self) -> None:
        """One more for the pool, since what runs there may never end."""
        self._threads.append(self._thread(self.size))
        self.size += 1
        self._threads[-1].start()

    def stop(self) -> None:
        """Let the pool end after what it runs now; end the loop at once. Returns without waiting."""
        for _ in self._threads:
            self._queue.put(None)
        with suppress(RuntimeError):  # the app's own code has ended the loop
            self.loop.call_soon_threadsafe(self.loop.stop)

    def post(self, work: Callable[[], None]) -> None:
        """Run `work` in the pool. It must not raise; from any thread."""
        self._queue.put(work)

    def spawn(self, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a coroutine as a task of the users' loop. It must not raise; from any thread."""
        self._begun.put(make)

    async def run(self, function: Callable[[], T]) -> T:
        """The result of `function()` run in the pool, awaited from the host's loop."""
        result: asyncio.Future[T]
        result, tell = self._awaited()

        def work() -> None:
            try:
                value = function()
            except BaseException as error:  # user code may raise anything, SystemExit included
                tell(partial(_fail, result, error))
            else:
                tell(partial(_succeed, result, value))

        self.post(work)
        return await result

    async def run_async(self, function: Callable[[], Awaitable[T]]) -> T:
        """The result of `await function()` run on the users' loop, awaited from the host's loop."""
        result: asyncio.Future[T]
        result, tell = self._awaited()

        async def work() -> None:
            try:
                value = await function()
            except BaseException as error:  # user code may raise anything, SystemExit included
                tell(partial(_fail, result, error))
            else:
                tell(partial(_succeed, result, value))

        self.spawn(work)
        return await result

    def _awaited(self) -> tuple[asyncio.Future[Any], Callable[[Callable[[], None]], None]]:
        """A future of the running loop, and how to have something called there from any thread."""
        home = asyncio.get_running_loop()
        if self._told is None or self._told.loop is not home:
            self._told = call_queue(home)
        return home.create_future(), self._told.tell

    def _begin(self, made: list[Callable[[], Coroutine[Any, Any, None]]]) -> None:
        for make in made:
            task = self.loop.create_task(make())
            self._tasks.add(task)  # the loop itself keeps only weak references
            task.add_done_callback(self._tasks.discard)

    def _work(self) -> None:
        while (work := self._queue.get()) is not None:
            contextvars.Context().run(work)
            del work  # or its instance would live until the next one comes

    def _serve_loop(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            self.loop.close()


def _succeed(result: asyncio.Future[Any], value: Any) -> None:
    if not result.done():
        result.set_result(value)


def _fail(result: asyncio.Future[Any], error: BaseException) -> None:
    if not result.done():
        # A future cannot carry StopIteration, and SystemExit would end the host's loop.
        if not isinstance(error, Exception) or isinstance(error, StopIteration):
            error = RuntimeError(f"{type(error).__name__}: {error}").with_traceback(error.__traceback__)
        result.set_exception(error)
