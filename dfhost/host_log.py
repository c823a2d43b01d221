"""The log of the host: what its parts report to the person at the terminal.

The parts only see the protocol `HostLog`; `cli/` decides how a report looks. Calls come from any thread and must
not block.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Attempt(NamedTuple):
    """An attempt that has failed, of a call with retries.

    `number`: which it was, from 1. `most`: how many there may be, None for any number. `next_in`: seconds until the
    next one; None if there is none, or if that is not known.
    """

    number: int
    most: int | None
    next_in: float | None = None

    @property
    def is_last(self) -> bool:
        return self.number == self.most


class CallLog(Protocol):
    """What is reported of the functions' calls, in the host or in a worker.

    `item` tells the calls of one function apart: an activity's input, an entity's operations, an HTTP request. Of an
    orchestrator, whose id does that, it says at its start which instance has called it: "of order-7".
    """

    def started(self, function: str, trigger: str, instance_id: str | None, item: str = "") -> None:
        """`function` was called. `trigger`: http, orchestrator, activity, entity, timer, or a binding's type."""

    def finished(
        self, function: str, trigger: str, instance_id: str | None, seconds: float, item: str = ""
    ) -> None:
        """`function` has returned."""

    def failed(
        self,
        function: str,
        trigger: str,
        instance_id: str | None,
        seconds: float,
        error: str,
        stack: str,
        item: str = "",
        attempt: Attempt | None = None,
    ) -> None:
        """`function` has raised. `error`: `ValueError: no`; `stack`: the traceback, may be empty.

        `attempt`: of a call with retries.
        """

    def note(self, sentence: str) -> None:
        """A warning or a hint. The caller takes care not to repeat it."""


class HostLog(CallLog, Protocol):
    """Everything that the parts of the host report."""

    def started_again(self, function: str, instance_id: str, item: str) -> None:
        """The activity was called, and perhaps before: the last host ended before it had stored a result."""

    def waiting(
        self,
        function: str,
        instance_id: str,
        events: Sequence[str],
        timer_in: float | None,
        needs_all: bool,
    ) -> None:
        """The orchestration can go on only after external events, or a timer that is due in `timer_in` seconds.

        `events`: their names. `needs_all`: it waits for all of them, else for any.
        """

    def steered(self, function: str, instance_id: str, verb: str, reason: str | None) -> None:
        """A client has suspended, resumed or rewound (`verb`) the orchestration."""

    def ended(self, function: str, instance_id: str, seconds: float, how: str) -> None:
        """The orchestration did not end by itself: it was terminated or purged (`how`, with the reason if known)."""

    def received(self, function: str, instance_id: str, event: str, is_awaited: bool | None) -> None:
        """The external event has come to the orchestration. `is_awaited`: None if that is not known."""

    def refused(self, request: str, status: int, reason: str) -> None:
        """The host itself answered `request` (method and path) with `status`, because of `reason`."""
