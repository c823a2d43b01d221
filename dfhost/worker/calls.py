"""The calls that a worker has, as the host remembers them until it knows what has become of each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from dfhost.engine.failures import Failure
from dfhost.runner.app_runner import ActivityCall, ActivityListener, Receive, Send, StreamingCall
from dfhost.worker import protocol
from dfhost.worker.call_connections import CallConnection

if TYPE_CHECKING:
    from dfhost.worker.process import WorkerProcess


#: What a worker asks for while a streamed call runs, by its pid and the call's number there.
Streams = dict[tuple[int, int], tuple[Receive, Send]]


class RunningCall:
    """A call that waits for a worker or is in one. What is done with it differs from kind to kind.

    `kind`: of a durable function its trigger, as "activity"; of any other the protocol's kind of call, as "invoke".
    `since`: when a worker got it, `time.monotonic()`. `worker`: the pid of that worker, None before.
    """

    __slots__ = ("function", "instance_id", "kind", "since", "worker")

    def __init__(self, kind: str, function: str, instance_id: str | None) -> None:
        self.kind = kind
        self.function = function
        self.instance_id = instance_id
        self.since = 0.0
        self.worker: int | None = None

    def begin(self, process: WorkerProcess, number: int) -> None:
        """`process` has got the call, under this number."""
        raise NotImplementedError

    def resolve(self, outcome: Any) -> None:
        """`outcome`: the call's value from the wire, or the Failure or OUTDATED in its place."""
        raise NotImplementedError


class Outdated:
    """The outcome of a call that shall be made again, in a worker with the new code."""

    def __str__(self) -> str:
        return "the app has been loaded again"


OUTDATED = Outdated()


class BlockingCall(RunningCall):
    """A call on a connection of its own: one thread makes it, and reads its value there.

    So `resolve` is called only if the call is given up. Then the thread goes on with that outcome.
    """

    __slots__ = ("_outcome", "_place", "connection")

    def __init__(self, kind: str, function: str, instance_id: str) -> None:
        super().__init__(kind, function, instance_id)
        self.connection: CallConnection | None = None
        self._place: SimpleQueue[tuple[WorkerProcess, int]] = SimpleQueue()
        self._outcome: SimpleQueue[Failure | Outdated] = SimpleQueue()

    def begin(self, process: WorkerProcess, number: int) -> None:
        self._place.put((process, number))

    def place(self) -> tuple[WorkerProcess, int]:
        """The worker that has got it, and its number there. Blocks until there is one."""
        return self._place.get()

    def resolve(self, outcome: Failure | Outdated) -> None:
        self._outcome.put(outcome)
        if self.connection is not None:
            self.connection.close()

    def wait_until_given_up(self) -> Failure | Outdated:
        return self._outcome.get()


class ActivityInWorker(RunningCall):
    """`again` makes the call once more, in a worker with the new code."""

    __slots__ = ("_again", "_call", "_listener")

    def __init__(
        self,
        call: ActivityCall,
        listener: ActivityListener,
        again: Callable[[ActivityCall, ActivityListener], None],
    ) -> None:
        super().__init__("activity", call.function, call.instance_id)
        self._call = call
        self._listener = listener
        self._again = again

    def begin(self, process: WorkerProcess, number: int) -> None:
        self._listener.begun()
        process.begin(number, self, "activity", *self._call)

    def resolve(self, outcome: Any) -> None:
        if outcome is OUTDATED:
            self._again(self._call, self._listener)
        else:
            self._listener.ended(protocol.outcome_from_wire(outcome), self.worker)


class AwaitedCall(RunningCall):
    """A call of a function that is not durable, made on the host's loop. `result` gets its value."""

    __slots__ = ("_message", "result")

    def __init__(self, kind: str, function: str, message: tuple[Any, ...]) -> None:
        super().__init__(kind, function, None)
        self._message = message
        self.result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def begin(self, process: WorkerProcess, number: int) -> None:
        process.begin(number, self, self.kind, *self._message)

    def resolve(self, outcome: Any) -> None:
        if not self.result.done():
            self.result.set_result(outcome)


class StreamedCall(AwaitedCall):
    """Its `ends` are in `streams` from when it begins until `end`."""

    __slots__ = ("_ends", "_key", "_streams")

    def __init__(self, call: StreamingCall, streams: Streams, ends: tuple[Receive, Send]) -> None:
        super().__init__("stream", call.function, call)
        self._streams = streams
        self._ends = ends
        self._key: tuple[int, int] | None = None

    def begin(self, process: WorkerProcess, number: int) -> None:
        self._key = process.pid, number
        self._streams[self._key] = self._ends
        super().begin(process, number)

    def end(self) -> None:
        if self._key is not None:
            del self._streams[self._key]
