"""`Turns`: which worker gets the next call.

Knows the workers that are ready, and the calls that wait for one. Which workers are ready is `WorkerPool`'s decision.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Sequence

from dfhost.worker.calls import RunningCall
from dfhost.worker.process import WorkerProcess


class Turns:
    """Calls come from any thread; which workers are ready changes on the host's loop alone.

    `ready_since`: see `AppRunner`.
    """

    def __init__(self) -> None:
        self.ready_since = math.inf
        self._lock = threading.Lock()  # guards what follows
        self._ready: list[WorkerProcess] = []
        self._is_ready = threading.Event()
        self._turn = 0
        self._waiting: deque[RunningCall] = deque()

    # -- calls -----------------------------------------------------------------------------------------------

    def wait_until_ready(self) -> None:
        self._is_ready.wait()

    def give(self, call: RunningCall) -> None:
        """Have the worker whose turn it is `begin` the call, now or when there is one."""
        with self._lock:
            if not self._ready:
                self._waiting.append(call)
                return
            self._turn = (self._turn + 1) % len(self._ready)
            process = self._ready[self._turn]
            number = process.enter(call)
        call.begin(process, number)

    def place_in(self, process: WorkerProcess, call: RunningCall) -> int | None:
        """The call's number in `process`, None if that takes no more calls."""
        with self._lock:
            return process.enter(call) if process in self._ready else None

    # -- the workers -----------------------------------------------------------------------------------------

    def add(self, process: WorkerProcess) -> None:
        """The worker may be given calls."""
        self.set_ready([*self._ready, process])

    def set_ready(self, processes: Sequence[WorkerProcess]) -> None:
        """These are ready, and no others; they get what waits."""
        with self._lock:
            if processes and not self._ready:
                self.ready_since = time.time()
                self._is_ready.set()
            self._ready = list(processes)
            waiting, self._waiting = self._waiting, deque()
        for call in waiting:
            self.give(call)

    def hold(self) -> list[WorkerProcess]:
        """Let calls wait for a moment. Returns the workers that were ready."""
        with self._lock:
            ready, self._ready = self._ready, []
        return ready

    def remove(self, process: WorkerProcess) -> None:
        """The worker is given no more calls."""
        with self._lock:
            if process in self._ready:
                self._ready.remove(process)
            if not self._ready:
                self.ready_since = math.inf
                self._is_ready.clear()
