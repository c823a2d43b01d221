"""The threads in which user code runs. It never runs on the host loop.

Coroutine functions share one event loop in a thread of its own, the user loop: the SDK's client session binds to
the first loop that uses it. Plain functions run in a pool, as in the real worker. This module owns the threads; its
callers decide what runs there.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import Any, TypeVar

from dfhost.app.exceptions import describe_exception, place_of_call, place_of_error
from dfhost.background_tasks import BackgroundTasks
from dfhost.errors import UserLoopEnded
from dfhost.loop_queue import LoopQueue
from dfhost.running_calls import RunningCalls
from dfhost.settings.app_settings import THREAD_COUNT_DEFAULT
from dfhost.thread_pool import ThreadPool, set_failure, set_success

T = TypeVar("T")


def pool_size() -> int:
    """`PYTHON_THREADPOOL_THREAD_COUNT`; a value that the real worker cannot use leaves it Python's own default."""
    try:
        wanted = int(os.environ.get("PYTHON_THREADPOOL_THREAD_COUNT") or THREAD_COUNT_DEFAULT)
    except ValueError:
        wanted = 0
    return wanted if wanted > 0 else min(32, (os.cpu_count() or 1) + 4)


class UserThreads(ThreadPool):
    """A pool for plain functions, and one event loop for coroutine functions."""

    def __init__(
        self,
        size: int | None = None,
        *,
        on_loop_ended: Callable[[UserLoopEnded], None] | None = None,
        calls: RunningCalls | None = None,
    ) -> None:
        """`on_loop_ended` is called, in the loop's thread, if the app's own code ends the user loop.

        `calls`: where everybody who runs user code here enters the call.
        """
        super().__init__(size or pool_size())
        self.calls = calls or RunningCalls()
        self._on_loop_ended = on_loop_ended
        self.on_spawn: Callable[[], None] | None = None  # called when a coroutine is to run, on any thread
        self._awaited: set[asyncio.Future[Any]] = set()  # the results of `run_async` that have not come
        self._stop_caller = ""
        self.loop = asyncio.new_event_loop()
        self._tasks = BackgroundTasks()
        self._spawned: LoopQueue[Callable[[], Coroutine[Any, Any, None]]] = LoopQueue(
            self.loop, self._create_tasks
        )
        self._loop_thread = threading.Thread(target=self.serve_loop, name="user-loop", daemon=True)
        self._serves = False

    def start(self) -> None:
        """Run the user loop in a thread of its own."""
        self._serves = True
        self._loop_thread.start()

    def stop(self) -> None:
        """End each pool thread after its present call, and the loop at once. Returns without waiting."""
        super().stop()
        if not self._serves:  # the app could not be loaded
            self.loop.close()
            return
        with suppress(RuntimeError):  # the app's own code has ended the loop
            self.loop.call_soon_threadsafe(self.loop.stop)

    @contextmanager
    def loop_for_import(self) -> Iterator[None]:
        """Make the user loop the running loop of this thread, so that the app may create tasks during its import.

        The real worker, too, imports an app on the loop of its async functions.
        """
        host_loop = asyncio._get_running_loop()
        asyncio._set_running_loop(self.loop)
        try:
            yield
        finally:
            asyncio._set_running_loop(host_loop)

    def spawn(self, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a coroutine as a task of the user loop. It must not raise; from any thread.

        Nothing happens once the loop has ended.
        """
        self._spawned.put_if_open(make)
        if self.on_spawn is not None:
            self.on_spawn()

    @property
    def has_tasks(self) -> bool:
        """Whether a coroutine runs on the user loop or waits for its turn."""
        return bool(self._tasks) or not self._spawned.empty

    def loop_frame(self) -> FrameType | None:
        """What the thread of the user loop executes now."""
        return sys._current_frames().get(self._loop_thread.ident or 0)

    async def run_async(self, function: Callable[[], Awaitable[T]]) -> T:
        """Run `await function()` on the user loop and return its result. Awaited on the host loop.

        UserLoopEnded if the app's own code ends the loop.
        """
        result: asyncio.Future[T]
        result, call_on_host_loop = self._host_future()

        async def work() -> None:
            try:
                value = await function()
            except BaseException as error:  # user code may raise anything, SystemExit included
                call_on_host_loop(partial(set_failure, result, error))
            else:
                call_on_host_loop(partial(set_success, result, value))

        self._awaited.add(result)
        try:
            self.spawn(work)
            if self.loop.is_closed():
                raise UserLoopEnded("earlier")
            return await result
        finally:
            self._awaited.discard(result)

    def _create_tasks(self, makers: list[Callable[[], Coroutine[Any, Any, None]]]) -> None:
        for make in makers:
            self._tasks.start(make())

    def serve_loop(self) -> None:
        """Run the user loop in this thread, until `stop`."""
        self._serves, self._loop_thread = True, threading.current_thread()
        asyncio.set_event_loop(self.loop)
        stop = self.loop.stop

        def stop_recorded() -> None:
            if not self._stopping:
                self._stop_caller = place_of_call()
            stop()

        self.loop.stop = stop_recorded  # type: ignore[method-assign]
        cause = ""
        try:
            self.loop.run_forever()
        except BaseException as error:  # asyncio lets SystemExit and KeyboardInterrupt of a task end the loop
            cause = f"a task raised {describe_exception(error).text.rstrip(': ')}{place_of_error(error)}"
        finally:
            self.loop.close()
        if not self._stopping:
            self._loop_ended(cause or f"its stop() was called{self._stop_caller}")

    def _loop_ended(self, cause: str) -> None:
        error = UserLoopEnded(cause)

        def fail_awaited() -> None:
            for result in list(self._awaited):
                set_failure(result, error)

        if self._host_calls is not None:
            self._host_calls.put_if_open(fail_awaited)
        if self._on_loop_ended is not None:
            self._on_loop_ended(error)
