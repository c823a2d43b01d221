"""What the app did during a test: its calls, its log, and the host's sentences. For any thread."""

from __future__ import annotations

import inspect
import itertools
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from dfhost.host_log import Attempt, HostLog
from dfhost.running_calls import CurrentCall, RunningCalls, current_call, described_call


def inside_user_code() -> bool:
    """Whether this thread or task runs a function of the app."""
    return current_call.get() is not None


class Call(NamedTuple):
    """`name`: the function's durable name. `instance_id`: who has called it."""

    name: str
    instance_id: str
    input: Any


class FailedBatch(NamedTuple):
    """Operations of an entity that failed together. `error`: ``add: TypeError: no``, for each; `at`: ISO 8601."""

    at: str
    entity_id: str
    error: str
    stack: str


@dataclass
class Records:
    calls: list[Call] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    #: (instance id, "INFO charged 12")
    lines: list[tuple[str, str]] = field(default_factory=list)
    #: The ids of instances in the order in which their code first ran.
    instances: dict[str, None] = field(default_factory=dict)
    #: The ids of entities, likewise.
    entities: dict[str, None] = field(default_factory=dict)
    failed_batches: list[FailedBatch] = field(default_factory=list)
    #: Of functions that are not durable: "http" or another kind, the indexed name, "ValueError: no".
    function_failures: list[tuple[str, str, str]] = field(default_factory=list)

    def inputs(self, name: str, instance_id: str | None) -> list[Any]:
        return [
            call.input
            for call in self.calls
            if call.name == name and (instance_id is None or call.instance_id == instance_id)
        ]


class WatchedCalls(RunningCalls):
    """Knows which calls run."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = itertools.count(1)
        self._running: dict[int, tuple[int, CurrentCall]] = {}

    def begin(self, kind: str, function: str, instance_id: str | None) -> int:
        number = next(self._numbers)
        call = CurrentCall(kind, function, instance_id)
        self._running[number] = super().begin(*call), call
        return number

    def end(self, entry: int) -> None:
        own_entry, _ = self._running.pop(entry)
        super().end(own_entry)

    def described(self) -> list[str]:
        """The calls that run, as `described_call` has them."""
        return [described_call(*call) for _, call in self._running.values()]


class AppLog(logging.Handler):
    """Takes what the app's functions log, for as long as it is `listening`."""

    def __init__(self, records: Records) -> None:
        super().__init__()
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("azure.functions"):  # hints of the SDK about its own calls
            return
        call = current_call.get()
        if call is None or (call.kind == "orchestrator" and _is_replaying()):
            return
        self._records.lines.append((call.instance_id or "", f"{record.levelname} {record.getMessage()}"))

    @contextmanager
    def listening(self) -> Iterator[None]:
        """As on Azure, INFO and above reach the log. The SDK's hints about its own calls do not."""
        root, sdk = logging.getLogger(), logging.getLogger("azure.functions")
        level, sdk_level = root.level, sdk.level
        root.addHandler(self)
        if level > logging.INFO:
            root.setLevel(logging.INFO)
        if sdk_level == logging.NOTSET:
            sdk.setLevel(logging.WARNING)
        try:
            yield
        finally:
            root.removeHandler(self)
            root.setLevel(level)
            sdk.setLevel(sdk_level)


def _is_replaying() -> bool:
    """Whether the orchestrator that logs now has come by here before; the SDK's executor on the stack knows."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_name == "resume_user_code":
            return bool(frame.f_locals["self"].context.is_replaying)
        frame = frame.f_back
    return False


class ForwardedLog:
    """The log of an app, which outlives its hosts: it passes everything on to that of the present one."""

    def __init__(self) -> None:
        self.target: HostLog | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.target, name) if self.target is not None else lambda *values: None


#: The end of a traceback whose error `os.environ["NAME"]` has raised.
_IN_ENVIRON = re.compile(r'File "[^"]*\bos(\.py|>)", line \d+, in __getitem__$')


def _unset_variable(error: str, stack: str) -> str:
    """The environment variable that a function has asked for and that is not set; "" for any other failure.

    `error`: ``KeyError: 'NAME'``; of an entity with the operation before it, ``add: KeyError: 'NAME'``.
    """
    frames = [line for line in stack.splitlines() if line.startswith("  File ")]
    found = re.search(r"^(?:\S+: )?KeyError: '([^'\n]+)'$", error, re.M)
    return found[1] if found and frames and _IN_ENVIRON.search(frames[-1]) else ""


class HostReports:
    """The host log: keeps the sentences and what happened in entities, and passes all on to logging as ``dfhost``.

    `now`: the time of the test's clock, ISO 8601. `root`: the app's folder.
    """

    def __init__(self, records: Records, now: Callable[[], str], root: Path) -> None:
        self._records = records
        self._now = now
        self._root = root
        self._log = logging.getLogger("dfhost")

    def started(self, function: str, trigger: str, instance_id: str | None, item: str = "") -> None:
        if trigger == "entity" and instance_id:
            self._records.entities.setdefault(instance_id)
        self._log.debug("%s %s started%s", trigger, function, _of(instance_id))

    def started_again(self, function: str, instance_id: str, item: str) -> None:
        self._log.debug("activity %s started, perhaps again%s", function, _of(instance_id))

    def finished(
        self, function: str, trigger: str, instance_id: str | None, seconds: float, item: str = ""
    ) -> None:
        self._log.debug("%s %s finished%s", trigger, function, _of(instance_id))

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
        if trigger == "entity" and instance_id:
            self._records.failed_batches.append(FailedBatch(self._now(), instance_id, error, stack))
        if instance_id is None and (attempt is None or attempt.is_last):
            self._records.function_failures.append((trigger, function, error))
        if name := _unset_variable(error, stack):
            self._note_unset(name)
        # What happened in an instance is in the report of the test.
        level = logging.DEBUG if instance_id else logging.WARNING
        self._log.log(level, "%s %s failed%s: %s\n%s", trigger, function, _of(instance_id), error, stack)

    def waiting(
        self,
        function: str,
        instance_id: str,
        events: Sequence[str],
        timer_in: float | None,
        needs_all: bool,
    ) -> None:
        self._log.debug("orchestrator %s waits%s", function, _of(instance_id))

    def steered(self, function: str, instance_id: str, verb: str, reason: str | None) -> None:
        self._log.debug("orchestrator %s was %s%s", function, verb, _of(instance_id))

    def ended(self, function: str, instance_id: str, seconds: float, how: str) -> None:
        self._log.debug("orchestrator %s was %s%s", function, how, _of(instance_id))

    def received(self, function: str, instance_id: str, event: str, is_awaited: bool | None) -> None:
        self._log.debug("orchestrator %s has received the event %s%s", function, event, _of(instance_id))

    def refused(self, request: str, status: int, reason: str) -> None:
        self._log.warning("%s was answered %s: %s", request, status, reason)

    def _note_unset(self, name: str) -> None:
        """Say once that the app setting is missing, and whether that is for want of the file."""
        file = self._root / "local.settings.json"
        where = f"{file} does not have it" if file.is_file() else f"there is no {file}"
        sentence = (
            f"The app setting {name} is not set: {where}. "
            f'Tests that should not need the file set it in conftest.py: os.environ["{name}"] = "…"'
        )
        if sentence not in self._records.notes:
            self.note(sentence)

    def note(self, sentence: str) -> None:
        self._records.notes.append(sentence)
        self._log.warning("%s", sentence)


def _of(instance_id: str | None) -> str:
    return f" ({instance_id})" if instance_id else ""
