"""Removing instances for good."""

from __future__ import annotations

from collections.abc import Sequence

from dfhost.store import statements as sql
from dfhost.store.events import InstanceRemoved
from dfhost.store.instances import Check
from dfhost.store.write_cursor import WriteCursor


def purge(cursor: WriteCursor, instance_id: str, check: Check) -> int:
    row = sql.select_instance(cursor, instance_id)
    if row is None:
        return 0
    check(row)
    _remove(cursor, [instance_id])
    return 1


def purge_where(cursor: WriteCursor, where: sql.Where) -> int:
    found = cursor.execute(f"SELECT instance_id FROM instances WHERE {where.sql}", where.values)
    instance_ids = [values[0] for values in found.fetchall()]
    _remove(cursor, instance_ids)
    return len(instance_ids)


def _remove(cursor: WriteCursor, instance_ids: Sequence[str]) -> None:
    for instance_id in instance_ids:
        sql.delete_instance(cursor, instance_id)
        cursor.publish(InstanceRemoved(instance_id))
