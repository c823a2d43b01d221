"""Follow an instance by its `statusQueryGetUri` until it has ended, and say how far it is.

Cheap at any size: the status is asked for without input; the history, which grows with the run, only so
often that asking takes a small part of the time. What the orchestrator itself reports wins: a custom status
such as `{"total": 500, "completed": 20}`.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp

from dfhost.cli.console import Console
from dfhost.cli.progress import Progress
from dfhost.errors import HostError

ENDED = ("Completed", "Failed", "Terminated", "Canceled")

_SLOWEST = 0.25  # seconds between two looks at the status
_HISTORY_FROM = 0.3  # seconds: what ends sooner needs no progress
_HISTORY_SHARE = 25  # asking for the history may take one part in so many of the time
_STILL = 5.0  # seconds without any change after which the host is asked why

_SCHEDULED = ("TaskScheduled", "SubOrchestrationInstanceCreated")
_DONE = ("TaskCompleted", "TaskFailed", "SubOrchestrationInstanceCompleted", "SubOrchestrationInstanceFailed")
_DONE_WORDS = ("completed", "done", "finished", "processed")


class Follower:
    """`status` is the last one seen; `done` and `total` what is known of its tasks (None: nothing)."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, console: Console, progress: Progress
    ) -> None:
        self.status: dict[str, Any] = {}
        self.done = 0
        self.total: int | None = None
        self._session = session
        self._url = url
        self._console = console
        self._progress = progress
        self._next_history = time.monotonic() + _HISTORY_FROM
        self._seen = _Seen()

    async def ended(self) -> dict[str, Any]:
        """The status once the instance has ended, with its output. HostError if there is no such instance."""
        pause = 0.01
        while True:
            self.status = await self._get(showInput="false")
            if self.status.get("runtimeStatus") in ENDED:
                return self.status
            await self._show()
            await self._wonder()
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _SLOWEST)

    async def why(self) -> str:
        """What the instance waits for, in the host's words; "" if it does not say."""
        try:
            return str((await self._get(explain="true")).get("sentence") or "")
        except HostError:
            return ""

    async def _show(self) -> None:
        reported = reported_progress(self.status.get("customStatus"))
        if reported:
            self.done, self.total = reported
        elif time.monotonic() >= self._next_history:
            await self._count()
        elif self._seen.only_activities:
            # Between two looks at the history the journal says how many activities have ended since.
            since = self._console.ended("activity") - self._seen.activities
            self.done = min(self._seen.done + since, self.total or 0)
        status = self.status.get("customStatus")
        self._progress.show(self.done, self.total, status[:60] if isinstance(status, str) else "")

    async def _count(self) -> None:
        began = time.monotonic()
        activities = self._console.ended("activity")
        whole = await self._get(showInput="false", showHistory="true")
        kinds = [event.get("EventType") for event in whole.get("historyEvents") or ()]
        self.done = sum(kind in _DONE for kind in kinds)
        self.total = self.done + sum(kind in _SCHEDULED for kind in kinds) or None
        only_activities = not any(str(kind).startswith("Sub") for kind in kinds)
        self._seen.counted(self.done, activities, only_activities and self.total is not None)
        took = time.monotonic() - began
        self._next_history = time.monotonic() + max(0.5, _HISTORY_SHARE * took)

    async def _wonder(self) -> None:
        """When nothing moves and nothing runs: say what it waits for."""
        now = time.monotonic()
        state = (self.done, self._console.ended("activity"), self.status.get("lastUpdatedTime"))
        if self._seen.unchanged(state, now) < _STILL or self._console.running():
            return
        self._seen.asked(now)
        sentence = await self.why()
        if sentence and sentence != self._seen.sentence:
            self._seen.sentence = sentence
            self._console.note(sentence)

    async def _get(self, **query: str) -> dict[str, Any]:
        joint = "&" if "?" in self._url else "?"
        url = self._url + joint + "&".join(f"{name}={value}" for name, value in query.items())
        async with self._session.get(url) as response:
            if response.status == 404:
                raise HostError(f"The instance is gone: {self._url} answers 404.")
            body = await response.json(content_type=None)
        if not isinstance(body, dict):
            raise HostError(f"{self._url} answers {response.status} without a status.")
        return body


class _Seen:
    """What the last looks have shown."""

    def __init__(self) -> None:
        self.done = 0
        self.activities = 0
        self.only_activities = False
        self.sentence = ""
        self._state: object = None
        self._since = 0.0
        self._patience = 0.0

    def counted(self, done: int, activities: int, only_activities: bool) -> None:
        self.done, self.activities, self.only_activities = done, activities, only_activities

    def unchanged(self, state: object, now: float) -> float:
        """Seconds since the state last changed, or since the host was last asked why."""
        if state != self._state:
            self._state, self._since, self._patience = state, now, 0.0
        return now - self._since - self._patience

    def asked(self, now: float) -> None:
        """Ask again only after as long a time as has passed already."""
        self._patience = now - self._since


def reported_progress(custom_status: Any) -> tuple[int, int] | None:
    """(done, total) if an orchestrator's custom status says so, else None.

    {"total": 5, "completed": 2} -> (2, 5); {"total": 5, "succeeded": 2, "failed": 1} -> (3, 5)
    """
    if not isinstance(custom_status, dict):
        return None
    numbers = {
        str(name).lower(): value
        for name, value in custom_status.items()
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0
    }
    total = numbers.get("total")
    if not total:
        return None
    for word in _DONE_WORDS:
        if word in numbers:
            return min(numbers[word], total), total
    if "succeeded" in numbers or "failed" in numbers:
        return min(numbers.get("succeeded", 0) + numbers.get("failed", 0), total), total
    return None
