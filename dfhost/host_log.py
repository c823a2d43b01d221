"""What the parts of the host tell the person at the terminal.

The parts speak through a `Journal`; how it looks (lines, colours, nothing at all) is the command line's
affair. Calls come from any thread and must not block.
"""

from __future__ import annotations

from typing import Protocol


class HostLog(Protocol):
    def started(self, function: str, trigger: str, instance_id: str | None) -> None:
        """`function` begins. `trigger`: http, orchestration, activity, entity, timer, or a binding's type."""

    def finished(self, function: str, trigger: str, instance_id: str | None, seconds: float) -> None: ...

    def failed(
        self, function: str, trigger: str, instance_id: str | None, seconds: float, error: str, stack: str
    ) -> None:
        """`error`: the exception in one line, `ValueError: no`; `stack`: the traceback, may be empty."""

    def refused(self, request: str, status: int, why: str) -> None:
        """`request`, method and path, was answered `status` by the host itself. `why`: in words."""

    def note(self, sentence: str) -> None:
        """A warning or a hint, said once by whoever calls."""


class NullLog:
    """A journal that keeps nothing."""

    def started(self, function: str, trigger: str, instance_id: str | None) -> None:
        pass

    def finished(self, function: str, trigger: str, instance_id: str | None, seconds: float) -> None:
        pass

    def failed(
        self, function: str, trigger: str, instance_id: str | None, seconds: float, error: str, stack: str
    ) -> None:
        pass

    def refused(self, request: str, status: int, why: str) -> None:
        pass

    def note(self, sentence: str) -> None:
        pass
