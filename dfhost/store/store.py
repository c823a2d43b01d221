"""The task hub's state: one public method = one transaction, named for what is true once it returns.

Writing verbs return a future that is done after the commit; reading verbs answer at once from the last commit.
Knows nothing of HTTP, user code or threads of its own but the writer's.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

from dfhost.engine import history as h
from dfhost.engine.entities import EntityResponse
from dfhost.engine.episode import Episode, ScheduledActivity, ScheduledChild, child_refused
from dfhost.engine.history import Event
from dfhost.engine.rewind import rewind_history
from dfhost.errors import HostError, InstanceExists, InstanceNotFound, WrongState
from dfhost.store import database as db
from dfhost.store.events import FINISHED, InboxMessage, InstanceRemoved, InstanceRow, StoreListener
from dfhost.store.writer import Writer

T = TypeVar("T")

_FINISHED = "('Completed', 'Failed', 'Terminated', 'Canceled')"
_COLUMNS = (
    "instance_id, execution_id, name, version, status, input, output, custom_status, created_at, updated_at, "
    "parent_id, parent_execution, parent_task"
)


class ActivityWorkItem(NamedTuple):
    """An activity that waits for a worker."""

    instance_id: str
    execution_id: str
    activity: ScheduledActivity


class ActivityResult(NamedTuple):
    """What an activity came to: `event` is its TaskCompleted or TaskFailed."""

    work: ActivityWorkItem
    event: Event


class DueTimer(NamedTuple):
    instance_id: str
    timer_id: int
    fire_at: str
    execution_id: str


@dataclass(slots=True)
class StoredInstance:
    """All that a worker needs to go on with an instance."""

    row: InstanceRow
    history: list[str]
    inbox: list[InboxMessage]
    awake: bool


class EpisodeDiscarded(WrongState):
    """The instance was terminated, replaced or purged while the episode ran: forget it."""

    def __init__(self) -> None:
        super().__init__("The instance has ended or was replaced meanwhile.", "")


class Store:
    """Open with `open`, close with `close`; `path` None keeps everything in memory."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lock: db.DatabaseLock | None = None
        self._guard: threading.Lock | None = None

    def open(self) -> None:
        """DatabaseError if the file cannot be used. Must be called in the loop that will use the store."""
        with ExitStack() as undo:
            if self.path is None:
                connection = undo.enter_context(closing(db.connect(":memory:", durable=False)))
                db.prepare(connection, "memory")
                self._reader, self._guard = connection, threading.Lock()
            else:
                db.check(self.path)
                self._lock = db.DatabaseLock(self.path)
                undo.callback(self._lock.release)
                connection = undo.enter_context(closing(db.open_database(self.path)))
                self._reader = undo.enter_context(closing(db.connect(str(self.path), durable=True)))
                self._reader.execute("PRAGMA query_only = ON")
            self._connection = connection
            self._writer = Writer(connection, str(self.path or "memory"), self._guard)
            self._seq = connection.execute("SELECT coalesce(max(seq), 0) FROM inbox").fetchone()[0]
            self._writer.start()
            undo.pop_all()

    def close(self) -> None:
        self._writer.stop()
        if self._reader is not self._connection:
            self._reader.close()
        self._connection.close()
        if self._lock:
            self._lock.release()

    def listen(self, listener: StoreListener) -> None:
        """From now on `listener` hears of what is written."""
        self._writer.listener = listener

    @property
    def commits(self) -> int:
        return self._writer.commits

    # -- reading ---------------------------------------------------------------------------------------------

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

    def row(self, instance_id: str) -> InstanceRow | None:
        with self._reading() as reader:
            found = reader.execute(f"SELECT {_COLUMNS} FROM instances WHERE instance_id = ?", (instance_id,))
            values = found.fetchone()
        return InstanceRow(*values) if values else None

    def rows(
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
        """Ordered by id; bounds inclusive. A prefix narrows the range of ids that is looked at."""
        where, values = _conditions(statuses, created_from, created_to, updated_from, updated_to)
        where.append("instance_id > ?")
        values.append(after)
        if custom_status is not None:
            where.append("custom_status = ?")
            values.append(custom_status)
        if prefix:
            where.append("instance_id >= ? AND substr(instance_id, 1, ?) = ?")
            values += [prefix, len(prefix), prefix]
            where.append("instance_id < ?")
            values.append(prefix + "\U0010ffff")
        sql = f"SELECT {_COLUMNS} FROM instances WHERE {' AND '.join(where)} ORDER BY instance_id LIMIT ?"
        with self._reading() as reader:
            return [InstanceRow(*values) for values in reader.execute(sql, (*values, limit))]

    def history(self, instance_id: str) -> list[str]:
        """The events so far, then those that wait in the inbox."""
        with self._snapshot() as reader:
            return [
                *_texts(reader, "history", instance_id),
                *_texts(reader, "inbox", instance_id),
            ]

    def stored(self, instance_id: str) -> StoredInstance | None:
        with self._snapshot() as reader:
            found = reader.execute(
                f"SELECT {_COLUMNS}, awake FROM instances WHERE instance_id = ?", (instance_id,)
            ).fetchone()
            if not found:
                return None
            *row, awake = found
            inbox = reader.execute(
                "SELECT instance_id, seq, event, execution_id FROM inbox WHERE instance_id = ? ORDER BY seq",
                (instance_id,),
            )
            letters = [InboxMessage(*values) for values in inbox]
            history = list(_texts(reader, "history", instance_id))
            return StoredInstance(InstanceRow(*row), history, letters, bool(awake))

    def awake(self) -> list[str]:
        """The instances and entities that have something to do, oldest news first."""
        with self._reading() as reader:
            found = reader.execute(
                "SELECT instance_id, min(seq) AS first FROM inbox GROUP BY instance_id "
                "UNION SELECT instance_id, 0 FROM instances WHERE awake ORDER BY first"
            )
            return list(dict.fromkeys(values[0] for values in found))

    def unfinished_work(self) -> list[ActivityWorkItem]:
        """Every activity without a result, in the order it was scheduled."""
        with self._reading() as reader:
            found = reader.execute(
                "SELECT instance_id, execution_id, task_id, name, input FROM activities "
                "ORDER BY created_at, instance_id, task_id"
            )
            return [ActivityWorkItem(i, e, ScheduledActivity(t, n, x)) for i, e, t, n, x in found]

    def work_of(self, instance_id: str) -> list[tuple[int, str, str, str]]:
        """(task id, name, input, since) of the instance's activities without a result."""
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

    # -- instances -------------------------------------------------------------------------------------------

    def start_instance(
        self, row: InstanceRow, event: Callable[[int], str], replaces_live: bool
    ) -> asyncio.Future[None]:
        """The instance is Pending, its start in its inbox. InstanceExists if one of its id lives.

        `event` makes the start from its generation, one more than that of the ended instance it replaces.
        """

        def operation(cursor: sqlite3.Cursor) -> None:
            status = _status(cursor, row.instance_id)
            generation = 0
            if status is not None:
                if status not in FINISHED and not replaces_live:
                    raise InstanceExists(status)
                generation = 1 + _generation(cursor, row.instance_id)
                _forget(cursor, row.instance_id)
            _insert_instance(cursor, row)
            self._post(cursor, row.instance_id, event(generation), born=row)

        return self._writer.submit(operation)

    def deliver(
        self, instance_id: str, event: str, allowed: Callable[[InstanceRow], None]
    ) -> asyncio.Future[None]:
        """The event is in the inbox of a living instance. InstanceNotFound, or what `allowed` raises."""

        def operation(cursor: sqlite3.Cursor) -> None:
            row = _row(cursor, instance_id)
            if row is None:
                raise InstanceNotFound(instance_id)
            allowed(row)
            self._post(cursor, instance_id, event)

        return self._writer.submit(operation)

    def end_instance(
        self,
        instance_id: str,
        *,
        at: str,
        status: str,
        output: str | None,
        events: Sequence[str],
        allowed: Callable[[InstanceRow], None],
        tell_parent: Callable[[InstanceRow], str | None],
    ) -> asyncio.Future[None]:
        """The instance has ended, whatever it was doing; its open work is forgotten and its parent told."""

        def operation(cursor: sqlite3.Cursor) -> None:
            row = _row(cursor, instance_id)
            if row is None:
                raise InstanceNotFound(instance_id)
            allowed(row)
            self._writer.publish(InstanceRemoved(instance_id))
            base = _history_length(cursor, instance_id)
            _append(cursor, instance_id, base, events)
            _drop_work(cursor, instance_id)
            cursor.execute("DELETE FROM inbox WHERE instance_id = ?", (instance_id,))
            cursor.execute(
                "UPDATE instances SET status = ?, output = ?, updated_at = ?, awake = 0 WHERE instance_id = ?",
                (status, output, at, instance_id),
            )
            news = tell_parent(row)
            if news is not None and row.parent is not None:
                self._tell(cursor, row.parent.instance_id, row.parent.execution_id, news)

        return self._writer.submit(operation)

    def rewind(
        self, instance_id: str, *, at: str, wake: str, allowed: Callable[[InstanceRow], None]
    ) -> asyncio.Future[None]:
        """The instance runs again from its history without the failures, and so do its failed children.

        `wake` is the event that the innermost of them find in their inboxes.
        """

        def rewind(cursor: sqlite3.Cursor, row: InstanceRow) -> None:
            past = list(_texts(cursor, "history", row.instance_id))
            events, children = rewind_history(past, lambda child: _status(cursor, child) == "Failed")
            cursor.execute("DELETE FROM history WHERE instance_id = ?", (row.instance_id,))
            _append(cursor, row.instance_id, 0, events)
            cursor.execute(
                "UPDATE instances SET status = 'Running', output = NULL, updated_at = ? WHERE instance_id = ?",
                (at, row.instance_id),
            )
            for child in children:
                if (failed := _row(cursor, child)) is not None:
                    rewind(cursor, failed)
            if not children:  # a parent hears from its rewound child
                self._post(cursor, row.instance_id, wake)

        def operation(cursor: sqlite3.Cursor) -> None:
            row = _row(cursor, instance_id)
            if row is None:
                raise InstanceNotFound(instance_id)
            allowed(row)
            rewind(cursor, row)

        return self._writer.submit(operation)

    def purge(self, instance_id: str, allowed: Callable[[InstanceRow], None]) -> asyncio.Future[int]:
        """Nothing is left of the instance; 1, or 0 if there was none."""

        def operation(cursor: sqlite3.Cursor) -> int:
            row = _row(cursor, instance_id)
            if row is None:
                return 0
            allowed(row)
            _forget(cursor, instance_id)
            self._writer.publish(InstanceRemoved(instance_id))
            return 1

        return self._writer.submit(operation)

    def purge_where(
        self, created_from: str | None, created_to: str | None, statuses: Sequence[str]
    ) -> asyncio.Future[int]:
        """Nothing is left of the instances that match; how many there were."""
        where, values = _conditions(statuses, created_from, created_to)

        def operation(cursor: sqlite3.Cursor) -> int:
            sql = f"SELECT instance_id FROM instances WHERE {' AND '.join(where) or '1'}"
            gone = [found[0] for found in cursor.execute(sql, values).fetchall()]
            for instance_id in gone:
                _forget(cursor, instance_id)
            self._writer.publish(*map(InstanceRemoved, gone))
            return len(gone)

        return self._writer.submit(operation)

    # -- orchestrations --------------------------------------------------------------------------------------

    def commit_episode(
        self, episode: Episode, consumed: int, then: Callable[[None, HostError | None], None]
    ) -> None:
        """The episode is history, its work is scheduled, the inbox is empty up to `consumed`.

        EpisodeDiscarded: nothing happened. From any thread; `then` is called in the loop.
        """

        def operation(cursor: sqlite3.Cursor) -> None:
            instance_id, execution_id, at = episode.instance_id, episode.execution_id, episode.at
            self._update_instance(cursor, episode)
            if episode.next is not None:
                cursor.execute("DELETE FROM history WHERE instance_id = ?", (instance_id,))
                _drop_work(cursor, instance_id)
                cursor.execute(
                    "DELETE FROM inbox WHERE instance_id = ? AND execution_id = ?",
                    (instance_id, execution_id),
                )
                _append(cursor, instance_id, 0, [event.text for event in episode.next.past])
            else:
                _append(cursor, instance_id, episode.base, episode.texts)
            if consumed:
                cursor.execute(
                    "DELETE FROM inbox WHERE instance_id = ? AND seq <= ?", (instance_id, consumed)
                )
            if episode.finished:
                _drop_work(cursor, instance_id)
                cursor.execute("DELETE FROM inbox WHERE instance_id = ?", (instance_id,))
            cursor.executemany(
                "INSERT INTO activities VALUES (?, ?, ?, ?, ?, ?)",
                [(instance_id, a.task_id, execution_id, a.name, a.input, at) for a in episode.activities],
            )
            cursor.executemany(
                "INSERT INTO timers VALUES (?, ?, ?, ?)",
                [
                    (t.fire_at, instance_id, t.timer_id, execution_id)
                    for t in episode.timers
                    if t.fire_at > at
                ],
            )
            for timer in episode.timers:
                if timer.fire_at <= at:
                    fired = h.timer_fired(at, timer.timer_id, timer.fire_at)
                    self._post(cursor, instance_id, fired.text, execution_id)
            for child in episode.children:
                self._start_child(cursor, episode, child)
            for message in episode.entity_messages:
                self._address_entity(cursor, message.entity_id, message.request, at)
            if episode.finished and episode.parent is not None:
                parent_id, parent_execution, _ = episode.parent
                self._tell(cursor, parent_id, parent_execution, episode.result_for_parent().text)

        self._writer.post(operation, then)

    def _update_instance(self, cursor: sqlite3.Cursor, episode: Episode) -> None:
        following = episode.next
        changes = ["status = ?", "updated_at = ?", "awake = ?"]
        values: list[object] = [
            "Running" if following is not None else episode.status, episode.at, int(following is not None)
        ]  # fmt: skip
        if episode.sets_output:
            changes.append("output = ?")
            values.append(episode.output)
        if episode.custom_status is not None:
            changes.append("custom_status = ?")
            values.append(None if episode.custom_status == "null" else episode.custom_status)
        if following is not None:
            changes += ["execution_id = ?", "input = ?", "created_at = ?"]
            values += [following.execution_id, following.input, episode.at]
        cursor.execute(
            f"UPDATE instances SET {', '.join(changes)} "
            f"WHERE instance_id = ? AND execution_id = ? AND status NOT IN {_FINISHED}",
            (*values, episode.instance_id, episode.execution_id),
        )
        if cursor.rowcount == 0:
            raise EpisodeDiscarded

    def _start_child(self, cursor: sqlite3.Cursor, episode: Episode, child: ScheduledChild) -> None:
        status = _status(cursor, child.instance_id)
        if status is not None:
            if status not in FINISHED:
                refusal = child_refused(child, status, episode.at)
                self._post(cursor, episode.instance_id, refusal.text, episode.execution_id)
                return
            _forget(cursor, child.instance_id)
        row = InstanceRow(
            child.instance_id, child.execution_id, child.name, child.version, "Pending", child.input, None, None,
            episode.at, episode.at, episode.instance_id, episode.execution_id, child.task_id,
        )  # fmt: skip
        _insert_instance(cursor, row)
        self._post(cursor, child.instance_id, child.started.text, event=child.started, born=row)

    def store_results(self, take: Callable[[], list[ActivityResult]]) -> None:
        """Each result is in its orchestration's inbox, unless that has moved on without it. From any thread.

        `take` is asked for the results when their turn has come, so that those of the meantime come along.
        """

        def operation(cursor: sqlite3.Cursor) -> None:
            letters = []
            for work, event in take():
                cursor.execute(
                    "DELETE FROM activities WHERE instance_id = ? AND task_id = ? AND execution_id = ?",
                    (work.instance_id, work.activity.task_id, work.execution_id),
                )
                if cursor.rowcount:
                    self._seq += 1
                    letters.append(
                        InboxMessage(work.instance_id, self._seq, event.text, work.execution_id, event)
                    )
            cursor.executemany("INSERT INTO inbox VALUES (?, ?, ?, ?)", [letter[:4] for letter in letters])
            self._writer.publish(*letters)

        self._writer.post(operation, lambda _, error: None)

    def fire_timers(self, now: str, event: Callable[[DueTimer], str]) -> asyncio.Future[None]:
        """Every timer that is due lies in its orchestration's inbox as fired."""

        def operation(cursor: sqlite3.Cursor) -> None:
            found = cursor.execute(
                "SELECT instance_id, timer_id, fire_at, execution_id FROM timers WHERE fire_at <= ? ORDER BY fire_at",
                (now,),
            )
            due = [DueTimer(*values) for values in found.fetchall()]
            cursor.execute("DELETE FROM timers WHERE fire_at <= ?", (now,))
            for timer in due:
                self._post(cursor, timer.instance_id, event(timer), timer.execution_id)

        return self._writer.submit(operation)

    # -- entities --------------------------------------------------------------------------------------------

    def signal_entity(self, entity_id: str, request: str, at: str) -> asyncio.Future[None]:
        """The operation is in the entity's inbox; the entity is there, if it was not."""
        return self._writer.submit(lambda cursor: self._address_entity(cursor, entity_id, request, at))

    def commit_batch(
        self,
        entity_id: str,
        *,
        at: str,
        input: str,
        custom_status: str,
        consumed: int,
        answers: Sequence[EntityResponse],
        event: Callable[[EntityResponse], str],
    ) -> asyncio.Future[None]:
        """The batch has happened: the state is stored, its requests are gone, the callers are answered."""

        def operation(cursor: sqlite3.Cursor) -> None:
            cursor.execute(
                "UPDATE instances SET status = 'Running', input = ?, custom_status = ?, created_at = ?, "
                "updated_at = ? WHERE instance_id = ?",
                (input, custom_status, at, at, entity_id),
            )
            if cursor.rowcount == 0:
                raise EpisodeDiscarded
            cursor.execute("DELETE FROM inbox WHERE instance_id = ? AND seq <= ?", (entity_id, consumed))
            for answer in answers:
                self._tell(cursor, answer.instance_id, answer.execution_id, event(answer))

        return self._writer.submit(operation)

    def _address_entity(self, cursor: sqlite3.Cursor, entity_id: str, request: str, at: str) -> None:
        if _status(cursor, entity_id) is None:
            _insert_instance(
                cursor, InstanceRow(entity_id, "", entity_id, None, "Running", None, None, None, at, at)
            )
        self._post(cursor, entity_id, request)

    # -- helpers that take the transaction -------------------------------------------------------------------

    def _post(
        self,
        cursor: sqlite3.Cursor,
        instance_id: str,
        text: str,
        execution_id: str = "",
        event: Event | None = None,
        born: InstanceRow | None = None,
    ) -> None:
        self._seq += 1
        letter = InboxMessage(instance_id, self._seq, text, execution_id, event, born)
        cursor.execute("INSERT INTO inbox VALUES (?, ?, ?, ?)", letter[:4])
        self._writer.publish(letter)

    def _tell(self, cursor: sqlite3.Cursor, instance_id: str, execution_id: str, text: str) -> None:
        """Post to an execution, if it still is the one that asked."""
        found = cursor.execute(
            f"SELECT 1 FROM instances WHERE instance_id = ? AND execution_id = ? AND status NOT IN {_FINISHED}",
            (instance_id, execution_id),
        ).fetchone()
        if found:
            self._post(cursor, instance_id, text, execution_id)


def _row(cursor: sqlite3.Cursor, instance_id: str) -> InstanceRow | None:
    cursor.execute(f"SELECT {_COLUMNS} FROM instances WHERE instance_id = ?", (instance_id,))
    values = cursor.fetchone()
    return InstanceRow(*values) if values else None


def _status(cursor: sqlite3.Cursor, instance_id: str) -> str | None:
    cursor.execute("SELECT status FROM instances WHERE instance_id = ?", (instance_id,))
    values = cursor.fetchone()
    return values[0] if values else None


def _generation(cursor: sqlite3.Cursor, instance_id: str) -> int:
    """The Generation in the instance's start, its history's second event."""
    cursor.execute(
        "SELECT event ->> '$.Generation' FROM history WHERE instance_id = ? AND seq = 1", (instance_id,)
    )
    values = cursor.fetchone()
    return int(values[0] or 0) if values else 0


def _insert_instance(cursor: sqlite3.Cursor, row: InstanceRow) -> None:
    cursor.execute(f"INSERT INTO instances ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)


def _append(cursor: sqlite3.Cursor, instance_id: str, base: int, events: Sequence[str]) -> None:
    cursor.executemany(
        "INSERT INTO history VALUES (?, ?, ?)",
        [(instance_id, base + n, text) for n, text in enumerate(events)],
    )


def _history_length(cursor: sqlite3.Cursor, instance_id: str) -> int:
    cursor.execute("SELECT coalesce(max(seq) + 1, 0) FROM history WHERE instance_id = ?", (instance_id,))
    length: int = cursor.fetchone()[0]
    return length


def _drop_work(cursor: sqlite3.Cursor, instance_id: str) -> None:
    cursor.execute("DELETE FROM activities WHERE instance_id = ?", (instance_id,))
    cursor.execute("DELETE FROM timers WHERE instance_id = ?", (instance_id,))


def _forget(cursor: sqlite3.Cursor, instance_id: str) -> None:
    for table in ("instances", "history", "inbox", "activities", "timers"):
        cursor.execute(f"DELETE FROM {table} WHERE instance_id = ?", (instance_id,))


def _texts(source: sqlite3.Connection | sqlite3.Cursor, table: str, instance_id: str) -> Iterator[str]:
    found = source.execute(f"SELECT event FROM {table} WHERE instance_id = ? ORDER BY seq", (instance_id,))
    return (values[0] for values in found.fetchall())


def _conditions(
    statuses: Sequence[str],
    created_from: str | None,
    created_to: str | None,
    updated_from: str | None = None,
    updated_to: str | None = None,
) -> tuple[list[str], list[object]]:
    where: list[str] = []
    values: list[object] = []
    if statuses:
        where.append(f"status IN ({', '.join('?' * len(statuses))})")
        values += statuses
    for condition, bound in (
        ("created_at >= ?", created_from),
        ("created_at <= ?", created_to),
        ("updated_at >= ?", updated_from),
        ("updated_at <= ?", updated_to),
    ):
        if bound is not None:
            where.append(condition)
            values.append(bound)
    return where, values
