"""The app's functions as plain data: what the host knows of them without importing the app."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from dfhost.runner.retry_policy import RetryPolicy

#: As in function.json: name, type, direction, …
Binding = Mapping[str, Any]

KINDS = {
    "httpTrigger": "http",
    "orchestrationTrigger": "orchestrator",
    "activityTrigger": "activity",
    "entityTrigger": "entity",
    "timerTrigger": "timer",
    "queueTrigger": "queue",
}
#: Triggers whose data is JSON. What else a person may send to a function that is run by hand is any text.
JSON_TRIGGERS = ("eventGridTrigger", "cosmosDBTrigger", "sqlTrigger", "mysqlTrigger")
#: In place of a blob's content: its file, `file:report.pdf`, relative to the app's folder.
BLOB_FILE_PREFIX = "file:"

_DURABLE_NAME_KEYS = {"orchestrator": "orchestration", "activity": "activity", "entity": "entityName"}


@dataclass(frozen=True, slots=True)
class FunctionInfo:
    """One function of the app.

    name          as indexed: the Python name or `@app.function_name`
    trigger       the trigger binding as in function.json (`route`, `methods`, `schedule`, …)
    bindings      the other bindings, likewise
    retry         its retry policy; whoever calls the function applies it
    kind          http, orchestrator, activity, entity, timer, queue, else the trigger's type ("blobTrigger")
    durable_name  what orchestrators and clients call it: the trigger's `activity=`, `orchestration=`,
                  `entity_name=`, else `name`
    """

    name: str
    trigger: Binding
    bindings: tuple[Binding, ...] = ()
    retry: RetryPolicy | None = None
    kind: str = field(init=False)
    durable_name: str = field(init=False)

    def __post_init__(self) -> None:
        kind = KINDS.get(self.trigger["type"], str(self.trigger["type"]))
        object.__setattr__(self, "kind", kind)
        durable_name = self.trigger.get(_DURABLE_NAME_KEYS.get(kind, "")) or self.name
        object.__setattr__(self, "durable_name", str(durable_name))

    def retry_delays(self) -> Iterator[float]:
        """The seconds to wait before each retry of one call; none without a retry policy."""
        return self.retry.delays() if self.retry else iter(())


class _AnyFunction(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def durable_name(self) -> str: ...


F = TypeVar("F", bound=_AnyFunction)


class Functions(Generic[F]):
    """Functions by durable name, compared without case, as the extension compares them."""

    def __init__(self, functions: Iterable[F]) -> None:
        self._by_name = {function.durable_name.lower(): function for function in functions}

    def get(self, name: str) -> F | None:
        return self._by_name.get(name.lower())

    @property
    def names(self) -> list[str]:
        """As declared, in the order of declaration."""
        return [function.durable_name for function in self._by_name.values()]

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._by_name

    def __iter__(self) -> Iterator[F]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)


#: Ends each sentence about a call that differs from replay to replay, see `AppFunctions.mistakes`.
CAN_FAIL = "which can fail the orchestration"


class AppFunctions(Generic[F]):
    """The functions of an app, in the order of their declaration, and lookups.

    `functions` are those that run. `disabled`: those that settings disable. `excluded`: those that `functions` of
    host.json leaves out, as if they did not exist. `notes`: sentences for a person at the start (triggers that are
    not polled, bindings that are not supported). `mistakes`: those about code that does not do what it seems.
    """

    def __init__(
        self,
        root: Path,
        functions: Iterable[F],
        disabled: Iterable[F] = (),
        excluded: Iterable[F] = (),
        notes: Iterable[str] = (),
        mistakes: Iterable[str] = (),
    ) -> None:
        self.root = root
        self.functions = list(functions)
        self.disabled = list(disabled)
        self.excluded = list(excluded)
        self.notes = list(notes)
        self.mistakes = list(mistakes)
        of_kind = self._of_kind
        self.activities = Functions(of_kind("activity"))
        self.orchestrators = Functions(of_kind("orchestrator"))
        self.entities = Functions(of_kind("entity"))
        self.http_functions = of_kind("http")
        self.timers = of_kind("timer")
        self.queue_functions = of_kind("queue")
        self.others = [function for function in self.functions if function.kind not in KINDS.values()]
        self._by_name = {function.name.lower(): function for function in self.functions}

    def get(self, name: str) -> F | None:
        """The function of any kind with this indexed name, in any case."""
        return self._by_name.get(name.lower())

    def disabled_of(self, kind: str) -> Functions[F]:
        return Functions(function for function in self.disabled if function.kind == kind)

    def _of_kind(self, kind: str) -> list[F]:
        return [function for function in self.functions if function.kind == kind]


AppInfo = AppFunctions[FunctionInfo]
