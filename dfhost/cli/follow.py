"""Follow an instance by its `statusQueryGetUri` until it has ended, and say how far it is.

Cheap at any size: the status is asked for without input; the history, which grows with the run, only so
often that asking takes a small part of the time. What the app itself reports wins: a custom status such as
`{"total": 500, "completed": 20}`, or the like at a `progressGetUri` that came with the status URLs.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any

import aiohttp

from dfhost.cli.progress import Progress
from dfhost.errors import HostError
from dfhost.host_log import HostLog

ENDED = ("Completed", "Failed", "Terminated", "Canceled")

_SLOWEST = 0.25  # seconds between two looks at the status
_ASK_FROM = 0.3  # seconds: what ends sooner needs no progress
_ASK_SHARE = 25  # asking how far it is may take one part in so many of the time
_STILL = 5.0  # seconds without any change after which the host is asked why

_SCHEDULED = ("TaskScheduled", "SubOrchestrationInstanceCreated")
_DONE = ("TaskCompleted", "TaskFailed", "SubOrchestrationInstanceCompleted", "SubOrchestrationInstanceFailed")
_DONE_WORDS = ("completed", "done", "finished", "processed")


class CountingLog:
    """A journal that counts, and passes on what `journal` is to show: every call, or failures and notes only."""

    def __init__(self, log: HostLog, calls: bool) -> None:
        self.activities = 0  # ended, well or not
        self.running = 0  # calls of user code that have not ended; waiting orchestrations are none
        self.failed_instances: set[str | None] = set()  # orchestrations whose failure was passed on
        self.note = log.note
        self._log = log
        self._calls = calls
        self._lock = threading.Lock()

    def started(self, function: str, trigger: str, instance_id: str | None) -> None:
        self._count(trigger, 1)
        if self._calls:
            self._log.started(function, trigger, instance_id)

    def finished(self, function: str, trigger: str, instance_id: str | None, seconds: float) -> None:
        self._count(trigger, -1)
        if self._calls:
            self._log.finished(function, trigger, instance_id, seconds)

    def failed(
        self, function: str, trigger: str, instance_id: str | None, seconds: float, error: str, stack: str
    ) -> None:
        self._count(trigger, -1)
        if trigger == "orchestration":
            self.failed_instances.add(instance_id)
        self._log.failed(function, trigger, instance_id, seconds, error, stack)

    def refused(self, request: str, status: int, why: str) -> None:
        """Whoever made the one request there is sees the answer and says so."""

    def _count(self, trigger: str, change: int) -> None:
        with self._lock:
            self.running += change if trigger != "orchestration" else 0
            self.activities += change < 0 and trigger == "activity"


class InstanceFollower:
    """`status` is the last one seen; `done` and `total` what is known of its tasks (None: nothing)."""

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
        self._next_ask = time.monotonic() + _ASK_FROM
        self._counted: tuple[int, int] | None = None  # done and the journal's activities when last counted
        self._phase = ""
        self._stillness = _Stillness()
        self._said = ""

    async def ended(self) -> dict[str, Any]:
        """The status once the instance has ended, with its output. HostError if there is no such instance."""
        pause = 0.01
        while True:
            self.status = await self._status(showInput="false")
            if self.status.get("runtimeStatus") in ENDED:
                return self.status
            await self._show()
            await self._wonder()
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _SLOWEST)

    async def why(self) -> str:
        """What the instance waits for, in the host's words; "" if that is nothing, or it does not say."""
        try:
            answer = await self._status(explain="true")
        except HostError:
            return ""
        return str(answer.get("sentence") or "") if answer.get("waitsFor") else ""

    async def _show(self) -> None:
        custom = self.status.get("customStatus")
        if reported := reported_progress(custom):
            self.done, self.total = reported
        elif time.monotonic() >= self._next_ask:
            began = time.monotonic()
            await (self._ask_app(self._progress_url) if self._progress_url else self._count())
            took = time.monotonic() - began
            self._next_ask = time.monotonic() + max(0.5, _ASK_SHARE * took)
        elif self._counted and self.total:
            # Until the history is next asked, the journal says how many activities have ended since.
            done, activities = self._counted
            self.done = min(done + self._log.activities - activities, self.total)
        self._progress.show(self.done, self.total, phase(custom) or self._phase)

    async def _ask_app(self, url: str) -> None:
        """What the app's own progress route says; if that is nothing of use, it is not asked again."""
        async with self._session.get(url) as response:
            body = await response.read()
        try:
            answer = json.loads(body) if response.ok else None
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            self._progress_url = None
            return
        self._phase = phase(answer)
        if reported := reported_progress(answer):
            self.done, self.total = reported

    async def _count(self) -> None:
        activities = self._log.activities
        whole = await self._status(showInput="false", showHistory="true")
        kinds = [str(event.get("EventType")) for event in whole.get("historyEvents") or ()]
        self.done = sum(kind in _DONE for kind in kinds)
        self.total = self.done + sum(kind in _SCHEDULED for kind in kinds) or None
        children = any(kind.startswith("SubOrchestration") for kind in kinds)  # activities may be theirs
        self._counted = None if children else (self.done, activities)

    async def _wonder(self) -> None:
        """When nothing moves and nothing runs: say what the instance waits for."""
        state = (self.done, self._log.activities, self.status.get("lastUpdatedTime"))
        if self._stillness.worth_asking(state, time.monotonic()) and not self._log.running:
            sentence = await self.why()
            if sentence and sentence != self._said:
                self._said = sentence
                self._log.note(sentence)

    async def _status(self, **query: str) -> dict[str, Any]:
        joint = "&" if "?" in self._url else "?"
        url = self._url + joint + "&".join(f"{name}={value}" for name, value in query.items())
        async with self._session.get(url) as response:
            if response.status == 404:
                raise HostError(f"The instance is gone: {self._url} answers 404.")
            body = await response.json(content_type=None)
        if not isinstance(body, dict):
            raise HostError(f"{self._url} answers {response.status} without a status.")
        return body


class _Stillness:
    """Says when nothing has changed for so long that one wonders: after 5 s, 10 s, 20 s, ..."""

    def __init__(self) -> None:
        self._state: object = None
        self._since = 0.0
        self._patience = _STILL

    def worth_asking(self, state: object, now: float) -> bool:
        if state != self._state:
            self._state, self._since, self._patience = state, now, _STILL
        if now - self._since < self._patience:
            return False
        self._patience *= 2
        return True


def phase(reported: Any) -> str:
    """A custom status in a few words: itself if it is a text, its "phase" if it has one."""
    text = reported.get("phase") if isinstance(reported, dict) else reported
    return text[:60] if isinstance(text, str) else ""


def reported_progress(reported: Any) -> tuple[int, int] | None:
    """(done, total) if what an app reports says so, else None.

    {"total": 5, "completed": 2} -> (2, 5); {"total": 5, "succeeded": 2, "failed": 1} -> (3, 5)
    """
    if not isinstance(reported, dict):
        return None
    numbers = {
        str(name).lower(): value
        for name, value in reported.items()
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
