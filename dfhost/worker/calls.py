"""The calls that a worker has, as the host remembers them until it knows what has become of each."""

from __future__ import annotations

import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from dfhost.engine.failures import Failure
from dfhost.worker.call_connections import CallConnection


class RunningCall:
    """A call in a worker. `resolve` gets its value from the wire, or the Failure that takes its place.

    `kind`: of a durable function its trigger, as "activity"; of any other the protocol's kind of call, as "invoke".
    """

    __slots__ = ("function", "instance_id", "kind", "resolve", "since", "worker")

    def __init__(
        self, kind: str, function: str, instance_id: str | None, resolve: Callable[[Any], None]
    ) -> None:
        self.kind = kind
        self.function = function
        self.instance_id = instance_id
        self.resolve = resolve
        self.since = time.monotonic()
        self.worker: int | None = None  # the pid, once a worker has the call


class Outdated:
    """The outcome of a call that shall be made again, in a worker with the new code."""

    def __str__(self) -> str:
        return "the app has been loaded again"


OUTDATED = Outdated()


class _GivenUp:
    """The `resolve` of a blocking call: lets the thread go on that waits there."""

    def __init__(self) -> None:
        self.connection: CallConnection | None = None
        self._outcome: SimpleQueue[Failure | Outdated] = SimpleQueue()

    def __call__(self, outcome: Failure | Outdated) -> None:
        self._outcome.put(outcome)
        if self.connection is not None:
            self.connection.close()

    def wait(self) -> Failure | Outdated:
        return self._outcome.get()


class BlockingCall(RunningCall):
    """A call on a connection of its own: one thread makes it and waits for its value."""

    __slots__ = ("given_up",)

    def __init__(self, kind: str, function: str, instance_id: str) -> None:
        self.given_up = _GivenUp()
        super().__init__(kind, function, instance_id, self.given_up)
