"""Follows an instance by its `statusQueryGetUri` until it has ended, and shows its progress.

Cheap at any size. The status is read without its input. The timeline grows with the run, so it is read only so often
that reading takes a small part of the time. Progress that the app reports itself comes first: a custom status such
as `{"total": 500, "completed": 20}`, or the same at a `progressGetUri` beside the status URL.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp

from dfhost.cli.console.counting_log import CountingLog
from dfhost.cli.progress.bar import Progress
from dfhost.cli.views.explanation import reason_in_depth
from dfhost.errors import HostError
from dfhost.parse_json import parse_json
from dfhost.reported_progress import phase, reported_progress
from dfhost.runtime_status import FINAL_STATUSES
from dfhost.timeline import model

_LONGEST_PAUSE = 0.25  # seconds between two reads of the status
_PROGRESS_AFTER = 0.3  # seconds: what ends sooner needs no progress
_TIME_PER_READ = 25  # the pause after reading the progress, in multiples of what reading took
_STALLED_AFTER = 5.0  # seconds without any change, after which the host is asked for the reason

_CALLS = (model.ACTIVITY, model.HTTP_CALL, model.CHILD)


class InstanceFollower:
    """`status` is the last one read; `done` and `total` count the instance's calls (`total` None: unknown).

    A call that is to be tried again is not done.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        progress_url: str | None,
        log: CountingLog,
        progress: Progress,
    ) -> None:
        self.status: dict[str, Any] = {}
        self.done = 0
        self.total: int | None = None
        self._session = session
        self._url = url
        self._progress_url = progress_url
        self._log = log
        self._progress = progress
        self._next_read = time.monotonic() + _PROGRESS_AFTER
        # `done` and the log's activities when the timeline was read last
        self._counts: tuple[int, int] | None = None
        self._phase = ""
        self._stall = _StallTimer()
        self._last_reason = ""

    async def ended(self) -> dict[str, Any]:
        """The status once the instance has ended, with its output. HostError if there is no such instance."""
        pause = 0.01
        while True:
            self.status = await self._read_status(showInput="false")
            if self.status.get("runtimeStatus") in FINAL_STATUSES:
                return self.status
            await self._show_progress()
            await self._explain_stall()
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    async def waiting_reason(self) -> str:
        """What the instance waits for, and what its children do; "" if it waits for nothing or nobody says."""
        try:
            answer = await self._read_status(explain="true")
        except HostError:
            return ""
        return reason_in_depth(answer) if answer.get("waitsFor") else ""

    async def _show_progress(self) -> None:
        custom_status = self.status.get("customStatus")
        if reported := reported_progress(custom_status):
            self.done, self.total, _ = reported
        elif time.monotonic() >= self._next_read:
            start = time.monotonic()
            await (
                self._read_app_progress(self._progress_url) if self._progress_url else self._read_timeline()
            )
            took = time.monotonic() - start
            self._next_read = time.monotonic() + max(0.5, _TIME_PER_READ * took)
        elif self._counts and self.total:
            # Until the timeline is read again, the log says how many activities have ended since.
            done, activities = self._counts
            self.done = min(done + self._log.activities - activities, self.total)
        self._progress.show(self.done, self.total, phase(custom_status) or self._phase)

    async def _read_app_progress(self, url: str) -> None:
        """Ask the app's own progress route. One that does not answer with an object is not asked again."""
        async with self._session.get(url) as response:
            body = await response.read()
        try:
            answer = parse_json(body) if response.ok else None
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            self._progress_url = None
            return
        self._phase = phase(answer)
        if reported := reported_progress(answer):
            self.done, self.total, _ = reported

    async def _read_timeline(self) -> None:
        activities = self._log.activities
        timeline = await self._read_status(timeline="true", limit="1")
        calls = [task for task in timeline.get("tasks") or () if task["kind"] in _CALLS]
        self.done = sum(call["state"] not in model.OPEN for call in calls)
        self.total = len(calls) or None
        # The log's activities may belong to children, so with children they say nothing about this instance.
        has_children = any(call["kind"] == model.CHILD for call in calls)
        self._counts = None if has_children else (self.done, activities)

    async def _explain_stall(self) -> None:
        """When nothing changes and nothing runs, log what the instance waits for."""
        state = (self.done, self._log.activities, self.status.get("lastUpdatedTime"))
        if self._stall.is_due(state, time.monotonic()) and not self._log.running:
            reason = await self.waiting_reason()
            if reason and reason != self._last_reason:
                self._last_reason = reason
                self._log.note(reason)

    async def _read_status(self, **query: str) -> dict[str, Any]:
        separator = "&" if "?" in self._url else "?"
        url = self._url + separator + "&".join(f"{name}={value}" for name, value in query.items())
        async with self._session.get(url) as response:
            if response.status == 404:
                raise HostError(f"The instance no longer exists: {self._url} answers 404.")
            body = await response.json(content_type=None)
        if not isinstance(body, dict):
            raise HostError(f"{self._url} answers {response.status} without a status.")
        return body


class _StallTimer:
    """Due when a state has not changed for 5 s, 10 s, 20 s, ..."""

    def __init__(self) -> None:
        self._state: object = None
        self._since = 0.0
        self._patience = _STALLED_AFTER

    def is_due(self, state: object, now: float) -> bool:
        if state != self._state:
            self._state, self._since, self._patience = state, now, _STALLED_AFTER
        if now - self._since < self._patience:
            return False
        self._patience *= 2
        return True


def status_urls(answer: bytes) -> tuple[str, str | None] | None:
    """`statusQueryGetUri` of a check-status response, and its `progressGetUri` if the app adds one; else None."""
    try:
        body = parse_json(answer)
    except ValueError:
        return None
    if not isinstance(body, dict):
        return None
    urls = (body.get("statusQueryGetUri"), body.get("progressGetUri"))
    status, progress = (url if isinstance(url, str) else None for url in urls)
    return (status, progress) if status else None
