"""The calls that a worker has, as the host remembers them until it knows what has become of each."""

from __future__ import annotations

from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from dfhost.engine.failures import Failure
from dfhost.worker.call_connections import CallConnection

if TYPE_CHECKING:
    from dfhost.worker.process import WorkerProcess


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
    """A call on a connection of its own: one thread makes it and waits for its value.

    It has no value from the wire here: it is resolved when it is given up, and the thread goes on.
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
