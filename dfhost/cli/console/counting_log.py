"""The log of `dfhost run`: counts the calls that its progress and its last line speak of."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from dfhost.host_log import Attempt, HostLog


class CountingLog:
    """A HostLog that counts calls and passes them on to `log`: all, or without `calls` only failures and notes."""

    def __init__(self, log: HostLog, calls: bool) -> None:
        self.activities = 0  # calls that have ended, with or without a failure, and are not tried again
        self.running = 0  # calls of user code that have not ended, without orchestrations: those may wait
        self.failed_instances: set[str | None] = set()  # orchestrations whose failure was passed on
        self.note = log.note
        self._log = log
        self._calls = calls
        self._lock = threading.Lock()
        self._due_notes: dict[str, list[str]] = {}

    def note_when_started(self, function: str, sentence: str) -> None:
        """`sentence` is of interest only if this function, an orchestrator by its durable name, is called."""
        self._due_notes.setdefault(function.lower(), []).append(sentence)

    def started(self, function: str, trigger: str, instance_id: str | None, item: str = "") -> None:
        self._count(trigger, 1)
        for sentence in self._due_notes.pop(function.lower(), ()):
            self.note(sentence)
        if self._calls:
            self._log.started(function, trigger, instance_id, item)

    def started_again(self, function: str, instance_id: str, item: str) -> None:
        self._count("activity", 1)
        if self._calls:
            self._log.started_again(function, instance_id, item)

    def finished(
        self, function: str, trigger: str, instance_id: str | None, seconds: float, item: str = ""
    ) -> None:
        self._count(trigger, -1)
        if self._calls:
            self._log.finished(function, trigger, instance_id, seconds, item)

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
        self._count(trigger, -1, has_ended=attempt is None or attempt.is_last)
        if trigger == "orchestrator":
            self.failed_instances.add(instance_id)
        self._log.failed(function, trigger, instance_id, seconds, error, stack, item, attempt)

    def waiting(
        self,
        function: str,
        instance_id: str,
        events: Sequence[str],
        timer_in: float | None,
        needs_all: bool,
    ) -> None:
        if self._calls:
            self._log.waiting(function, instance_id, events, timer_in, needs_all)

    def steered(self, function: str, instance_id: str, verb: str, reason: str | None) -> None:
        if self._calls:
            self._log.steered(function, instance_id, verb, reason)

    def ended(self, function: str, instance_id: str, seconds: float, how: str) -> None:
        if self._calls:
            self._log.ended(function, instance_id, seconds, how)

    def received(self, function: str, instance_id: str, event: str, is_awaited: bool | None) -> None:
        if self._calls:
            self._log.received(function, instance_id, event, is_awaited)

    def refused(self, request: str, status: int, reason: str) -> None:
        """Not passed on: the only client is `dfhost run`, which prints the response itself."""

    def _count(self, trigger: str, change: int, has_ended: bool = True) -> None:
        with self._lock:
            self.running += change if trigger != "orchestrator" else 0
            self.activities += change < 0 and has_ended and trigger == "activity"
