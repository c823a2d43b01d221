"""Removing instances and entities for good, and giving their space back to the file system.

A purge of many is done in portions, each a transaction, so that others are written in between.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from typing import NamedTuple

from dfhost.store import statements as sql
from dfhost.store.filters import Where
from dfhost.store.inbox import InboxCursor
from dfhost.store.instances import Check
from dfhost.store.listener import InstanceRemoved

PORTION_SECONDS = 0.01  # without the commit, which takes longer
#: Free pages (of 4 KB) that are left in the file, for the next instances.
_KEPT_PAGES = 256


class Target(NamedTuple):
    """An execution, or an entity (its `execution_id` is empty), that is to be purged."""

    instance_id: str
    execution_id: str


class Portion(NamedTuple):
    end: int  # how many targets have been looked at so far, from the first
    purged: int


def purge(cursor: InboxCursor, instance_id: str, check: Check) -> int:
    row = sql.select_instance(cursor, instance_id)
    if row is None:
        return 0
    check(row)
    return _remove(cursor, Target(instance_id, row.execution_id))


def find(reader: sqlite3.Connection, where: Where) -> list[Target]:
    found = reader.execute(
        f"SELECT instance_id, execution_id FROM instances WHERE {where.sql} "
        f"UNION ALL SELECT instance_id, '' FROM {sql.ENTITIES} WHERE {where.sql}",
        where.values * 2,
    )
    return [Target(*values) for values in found]


def purge_portion(cursor: InboxCursor, targets: Sequence[Target], start: int) -> Portion:
    """Purge those from `start` on, as long as there is time; at least one."""
    _set_auto_vacuum(cursor, "FULL")
    until = time.perf_counter() + PORTION_SECONDS
    end, purged = start, 0
    while end < len(targets) and (end == start or time.perf_counter() < until):
        purged += _remove(cursor, targets[end])
        end += 1
    return Portion(end, purged)


def has_free_space(cursor: InboxCursor) -> bool:
    pages: int = cursor.execute("PRAGMA freelist_count").fetchone()[0]
    return pages > _KEPT_PAGES


def give_space_back(cursor: InboxCursor) -> None:
    """The commit behind this moves all free pages to the end of the file, and the next checkpoint cuts them off.

    `PRAGMA incremental_vacuum` would do the same page by page, with a search of the whole free list for each: hours
    for a gigabyte.
    """
    _set_auto_vacuum(cursor, "FULL")


def keep_free_pages(cursor: InboxCursor) -> None:
    """After a purge: commits leave the pages that they free in the file again, which is faster."""
    _set_auto_vacuum(cursor, "INCREMENTAL")


def _set_auto_vacuum(cursor: InboxCursor, mode: str) -> None:
    cursor.execute(f"PRAGMA auto_vacuum = {mode}")


def _remove(cursor: InboxCursor, target: Target) -> int:
    """1, or 0 if a new start has replaced it."""
    instance_id, execution_id = target
    if execution_id:
        found = cursor.execute(
            "SELECT 1 FROM instances WHERE instance_id = ? AND execution_id = ?", (instance_id, execution_id)
        ).fetchone()
        if not found:
            return 0
        sql.delete_instance(cursor, instance_id)
    elif not sql.delete_entity(cursor, instance_id):
        return 0
    cursor.publish(InstanceRemoved(instance_id, is_entity=not execution_id))
    return 1
