"""The values that `TaskHub` answers with, made of the store's rows, and the filter that it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dfhost.engine.entities import EntityId, stored_state
from dfhost.runtime_status import FINAL_STATUSES
from dfhost.store.instance_row import InstanceRow
from dfhost.timestamps import parse_timestamp


@dataclass(frozen=True, slots=True)
class Instance:
    """An orchestration instance, or an entity as one (its id starts with ``@``).

    `status` is the extension's runtime status: Pending, Running, Suspended, Completed, Failed, Terminated.
    `input`, `output` and `custom_status` are stored texts (JSON, or plain text such as a failure), or None.
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
    parent_id: str | None = None

    @classmethod
    def of(cls, row: InstanceRow) -> Instance:
        created, updated = parse_timestamp(row.created_at), parse_timestamp(row.updated_at)
        return cls(
            row.instance_id, row.execution_id, row.name, row.version, row.status, row.input, row.output,
            row.custom_status, created, updated, row.parent_id,
        )  # fmt: skip

    @property
    def has_ended(self) -> bool:
        return self.status in FINAL_STATUSES


@dataclass(frozen=True, slots=True)
class InstanceFilter:
    """Bounds are inclusive, empty `statuses` mean any, `prefix` (of the id) is case-sensitive."""

    created_from: datetime | None = None
    created_to: datetime | None = None
    statuses: Sequence[str] = ()
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Entity:
    """`state` is the JSON text that the entity stored, `last_operation` the time of its newest batch (UTC)."""

    name: str
    key: str
    state: str | None
    last_operation: datetime

    @classmethod
    def of(cls, row: InstanceRow) -> Entity:
        name, key = EntityId.parse(row.instance_id)
        return cls(name, key, stored_state(row.input), parse_timestamp(row.updated_at))
