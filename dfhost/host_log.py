"""The log of the host: what its parts report to the person at the terminal.

The parts only see the protocol `HostLog`; `cli/` decides how a report looks. Calls come from any thread and must
not block.
"""

from __future__ import annotations

from typing import Protocol


class CallLog(Protocol):
    """What is reported of the functions' calls, in the host or in a worker.

    `item` tells the calls of one function apart: an activity's input, an entity's operations, an HTTP request.
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
    ) -> None:
        """`function` has raised. `error`: `ValueError: no`; `stack`: the traceback, may be empty."""

    def note(self, sentence: str) -> None:
        """A warning or a hint. The caller takes care not to repeat it."""


class HostLog(CallLog, Protocol):
    """Everything that the parts of the host report."""

    def refused(self, request: str, status: int, reason: str) -> None:
        """The host itself answered `request` (method and path) with `status`, because of `reason`."""
