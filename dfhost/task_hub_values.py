"""The values that `TaskHub` answers with, made of the store's rows, and the filter that it takes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dfhost.engine.entities import EntityId, stored_state
from dfhost.parse_json import parse_json
from dfhost.reported_progress import ReportedProgress, reported_progress
from dfhost.runtime_status import FINAL_STATUSES
from dfhost.store.instance_row import InstanceRow
from dfhost.store.overview import MapRow
from dfhost.timestamps import parse_timestamp


@dataclass(frozen=True, slots=True)
class Instance:
    """An orchestration instance, or an entity as one (its id starts with ``@``).

    `status` is the extension's runtime status: Pending, Running, Suspended, Completed, Failed, Terminated.
    `input`, `output` and `custom_status` are stored texts (JSON, or plain text such as a failure), or None.
    Times are UTC. `first_created_at`: of one that has continued as new, if that was asked for.
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
    first_created_at: datetime | None = None

    @classmethod
    def of(cls, row: InstanceRow, first_created_at: str | None = None) -> Instance:
        created, updated = parse_timestamp(row.created_at), parse_timestamp(row.updated_at)
        first = None if first_created_at is None else parse_timestamp(first_created_at)
        return cls(
            row.instance_id, row.execution_id, row.name, row.version, row.status, row.input, row.output,
            row.custom_status, created, updated, row.parent_id, first,
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


@dataclass(frozen=True, slots=True)
class MapRun:
    """A map, or an instance whose custom status may say how far it is. An instance may run several maps.

    `map_id`: the instance's id, unless the ledger has another. `ledger`: see `reported_progress`; None without one.
    """

    map_id: str
    instance_id: str
    name: str
    status: str
    created_at: str
    custom_status: Any
    ledger: dict[str, Any] | None

    @classmethod
    def of(cls, row: MapRow) -> MapRun:
        return cls(*row[:5], _decoded(row.custom_status), _decoded(row.ledger))

    @property
    def progress(self) -> ReportedProgress | None:
        """Counts in the custom status come first: those of a redrive are of both runs."""
        return self._own_counts or reported_progress(self.ledger)

    @property
    def is_over(self) -> bool:
        """Whether the counts are final. After the end of its instance a map may still get reports."""
        has_ended = self.status in FINAL_STATUSES
        return (has_ended and self._own_counts is not None) or "ended_at" in (self.ledger or {})

    @property
    def _own_counts(self) -> ReportedProgress | None:
        return reported_progress(self.custom_status) if self.map_id == self.instance_id else None


def _decoded(text: str | None) -> Any:
    with suppress(ValueError):
        return None if text is None else parse_json(text)
    return None
