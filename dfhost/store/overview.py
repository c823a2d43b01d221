"""All instances at a glance, without their payloads: for a list that shows thousands of them."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

_SHOWN = 200  # characters of a custom status
_FAILURE = 1_000  # characters of a failure, which holds the names of the functions that it has passed through


class ListedInstance(NamedTuple):
    """`custom_status`: its first characters. `failure`: those of the output, if it has failed. Times: ISO texts."""

    instance_id: str
    name: str
    status: str
    created_at: str
    updated_at: str
    parent_id: str | None
    custom_status: str | None
    failure: str | None


class Overview(NamedTuple):
    """`instances`: the newest first. `counts`: of all instances, by status."""

    instances: list[ListedInstance]
    counts: dict[str, int]


class ProgressReport(NamedTuple):
    """How far an instance is, by its custom status or the stored state of its `map_ledger`."""

    instance_id: str
    name: str
    status: str
    custom_status: str | None
    ledger: str | None


_COLUMNS = (
    f"instance_id, name, status, created_at, updated_at, parent_id, substr(custom_status, 1, {_SHOWN}), "
    f"CASE WHEN status = 'Failed' THEN substr(output, 1, {_FAILURE}) END"
)


def overview(reader: sqlite3.Connection, changed_since: str, limit: int) -> Overview:
    """At most `limit` instances that were updated at `changed_since` or later."""
    rows = reader.execute(
        f"SELECT {_COLUMNS} FROM instances WHERE updated_at >= ? ORDER BY created_at DESC, instance_id LIMIT ?",
        (changed_since, limit),
    )
    instances = [ListedInstance(*values) for values in rows]
    counts = reader.execute("SELECT status, count(*) FROM instances GROUP BY status").fetchall()
    return Overview(instances, dict(counts))


def search(reader: sqlite3.Connection, text: str, limit: int) -> list[ListedInstance]:
    """The newest instances that have `text` in their id, name, input, output or custom status, whatever its case."""
    pattern = "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    columns = ("instance_id", "name", "custom_status", "input", "output")
    where = " OR ".join(f"{column} LIKE ? ESCAPE '\\'" for column in columns)
    rows = reader.execute(
        f"SELECT {_COLUMNS} FROM instances WHERE {where} ORDER BY created_at DESC, instance_id LIMIT ?",
        (*[pattern] * len(columns), limit),
    )
    return [ListedInstance(*values) for values in rows]


def progress_reports(reader: sqlite3.Connection, ended_since: str) -> list[ProgressReport]:
    """Of all running instances, and of those that were updated at `ended_since` or later; the oldest first."""
    rows = reader.execute(
        "SELECT instance_id, name, status, instances.custom_status, state FROM instances "
        "LEFT JOIN entities ON entity_id = '@map_ledger@' || instance_id "
        "WHERE (status = 'Running' OR instances.updated_at >= ?) "
        "AND (instances.custom_status LIKE '{%\"total\"%' OR state IS NOT NULL) ORDER BY instances.created_at",
        (ended_since,),
    )
    return [ProgressReport(*values) for values in rows]


def queue_lengths(reader: sqlite3.Connection) -> dict[str, int]:
    """How many operations each entity has not processed, if any."""
    return dict(
        reader.execute("SELECT entity_id, count(*) FROM entity_requests GROUP BY entity_id").fetchall()
    )
