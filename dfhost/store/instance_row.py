"""An instance as it is stored, and as lists of instances show it."""

from __future__ import annotations

from typing import NamedTuple

from dfhost.engine.execution_info import Parent
from dfhost.runtime_status import FINAL_STATUSES


class InstanceRow(NamedTuple):
    """An instance as stored, or an entity as instance lists show it; times are ISO texts."""

    instance_id: str
    execution_id: str
    name: str
    version: str | None
    status: str
    input: str | None
    output: str | None
    custom_status: str | None
    created_at: str
    updated_at: str
    parent_id: str | None = None
    parent_execution: str | None = None
    parent_task: int | None = None

    @property
    def has_ended(self) -> bool:
        return self.status in FINAL_STATUSES

    @property
    def parent(self) -> Parent | None:
        if self.parent_id is None or self.parent_execution is None or self.parent_task is None:
            return None
        return Parent(self.parent_id, self.parent_execution, self.parent_task)

    @property
    def is_entity(self) -> bool:
        """Its id alone does not tell: an orchestration may be called ``@name@key`` as well."""
        return not self.execution_id
