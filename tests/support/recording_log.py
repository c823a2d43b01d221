"""A host log that keeps its entries, so that a test can look at them or wait for one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from dfhost.host_log import Attempt


class RecordingLog:
    """Each entry is a tuple: the method's name, then its arguments without instance id, duration and item.

    >>> await log.entry("failed", "process_item")
    """

    def __init__(self) -> None:
        self.entries: list[tuple[Any, ...]] = []
        self._waiters: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def started(self, function: str, trigger: str, instance_id: str | None, item: str = "") -> None:
        self._add("started", function, trigger)

    def started_again(self, function: str, instance_id: str, item: str) -> None:
        self._add("started_again", function, item)

    def finished(
        self, function: str, trigger: str, instance_id: str | None, seconds: float, item: str = ""
    ) -> None:
        self._add("finished", function, trigger)

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
        self._add("failed", function, trigger, error, stack)

    def waiting(
        self, function: str, instance_id: str, events: Sequence[str], timer_in: float | None, needs_all: bool
    ) -> None:
        self._add("waiting", function, tuple(events), timer_in, needs_all)

    def steered(self, function: str, instance_id: str, verb: str, reason: str | None) -> None:
        self._add("steered", function, verb, reason)

    def ended(self, function: str, instance_id: str, seconds: float, how: str) -> None:
        self._add("ended", function, how)

    def received(self, function: str, instance_id: str, event: str, is_awaited: bool | None) -> None:
        self._add("received", function, event, is_awaited)

    def refused(self, request: str, status: int, why: str) -> None:
        self._add("refused", request, status, why)

    def note(self, sentence: str) -> None:
        self._add("note", sentence)

    async def put(self, queue: str, texts: Sequence[str]) -> str:
        """In the place of the queues of a host: what functions write to them becomes an entry as well."""
        self._add("put", queue, *texts)
        return ""

    def _add(self, *entry: Any) -> None:
        self.entries.append(entry)
        for loop, event in self._waiters:
            loop.call_soon_threadsafe(event.set)

    @property
    def notes(self) -> list[str]:
        return [entry[1] for entry in self.entries if entry[0] == "note"]

    async def entry(self, *start: str, count: int = 1) -> tuple[Any, ...]:
        """The `count`-th entry that begins with `start`, as soon as it is there."""
        event = asyncio.Event()
        waiter = (asyncio.get_running_loop(), event)
        self._waiters.append(waiter)
        try:
            while True:
                found = [entry for entry in self.entries if entry[: len(start)] == start]
                if len(found) >= count:
                    return found[count - 1]
                await event.wait()
                event.clear()
        finally:
            self._waiters.remove(waiter)
