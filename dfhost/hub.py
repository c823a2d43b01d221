"""`TaskHub`: everything the outside may ask of the task hub.

The management API is a thin layer of HTTP over these verbs, so is the command line. Writes return only
after the commit behind them; reads see every commit. Payloads are texts, mostly JSON, exactly as stored:
decoding them is the caller's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Instance:
    """One row of the task hub: an orchestration instance, or an entity (its id starts with ``@``).

    `status` is the extension's runtime status: Pending, Running, Suspended, Completed, Failed, Terminated.
    `input`, `output` and `custom_status` are stored texts (JSON, or plain words such as a failure), or None.
    Times are UTC.
    """

    instance_id: str
    execution_id: str
    name: str
    version: str | None
    status: str
    input: str | None
    output: str | None
    custom_status: str | None
    created_at: datetime
    updated_at: datetime

    @property
    def finished(self) -> bool:
        return self.status in ("Completed", "Failed", "Terminated", "Canceled")


@dataclass(frozen=True, slots=True)
class InstanceFilter:
    """Which instances: bounds are inclusive, an empty `statuses` means any, `prefix` is case-sensitive."""

    created_from: datetime | None = None
    created_to: datetime | None = None
    statuses: Sequence[str] = ()
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Entity:
    """An entity: `state` is the JSON text it stored, `last_operation` the time of its newest batch (UTC)."""

    name: str
    key: str
    state: str | None
    last_operation: datetime


class TaskHub(Protocol):
    """The verbs. Every coroutine raises nothing but `HostError`s, each named below."""

    name: str

    # -- reading ---------------------------------------------------------------------------------------------
    def instance(self, instance_id: str) -> Instance | None: ...

    def history(self, instance_id: str) -> list[dict[str, Any]]:
        """The history events of the newest generation in wire form (PascalCase, EventType an int).

        What has arrived but was not processed yet comes last.
        """
        ...

    def instances(self, where: InstanceFilter, limit: int, after: str = "") -> list[Instance]:
        """At most `limit` instances ordered by id, those whose id is greater than `after`."""
        ...

    def entity(self, name: str, key: str) -> Entity | None: ...

    def entities(
        self,
        name: str | None,
        last_operation_from: datetime | None,
        last_operation_to: datetime | None,
        limit: int,
        after: str = "",
    ) -> list[Entity]:
        """Ordered by instance id (``@name@key``); `after` is such an id."""
        ...

    def explain(self, instance_id: str) -> dict[str, Any] | None:
        """What the instance waits for and why (JSON-able), None if there is no such instance."""
        ...

    def knows_orchestrator(self, name: str) -> bool: ...

    def knows_entity(self, name: str) -> bool: ...

    @property
    def entity_names(self) -> list[str]: ...

    # -- writing ---------------------------------------------------------------------------------------------
    async def start(
        self, orchestrator: str, input: str | None, instance_id: str | None = None, version: str | None = None
    ) -> str:
        """A new instance and its id (32 hex digits unless given). InstanceExists if one of that id lives.

        An unknown orchestrator is accepted and then fails, as on the extension.
        """
        ...

    async def finished(self, instance_id: str, timeout: float) -> Instance | None:
        """The instance once it has ended, or as it is after `timeout` seconds; None if it does not exist."""
        ...

    async def raise_event(self, instance_id: str, name: str, data: str) -> None:
        """InstanceNotFound; WrongState if it has ended. `data`: JSON text."""
        ...

    async def terminate(self, instance_id: str, reason: str | None) -> None:
        """InstanceNotFound; WrongState if it has ended."""
        ...

    async def suspend(self, instance_id: str, reason: str | None) -> None:
        """InstanceNotFound; WrongState if it has ended or is suspended already."""
        ...

    async def resume(self, instance_id: str, reason: str | None) -> None:
        """InstanceNotFound; WrongState if it has ended or is not suspended."""
        ...

    async def rewind(self, instance_id: str, reason: str | None) -> None:
        """InstanceNotFound; WrongState unless it has failed."""
        ...

    async def purge(self, instance_id: str) -> int:
        """1 once it is gone, 0 if there was none. WrongState while it lives (entities may always go)."""
        ...

    async def purge_where(self, where: InstanceFilter) -> int:
        """How many are gone. Deletes what the filter says, running instances and entities included."""
        ...

    async def signal_entity(self, name: str, key: str, operation: str, input: str | None) -> None:
        """One operation, one way. UnknownFunction if no entity function has this name."""
        ...
