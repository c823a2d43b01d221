"""SQL that several operations share: on the rows of one instance, and on an entity as such a row."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator

from dfhost.runtime_status import FINAL_STATUSES
from dfhost.store.instance_row import InstanceRow

FINAL_SQL = str(FINAL_STATUSES)  # ('Completed', 'Failed', ...): Python quotes as SQL does
INSTANCE_COLUMNS = (
    "instance_id, execution_id, name, version, status, input, output, custom_status, created_at, updated_at, "
    "parent_id, parent_execution, parent_task"
)
#: The entities in those columns: lists of instances contain them, too, as on Azure.
ENTITIES = (
    "(SELECT entity_id AS instance_id, '' AS execution_id, entity_id AS name, NULL AS version, 'Running' AS status, "
    "state AS input, NULL AS output, custom_status, updated_at AS created_at, updated_at, NULL AS parent_id, "
    "NULL AS parent_execution, NULL AS parent_task FROM entities)"
)
_Source = sqlite3.Connection | sqlite3.Cursor


def select_instance(source: _Source, instance_id: str) -> InstanceRow | None:
    """The orchestration instance or, if there is none, the entity of this id."""
    return _select(source, "instances", instance_id) or select_entity(source, instance_id)


def select_entity(source: _Source, entity_id: str) -> InstanceRow | None:
    return _select(source, ENTITIES, entity_id)


def _select(source: _Source, table: str, instance_id: str) -> InstanceRow | None:
    found = source.execute(f"SELECT {INSTANCE_COLUMNS} FROM {table} WHERE instance_id = ?", (instance_id,))
    values = found.fetchone()
    return InstanceRow(*values) if values else None


def select_status(cursor: sqlite3.Cursor, instance_id: str) -> str | None:
    cursor.execute("SELECT status FROM instances WHERE instance_id = ?", (instance_id,))
    values = cursor.fetchone()
    return values[0] if values else None


def insert_instance(cursor: sqlite3.Cursor, row: InstanceRow) -> None:
    cursor.execute(
        f"INSERT INTO instances ({INSTANCE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row
    )


def delete_instance(cursor: sqlite3.Cursor, instance_id: str) -> None:
    """Nothing is left of it in any table."""
    for table in ("instances", "history", "first_generations", "inbox", "activities", "task_facts", "timers"):
        cursor.execute(f"DELETE FROM {table} WHERE instance_id = ?", (instance_id,))


def delete_entity(cursor: sqlite3.Cursor, entity_id: str) -> bool:
    """False if there is none."""
    cursor.execute("DELETE FROM entity_requests WHERE entity_id = ?", (entity_id,))
    return cursor.execute("DELETE FROM entities WHERE entity_id = ?", (entity_id,)).rowcount > 0


def delete_activities_and_timers(cursor: sqlite3.Cursor, instance_id: str) -> None:
    """Its activities get no result and its timers do not fire."""
    cursor.execute("DELETE FROM activities WHERE instance_id = ?", (instance_id,))
    cursor.execute("DELETE FROM timers WHERE instance_id = ?", (instance_id,))


def select_events(source: _Source, table: str, instance_id: str) -> Iterator[str]:
    """The texts in its `history` or `inbox`, in order."""
    found = source.execute(f"SELECT event FROM {table} WHERE instance_id = ? ORDER BY seq", (instance_id,))
    return (values[0] for values in found.fetchall())


def insert_history(cursor: sqlite3.Cursor, instance_id: str, base: int, events: Iterable[str]) -> None:
    """`base`: how many events the history has before these."""
    cursor.executemany(
        "INSERT INTO history VALUES (?, ?, ?)",
        [(instance_id, base + n, text) for n, text in enumerate(events)],
    )
