"""Notices an async function that blocks the user loop, and reports which one it is.

While such a function computes or sleeps, no other async function runs. On Azure the whole worker process stands
still, sync functions and orchestrators included, and nothing there says so.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterable
from types import CodeType, FrameType

from dfhost.app.exceptions import place_of_frame
from dfhost.app.functions import Function
from dfhost.app.threads import UserThreads
from dfhost.host_log import CallLog

BLOCKED_SECONDS = 2.0  # without an await
_CHECK_SECONDS = 0.5


class LoopWatch:
    """Asks the user loop for a sign of life as long as it has tasks, from a thread of its own."""

    def __init__(self, threads: UserThreads, functions: Iterable[Function], log: CallLog) -> None:
        self._threads = threads
        self._log = log
        self._names: dict[CodeType, str] = {}
        for function in functions:
            code = getattr(inspect.unwrap(function.callable), "__code__", None)
            if function.is_async and code is not None:
                self._names[code] = function.name
        self.reported: set[str] = set()  # names; each is reported once
        self._spawned = threading.Event()
        self._stopped = threading.Event()

    def start(self) -> None:
        self._threads.on_spawn = self._on_spawn
        threading.Thread(target=self._watch, name="loop-watch", daemon=True).start()

    def stop(self) -> None:
        self._threads.on_spawn = None
        self._stopped.set()
        self._spawned.set()

    def _on_spawn(self) -> None:
        """On any thread."""
        if not self._spawned.is_set():
            self._spawned.set()

    def _watch(self) -> None:
        while self._spawned.wait() and not self._stopped.wait(_CHECK_SECONDS):
            answered = threading.Event()
            try:
                self._threads.loop.call_soon_threadsafe(answered.set)
            except RuntimeError:  # it has ended
                return
            while not answered.wait(BLOCKED_SECONDS) and not self._stopped.is_set():
                self._report()
            self._spawned.clear()
            if self._threads.has_tasks:
                self._spawned.set()

    def _report(self) -> None:
        frame = self._threads.loop_frame()
        if frame is None:
            return
        name = self._function_of(frame)
        if name in self.reported:
            return
        self.reported.add(name)
        self._log.note(
            f"{name} has blocked the event loop for {BLOCKED_SECONDS:.0f} s{place_of_frame(frame)}: no other async "
            "function runs until it awaits. In a worker process other activities and HTTP functions wait, too, on "
            "Azure everything. Await instead (asyncio.sleep, aiohttp), hand the work to asyncio.to_thread, or make "
            "the function a plain def."
        )

    def _function_of(self, frame: FrameType) -> str:
        """The name of the app's function that the loop runs; awaited coroutines stand above it on the stack."""
        caller: FrameType | None = frame
        while caller is not None:
            if caller.f_code in self._names:
                return self._names[caller.f_code]
            caller = caller.f_back
        return "A task of the app"
