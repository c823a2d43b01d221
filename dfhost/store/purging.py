"""Removing instances for good."""

from __future__ import annotations

from dfhost.store import statements as sql
from dfhost.store.events import InstanceRemoved
from dfhost.store.instances import Check
from dfhost.store.write_cursor import WriteCursor


def purge(cursor: WriteCursor, instance_id: str, check: Check) -> int:
    row = sql.select_instance(cursor, instance_id)
    if row is None:
        return 0
    check(row)
    _remove(cursor, instance_id, row.is_entity)
    return 1


def purge_where(cursor: WriteCursor, where: sql.Where) -> int:
    found = cursor.execute(
        f"SELECT instance_id, 0 FROM instances WHERE {where.sql} "
        f"UNION ALL SELECT instance_id, 1 FROM {sql.ENTITIES} WHERE {where.sql}",
        where.values * 2,
    ).fetchall()
    for instance_id, is_entity in found:
        _remove(cursor, instance_id, bool(is_entity))
    return len(found)


def _remove(cursor: WriteCursor, instance_id: str, is_entity: bool) -> None:
    if is_entity:
        sql.delete_entity(cursor, instance_id)
    else:
        sql.delete_instance(cursor, instance_id)
    cursor.publish(InstanceRemoved(instance_id, is_entity))
