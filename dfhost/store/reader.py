"""What can be asked of the store: each method answers at once, from the last commit."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dfhost.engine import history as h
from dfhost.errors import DatabaseError
from dfhost.store import activities_and_timers, queues
from dfhost.store import statements as sql
from dfhost.store.activities_and_timers import ActivityWorkItem
from dfhost.store.causes import cause_of_failure
from dfhost.store.filters import Where
from dfhost.store.instance_row import InstanceRow
from dfhost.store.listener import InboxMessage
from dfhost.store.queues import QueueLength, QueueMessage
from dfhost.store.sqlite_errors import explain_sqlite_error


@dataclass(slots=True)
class StoredInstance:
    """All that a dispatcher needs to go on with an instance.

    `needs_episode`: an episode is due although no message asks for it.
    """

    row: InstanceRow
    history: list[str]
    inbox: list[InboxMessage]
    needs_episode: bool


class StoredEntity(NamedTuple):
    """`state`: see `engine.entities.scheduler_state`; None before the first batch."""

    state: str | None
    requests: list[InboxMessage]


class TaskFacts(NamedTuple):
    """A row of `task_facts`, see schema.sql."""

    first_task_id: int | None = None
    attempt: int | None = None
    max_attempts: int | None = None
    started_at: str | None = None
    input: str | None = None
    worker: int | None = None
    cancelled_at: str | None = None


class ChildRow(NamedTuple):
    """An instance as a task of its parent. `started_at`: its first episode, as ISO text; None before that.

    That and the `input` are those of its first generation, if it has continued as new.
    """

    status: str
    started_at: str | None
    input: str | None


class FirstGeneration(NamedTuple):
    """How an instance that has continued as new began. `generations`: how many there were, with the present one."""

    generations: int
    created_at: str


class StoredTimeline(NamedTuple):
    """All that is known of what an instance has done and is doing.

    `inputs`: of its activities without a result, by task id. `children`: those that still exist, by task id.
    `first`: None if it has not continued as new. `cause` and `traceback`: see `causes`.
    """

    row: InstanceRow
    history: list[str]
    inbox: list[str]
    inputs: dict[int, str]
    facts: dict[int, TaskFacts]
    children: dict[int, ChildRow]
    first: FirstGeneration | None
    cause: str | None
    traceback: str


class StoreReader:
    """Reads from the connection `_reader`, which a subclass opens. Each method raises DatabaseError."""

    path: Path | None
    _reader: sqlite3.Connection
    #: Held while reading, where the writer uses the same connection (in memory).
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
    ) -> list[InstanceRow]:
        """Instances and entities, ordered by id; bounds are inclusive. An instance hides an entity of its id."""
        where = Where(statuses, created_from, created_to, after=after, prefix=prefix)
        with self._reading() as reader:
            found = reader.execute(
                f"SELECT {sql.INSTANCE_COLUMNS} FROM instances WHERE {where.sql} "
                f"UNION ALL SELECT {sql.INSTANCE_COLUMNS} FROM {sql.ENTITIES} WHERE {where.sql} "
                "AND instance_id NOT IN (SELECT instance_id FROM instances) ORDER BY instance_id LIMIT ?",
                (*where.values, *where.values, limit),
            )
            return [InstanceRow(*values) for values in found]

    def first_created(self, instance_ids: Sequence[str]) -> dict[str, str]:
        """When the first generation of each was created, as ISO text: of those that have continued as new."""
        with self._reading() as reader:
            return dict(
                reader.execute(
                    "SELECT instance_id, created_at FROM first_generations "
                    "WHERE instance_id IN (SELECT value FROM json_each(?))",
                    (json.dumps(instance_ids),),
                ).fetchall()
            )

    def entity(self, entity_id: str) -> InstanceRow | None:
        with self._reading() as reader:
            return sql.select_entity(reader, entity_id)

    def entities(
        self,
        *,
        after: str = "",
        limit: int = -1,
        prefix: str = "",
        updated_from: str | None = None,
        updated_to: str | None = None,
        custom_status: str | None = None,
    ) -> list[InstanceRow]:
        """Ordered by id; bounds are inclusive."""
        where = Where(updated_from=updated_from, updated_to=updated_to, after=after, prefix=prefix)
        if custom_status is not None:
            where.add("custom_status = ?", custom_status)
        with self._reading() as reader:
            found = reader.execute(
                f"SELECT {sql.INSTANCE_COLUMNS} FROM {sql.ENTITIES} WHERE {where.sql} ORDER BY instance_id LIMIT ?",
                (*where.values, limit),
            )
            return [InstanceRow(*values) for values in found]

    def entity_requests(self, entity_id: str) -> list[InboxMessage]:
        """The requests that the entity has not processed, in order."""
        with self._reading() as reader:
            return _entity_requests(reader, entity_id)

    def load_entity(self, entity_id: str) -> StoredEntity | None:
        with self._snapshot() as reader:
            found = reader.execute("SELECT state FROM entities WHERE entity_id = ?", (entity_id,)).fetchone()
            return StoredEntity(found[0], _entity_requests(reader, entity_id)) if found else None

    def entities_with_requests(self) -> list[str]:
        """The ids of entities that have something to do, longest waiting first."""
        with self._reading() as reader:
            found = reader.execute(
                "SELECT entity_id FROM entity_requests GROUP BY entity_id ORDER BY min(seq)"
            )
            return [values[0] for values in found]

    def history(self, instance_id: str) -> list[str]:
        """The events so far, then those in the inbox."""
        with self._snapshot() as reader:
            return [
                *sql.select_events(reader, "history", instance_id),
                *sql.select_events(reader, "inbox", instance_id),
            ]

    def timeline(self, instance_id: str) -> StoredTimeline | None:
        with self._snapshot() as reader:
            return read_timeline(reader, instance_id)

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
        """The ids of instances that have something to do, longest waiting first."""
        with self._reading() as reader:
            found = reader.execute(
                "SELECT instance_id, min(seq) AS first FROM inbox GROUP BY instance_id "
                "UNION SELECT instance_id, 0 FROM instances WHERE needs_episode ORDER BY first"
            )
            return list(dict.fromkeys(values[0] for values in found))

    def unfinished_activities(self) -> list[ActivityWorkItem]:
        """Every activity without a result, in the order of scheduling."""
        with self._reading() as reader:
            return activities_and_timers.unfinished_activities(reader)

    def open_instances(self) -> int:
        """How many orchestrations have not ended."""
        with self._reading() as reader:
            count: int = reader.execute(
                f"SELECT count(*) FROM instances WHERE status NOT IN {sql.FINAL_SQL}"
            ).fetchone()[0]
            return count

    def open_instance_ids(self) -> list[str]:
        """The ids of the orchestrations that have not ended."""
        with self._reading() as reader:
            rows = reader.execute(f"SELECT instance_id FROM instances WHERE status NOT IN {sql.FINAL_SQL}")
            return [instance_id for (instance_id,) in rows]

    def open_instances_by_name(self) -> dict[str, int]:
        """How many orchestrations of each orchestrator have not ended, where there are any."""
        with self._reading() as reader:
            return dict(
                reader.execute(
                    f"SELECT name, count(*) FROM instances WHERE status NOT IN {sql.FINAL_SQL} GROUP BY name"
                ).fetchall()
            )

    def next_due(self) -> str | None:
        """When the next timer fires."""
        with self._reading() as reader:
            found: str | None = reader.execute("SELECT min(fire_at) FROM timers").fetchone()[0]
            return found

    def storage_queues(self) -> list[QueueLength]:
        """Of the queues that have messages."""
        with self._reading() as reader:
            return queues.lengths(reader)

    def queue_messages(self, queue: str, limit: int) -> list[QueueMessage]:
        """The oldest messages of the queue."""
        with self._reading() as reader:
            return queues.messages(reader, queue, limit)

    def next_visible(self, queue: str) -> str | None:
        """When the next message of the queue may be taken, as ISO text; None if it has none."""
        with self._reading() as reader:
            return queues.next_visible(reader, queue)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            if self._guard is None:
                yield self._reader
            else:
                with self._guard:
                    yield self._reader
        except sqlite3.Error as error:
            raise DatabaseError(explain_sqlite_error(error, str(self.path or "memory"))) from error

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """Several reads of one and the same commit."""
        with self._reading() as reader:
            reader.execute("BEGIN")
            try:
                yield reader
            finally:
                reader.execute("COMMIT")


def read_timeline(reader: sqlite3.Connection, instance_id: str) -> StoredTimeline | None:
    """None if there is no such instance. `reader`: in a transaction, so that all is of one commit."""
    row = sql.select_instance(reader, instance_id)
    if row is None:
        return None
    history = list(sql.select_events(reader, "history", instance_id))
    inputs = reader.execute(
        "SELECT task_id, input FROM activities WHERE instance_id = ?", (instance_id,)
    ).fetchall()
    facts = reader.execute(
        "SELECT task_id, first_task_id, attempt, max_attempts, started_at, input, worker, cancelled_at "
        "FROM task_facts WHERE instance_id = ?",
        (instance_id,),
    )
    return StoredTimeline(
        row,
        history,
        list(sql.select_events(reader, "inbox", instance_id)),
        dict(inputs),
        {task_id: TaskFacts(*values) for task_id, *values in facts},
        _children(reader, row, history),
        _first_generation(reader, instance_id),
        *(cause_of_failure(reader, history) if row.status == "Failed" else (None, "")),
    )


def _entity_requests(reader: sqlite3.Connection, entity_id: str) -> list[InboxMessage]:
    found = reader.execute(
        "SELECT seq, request FROM entity_requests WHERE entity_id = ? ORDER BY seq", (entity_id,)
    )
    return [InboxMessage(entity_id, seq, text, to_entity=True) for seq, text in found]


def _first_generation(reader: sqlite3.Connection, instance_id: str) -> FirstGeneration | None:
    found = reader.execute(
        "SELECT generations, created_at FROM first_generations WHERE instance_id = ?", (instance_id,)
    ).fetchone()
    return FirstGeneration(*found) if found else None


def _children(reader: sqlite3.Connection, row: InstanceRow, history: Sequence[str]) -> dict[int, ChildRow]:
    """The existing instances that these events of `row` have created. An id may be that of a later call by now."""
    prefix = h.prefix_of(h.SUB_ORCHESTRATION_CREATED)
    found = {}
    for created in (json.loads(text) for text in history if text.startswith(prefix)):
        values = reader.execute(
            "SELECT status, coalesce(started_at, (SELECT json_extract(event, '$.Timestamp') FROM history "
            "WHERE history.instance_id = instances.instance_id AND seq = 0)), "
            "iif(generations, first_generations.input, instances.input) "
            "FROM instances LEFT JOIN first_generations USING (instance_id) "
            "WHERE instance_id = ? AND parent_id = ? AND parent_execution = ? AND parent_task = ?",
            (created["InstanceId"], row.instance_id, row.execution_id, created["EventId"]),
        ).fetchone()
        if values:
            found[created["EventId"]] = ChildRow(*values)
    return found
