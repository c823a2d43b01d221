"""What can be asked of the store: each method answers at once, from the last commit."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from dfhost.store import open_tasks
from dfhost.store import statements as sql
from dfhost.store.events import InboxMessage, InstanceRow
from dfhost.store.open_tasks import ActivityWorkItem


@dataclass(slots=True)
class StoredInstance:
    """All that a worker needs to go on with an instance.

    `needs_episode`: an episode is due although no message asks for it.
    """

    row: InstanceRow
    history: list[str]
    inbox: list[InboxMessage]
    needs_episode: bool


class StoreReader:
    """`guard` is held while reading where the writer uses the same connection (in memory)."""

    _reader: sqlite3.Connection
    _guard: threading.Lock | None = None

    def instance(self, instance_id: str) -> InstanceRow | None:
        with self._reading() as reader:
            return sql.select_instance(reader, instance_id)

    def instances(
        self,
        *,
        after: str = "",
        limit: int = -1,
        prefix: str = "",
        statuses: Sequence[str] = (),
        created_from: str | None = None,
        created_to: str | None = None,
        updated_from: str | None = None,
        updated_to: str | None = None,
        custom_status: str | None = None,
    ) -> list[InstanceRow]:
        """Ordered by id; bounds are inclusive."""
        where = sql.Where(statuses, created_from, created_to, updated_from, updated_to)
        where.add("instance_id > ?", after)
        if custom_status is not None:
            where.add("custom_status = ?", custom_status)
        if prefix:  # a range, so that the index is used; substr, since LIKE ignores case
            where.add("instance_id >= ? AND substr(instance_id, 1, ?) = ?", prefix, len(prefix), prefix)
            where.add("instance_id < ?", prefix + "\U0010ffff")
        with self._reading() as reader:
            found = reader.execute(
                f"SELECT {sql.INSTANCE_COLUMNS} FROM instances WHERE {where.sql} ORDER BY instance_id LIMIT ?",
                (*where.values, limit),
            )
            return [InstanceRow(*values) for values in found]

    def history(self, instance_id: str) -> list[str]:
        """The events so far, then those in the inbox."""
        with self._snapshot() as reader:
            return [
                *sql.select_events(reader, "history", instance_id),
                *sql.select_events(reader, "inbox", instance_id),
            ]

    def load_instance(self, instance_id: str) -> StoredInstance | None:
        with self._snapshot() as reader:
            found = reader.execute(
                f"SELECT {sql.INSTANCE_COLUMNS}, needs_episode FROM instances WHERE instance_id = ?",
                (instance_id,),
            ).fetchone()
            if not found:
                return None
            *row, needs_episode = found
            inbox = reader.execute(
                "SELECT instance_id, seq, event, execution_id FROM inbox WHERE instance_id = ? ORDER BY seq",
                (instance_id,),
            )
            messages = [InboxMessage(*values) for values in inbox]
            history = list(sql.select_events(reader, "history", instance_id))
            return StoredInstance(InstanceRow(*row), history, messages, bool(needs_episode))

    def instances_needing_episodes(self) -> list[str]:
        """The ids of instances and entities that have something to do, longest waiting first."""
        with self._reading() as reader:
            found = reader.execute(
                "SELECT instance_id, min(seq) AS first FROM inbox GROUP BY instance_id "
                "UNION SELECT instance_id, 0 FROM instances WHERE needs_episode ORDER BY first"
            )
            return list(dict.fromkeys(values[0] for values in found))

    def unfinished_activities(self) -> list[ActivityWorkItem]:
        """Every activity without a result, in the order of scheduling."""
        with self._reading() as reader:
            return open_tasks.unfinished_activities(reader)

    def activities_of(self, instance_id: str) -> list[tuple[int, str, str, str]]:
        """(task id, name, input, scheduled at) of the instance's activities without a result."""
        with self._reading() as reader:
            return reader.execute(
                "SELECT task_id, name, input, created_at FROM activities WHERE instance_id = ? ORDER BY task_id",
                (instance_id,),
            ).fetchall()

    def next_due(self) -> str | None:
        """When the next timer fires."""
        with self._reading() as reader:
            found: str | None = reader.execute("SELECT min(fire_at) FROM timers").fetchone()[0]
            return found

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        if self._guard is None:
            yield self._reader
        else:
            with self._guard:
                yield self._reader

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """Several reads of one and the same commit."""
        with self._reading() as reader:
            reader.execute("BEGIN")
            try:
                yield reader
            finally:
                reader.execute("COMMIT")
