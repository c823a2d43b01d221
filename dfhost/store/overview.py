"""All instances at a glance, without their payloads: for a list that shows thousands of them."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from dfhost.engine.nondeterminism import DETECTED
from dfhost.reported_progress import LEDGERS
from dfhost.store import statements as sql
from dfhost.store.causes import cause_of_failure

_SHOWN = 200  # characters of a custom status
_FAILURE = 1_000  # characters of a failure, which holds the names of the functions that it has passed through


class ListedInstance(NamedTuple):
    """`custom_status`, and `failure` (why it failed): their first characters. Times are ISO texts."""

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


class MapRow(NamedTuple):
    """A map, or an instance whose custom status says how far it is. An instance may run several maps.

    `map_id`: the instance's id, unless the ledger has another. `ledger`: as JSON text, see `reported_progress`.
    """

    map_id: str
    instance_id: str
    name: str
    status: str
    created_at: str
    custom_status: str | None
    ledger: str | None


_CREATED = (  # the first generation of one that has continued as new
    "coalesce((SELECT created_at FROM first_generations "
    "WHERE first_generations.instance_id = instances.instance_id), created_at)"
)
_COLUMNS = (
    f"instance_id, name, status, {_CREATED}, updated_at, parent_id, substr(custom_status, 1, {_SHOWN}), "
    f"CASE WHEN status = 'Failed' THEN substr(output, 1, {_FAILURE}) END"
)


# An entity of this name need not be one of ours. A ledger of an earlier version has no instance id.
_LEDGERS = (
    "SELECT ledger, json_extract(ledger, '$.map_id') AS map_id, "
    "coalesce(json_extract(ledger, '$.instance_id'), json_extract(ledger, '$.map_id')) AS owner "
    "FROM (SELECT json_extract(state, '$.state') AS ledger FROM entities "
    f"WHERE entity_id BETWEEN '{LEDGERS}' AND '{LEDGERS}' || char(0x10ffff)) WHERE json_valid(ledger)"
)


def newest_open_instances(reader: sqlite3.Connection, limit: int) -> list[tuple[str, str]]:
    """The names and ids of orchestrations that have not ended: first the newest of each name, and so on."""
    return reader.execute(
        "SELECT name, instance_id FROM (SELECT name, instance_id, row_number() OVER "
        "(PARTITION BY name ORDER BY created_at DESC, instance_id) AS number "
        f"FROM instances WHERE status NOT IN {sql.FINAL_SQL}) ORDER BY number, name LIMIT ?",
        (limit,),
    ).fetchall()


def overview(reader: sqlite3.Connection, changed_since: str, limit: int) -> Overview:
    """At most `limit` instances that were updated at `changed_since` or later."""
    rows = reader.execute(
        f"SELECT {_COLUMNS} FROM instances WHERE updated_at >= ? ORDER BY created_at DESC, instance_id LIMIT ?",
        (changed_since, limit),
    )
    instances = [_listed(reader, ListedInstance(*values)) for values in rows]
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
    return [_listed(reader, ListedInstance(*values)) for values in rows]


def _listed(reader: sqlite3.Connection, instance: ListedInstance) -> ListedInstance:
    if DETECTED not in (instance.failure or ""):
        return instance
    cause, _ = cause_of_failure(reader, list(sql.select_events(reader, "history", instance.instance_id)))
    return instance if cause is None else instance._replace(failure=cause[:_FAILURE])


def maps(reader: sqlite3.Connection, ended_since: str, limit: int) -> list[MapRow]:
    """At most `limit`, the newest first: those that run, and those that were updated at `ended_since` or later."""
    of_instance = "name, status, created_at, custom_status"
    rows = reader.execute(
        # CROSS JOIN: each ledger is read once, and its instance is found by its id.
        f"SELECT map_id, instance_id, {of_instance}, ledger FROM ({_LEDGERS}) CROSS JOIN instances "
        "ON instance_id = owner WHERE status = 'Running' OR updated_at >= ?1 "
        f"UNION ALL SELECT instance_id, instance_id, {of_instance}, NULL FROM instances "
        "WHERE (status = 'Running' OR updated_at >= ?1) "
        "AND (custom_status LIKE '{%\"total\"%' OR custom_status LIKE '{\"phase\"%') "
        f"AND NOT EXISTS (SELECT 1 FROM entities WHERE entity_id = '{LEDGERS}' || instance_id AND state NOT NULL) "
        "ORDER BY created_at DESC, map_id DESC, ledger DESC LIMIT ?2",
        (ended_since, limit),
    )
    found: dict[str, MapRow] = {}
    for values in rows:  # an id of which the ledger's is only a hash comes twice, first with its ledger
        found.setdefault(values[0], MapRow(*values))
    return list(found.values())


def queue_lengths(reader: sqlite3.Connection) -> dict[str, int]:
    """How many operations each entity has not processed, if any."""
    return dict(
        reader.execute("SELECT entity_id, count(*) FROM entity_requests GROUP BY entity_id").fetchall()
    )
