"""The task hub's state. One public method is one transaction, named for what is true once it returns.

Writing methods return a future, or call back, after the commit. Reading methods answer at once from the last
commit (`StoreReader`). The SQL is in the modules beside this one, by verb. Knows nothing of HTTP or user code.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import TypeVar

from dfhost.clock import Clock
from dfhost.engine import history as h
from dfhost.engine.entities import EntityResponse
from dfhost.engine.episode import Episode
from dfhost.engine.history import Event
from dfhost.errors import DatabaseError, HostError, OperationFailed
from dfhost.store import (
    activities_and_timers,
    entities,
    episodes,
    inbox,
    instances,
    overview,
    purging,
    queues,
)
from dfhost.store import database as db
from dfhost.store.activities_and_timers import ActivityResult
from dfhost.store.database_file import DatabaseFile, PathLock, check_usable
from dfhost.store.filters import Where
from dfhost.store.inbox import InboxCursor
from dfhost.store.instance_row import InstanceRow
from dfhost.store.instances import Check
from dfhost.store.listener import InboxMessage, StoreListener
from dfhost.store.overview import ListedInstance, MapRow, Overview
from dfhost.store.queues import QueueMessage
from dfhost.store.reader import StoredTimeline, StoreReader, read_timeline
from dfhost.store.sqlite_errors import explain_sqlite_error
from dfhost.store.writer import Writer

T = TypeVar("T")


class Store(StoreReader):
    """Open with `open`, close with `close`; `path` None keeps everything in memory."""

    def __init__(self, path: Path | None, clock: Clock | None = None) -> None:
        self.path = path
        self._copied: sqlite3.Connection | None = None
        self._clock = clock or Clock()
        self._path_lock: PathLock | None = None
        self._file: DatabaseFile | None = None

    def open(self) -> None:
        """DatabaseError if the file cannot be used. Must be called in the loop that will use the store."""
        with ExitStack() as undo:
            if self.path is None:
                connection = undo.enter_context(closing(self._copied or db.open_memory()))
                self._reader, self._guard = connection, threading.Lock()
            else:
                path = Path(os.path.realpath(self.path))  # its log and its lock are beside the file itself
                check_usable(path)
                self._path_lock = PathLock(path)
                undo.callback(self._path_lock.release)
                db.create_if_missing(path)
                self._file = DatabaseFile(path)
                undo.callback(self._file.close)
                connection = undo.enter_context(closing(db.open_database(path)))
                self._reader = undo.enter_context(closing(db.connect(str(path), durable=True)))
                self._reader.execute("PRAGMA query_only = ON")
                self._file.remember()
            self._connection = connection
            self._writer = Writer(connection, str(self.path or "memory"), self._guard, self._file)
            self._writer.start()
            undo.pop_all()

    def close(self) -> None:
        self._writer.stop()
        if self._writer.file_is_lost:  # SQLite would write the log to a file that is another's by now
            _keep_open(self._reader, self._connection)
        else:
            if self._reader is not self._connection:
                self._reader.close()
            self._connection.close()
        if self._file is not None and self._path_lock is not None:
            self._file.close()
            self._path_lock.release()

    def listen(self, listener: StoreListener) -> None:
        """From now on `listener` receives what is written."""
        self._writer.listener = listener

    @property
    def commits(self) -> int:
        """How many there were since `open`."""
        return self._writer.commits

    def on_commit(self, call: Callable[[Callable[[], Store]], None]) -> None:
        """Have `call` called behind each commit, in the writer's thread, with a function that copies the store.

        The copy is a store in memory that is not open yet. If `call` raises, the store fails as if its file were
        lost: that commit stays, but nothing is acknowledged or written any more.
        """
        self._writer.on_commit = lambda: call(self._copy)

    def copy(self) -> Store:
        """Another store in memory, with everything that is committed in this one; it is not open yet."""
        with self._reading():
            return self._copy()

    def _copy(self) -> Store:
        copy = Store(None, self._clock)
        copy._copied = db.copy_to_memory(self._connection)
        return copy

    @property
    def unfinished(self) -> int:
        """How many writes were asked for and not answered yet."""
        return self._writer.unfinished

    # -- what clients ask for --------------------------------------------------------------------------------

    def start_instance(
        self, row: InstanceRow, started: Callable[[int], Event], replaces_running: bool
    ) -> asyncio.Future[None]:
        """The instance is Pending, its ExecutionStarted in its inbox. InstanceExists if its id is taken.

        `started` makes that event from the restart count: one more than that of the ended instance it replaces.
        """
        return self._writer.submit(lambda cursor: instances.start(cursor, row, started, replaces_running))

    def post_event(self, instance_id: str, event: Event, check: Check) -> asyncio.Future[None]:
        """The event is in the instance's inbox. InstanceNotFound, or what `check` raises."""
        return self._writer.submit(lambda cursor: instances.post_event(cursor, instance_id, event, check))

    def signal_entity(self, entity_id: str, request: str, at: str) -> asyncio.Future[None]:
        """The request is in the entity's inbox; a new entity has a row."""
        return self._writer.submit(lambda cursor: entities.post_request(cursor, entity_id, request, at))

    def terminate_instance(
        self, instance_id: str, *, at: str, reason: str | None, check: Check
    ) -> asyncio.Future[None]:
        """The instance is Terminated, its history says so, its open tasks are deleted.

        Its parent, if it still waits, has a failure. InstanceNotFound, or what `check` raises.
        """
        return self._writer.submit(lambda cursor: instances.terminate(cursor, instance_id, at, reason, check))

    def rewind(self, instance_id: str, *, at: str, reason: str | None, check: Check) -> asyncio.Future[None]:
        """The instance runs again from its history without the failures, and so do its failed children.

        The innermost of them find an event in their inboxes, which wakes them. InstanceNotFound, or what `check`
        raises.
        """
        return self._writer.submit(lambda cursor: instances.rewind(cursor, instance_id, at, reason, check))

    async def purge(self, instance_id: str, check: Check) -> int:
        """Nothing is left of the instance; 1, or 0 if there was none. Raises what `check` raises."""

        def operation(cursor: InboxCursor) -> tuple[int, bool]:
            return purging.purge(cursor, instance_id, check), purging.has_free_space(cursor)

        purged, has_free_space = await self._writer.submit(operation)
        if has_free_space:
            await self._writer.submit(purging.give_space_back)  # its commit does it
            await self._end_purge()
        return purged

    async def purge_where(
        self, created_from: str | None, created_to: str | None, statuses: Sequence[str]
    ) -> int:
        """Nothing is left of the instances that match; how many there were.

        Not one transaction, but one per portion: others are written in between. An instance that is started
        meanwhile stays.
        """
        where = Where(statuses, created_from, created_to)
        targets = await asyncio.to_thread(self._find_targets, where)
        purged = end = 0
        try:
            while end < len(targets):
                portion = await self._writer.submit(
                    partial(purging.purge_portion, targets=targets, start=end)
                )
                end, purged = portion.end, purged + portion.purged
        finally:
            if end:
                await self._end_purge()
        return purged

    async def _end_purge(self) -> None:
        self._writer.request_checkpoint()  # it cuts the free pages off
        await self._writer.submit(purging.keep_free_pages)

    def _find_targets(self, where: Where) -> list[purging.Target]:
        return self._read_apart(lambda reader: purging.find(reader, where))

    def _read_apart(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """What `read` returns, given a connection of its own: others read meanwhile. For another thread."""
        if self.path is None:
            with self._reading() as reader:
                return read(reader)
        try:
            with closing(db.connect_to_read(self.path)) as reader:
                reader.execute("BEGIN")  # several reads of one and the same commit
                return read(reader)
        except sqlite3.Error as error:
            raise DatabaseError(explain_sqlite_error(error, str(self.path))) from error

    # -- storage queues --------------------------------------------------------------------------------------

    def put_messages(self, queue: str, texts: Sequence[str], at: str) -> asyncio.Future[None]:
        """The messages are in the queue, in this order."""
        return self._writer.submit(lambda cursor: queues.put(cursor, queue, texts, at))

    def take_messages(self, queue: str, limit: int, at: str) -> asyncio.Future[list[QueueMessage]]:
        """The oldest messages that are visible at `at` are taken, once more each."""
        return self._writer.submit(lambda cursor: queues.take(cursor, queue, limit, at))

    def delete_message(self, message: QueueMessage) -> asyncio.Future[None]:
        """Nothing is left of the message."""
        return self._writer.submit(lambda cursor: queues.delete(cursor, message.seq))

    def give_message_back(self, message: QueueMessage, visible_at: str) -> asyncio.Future[None]:
        """The message may be taken again, from then on."""
        return self._writer.submit(lambda cursor: queues.give_back(cursor, message.seq, visible_at))

    def move_message(self, message: QueueMessage, queue: str, at: str) -> asyncio.Future[None]:
        """A copy of the message is in the other queue, and nothing is left of it here."""

        def operation(cursor: InboxCursor) -> None:
            queues.delete(cursor, message.seq)
            queues.put(cursor, queue, [message.text], at)

        return self._writer.submit(operation)

    def give_all_messages_back(self) -> asyncio.Future[None]:
        """No message is taken: what took them has died with its host."""
        return self._writer.submit(queues.give_all_back)

    def move_messages(self, queue: str, to: str, at: str) -> asyncio.Future[int]:
        """The messages of the queue, but those that are taken, are in the other one, as new; how many were moved."""
        return self._writer.submit(lambda cursor: queues.move_all(cursor, queue, to, at))

    def clear_queue(self, queue: str) -> asyncio.Future[int]:
        """The queue has no message but those that are taken; how many were deleted."""
        return self._writer.submit(lambda cursor: queues.clear(cursor, queue))

    # -- what lists of everything show -------------------------------------------------------------------------

    async def overview(self, changed_since: str, limit: int) -> Overview:
        """At most `limit` instances that were updated at `changed_since` (ISO text) or later, and all counts."""
        read = partial(overview.overview, changed_since=changed_since, limit=limit)
        return await asyncio.to_thread(self._read_apart, read)

    async def search(self, text: str, limit: int) -> list[ListedInstance]:
        """Instances that have `text` somewhere, payloads included."""
        read = partial(overview.search, text=text, limit=limit)
        return await asyncio.to_thread(self._read_apart, read)

    async def newest_open_instances(self, limit: int) -> list[tuple[str, str]]:
        """The names and ids of orchestrations that have not ended: first the newest of each name, and so on."""
        read = partial(overview.newest_open_instances, limit=limit)
        return await asyncio.to_thread(self._read_apart, read)

    async def maps(self, ended_since: str, limit: int) -> list[MapRow]:
        """Maps and other instances that say how far they are: those that run, and those that have ended since."""
        read = partial(overview.maps, ended_since=ended_since, limit=limit)
        return await asyncio.to_thread(self._read_apart, read)

    def timeline_for_thread(self, instance_id: str) -> StoredTimeline | None:
        """As `timeline`, but for another thread than the loop's: `timeline` reads from the connection of that one."""
        return self._read_apart(partial(read_timeline, instance_id=instance_id))

    def queue_lengths(self) -> dict[str, int]:
        """How many operations each entity has not processed, if any."""
        with self._reading() as reader:
            return overview.queue_lengths(reader)

    # -- what the dispatchers have done -----------------------------------------------------------------------

    def set_aside(self, message: InboxMessage, reason: str, at: str) -> None:
        """The message is no longer in an inbox but in `poison_messages`. From any thread."""
        self._writer.post(lambda cursor: inbox.set_aside(cursor, message, reason, at), _ignore_outcome)

    def show_running(self, instance_id: str, execution_id: str, at: str) -> None:
        """The instance is Running, if it was Pending."""
        self._writer.post(
            lambda cursor: episodes.show_running(cursor, instance_id, execution_id, at), _ignore_outcome
        )

    def commit_episode(
        self, episode: Episode, processed_up_to: int, then: Callable[[None, HostError | None], None]
    ) -> None:
        """The episode is history, its tasks are scheduled, the inbox is empty up to `processed_up_to`.

        StaleCommit: nothing happened. From any thread; `then` is called in the loop.
        """
        self._writer.post(lambda cursor: episodes.commit(cursor, episode, processed_up_to), then)

    def store_results(self, take: Callable[[], list[ActivityResult]]) -> None:
        """Each result is in its orchestration's inbox, unless no execution waits for it. From any thread.

        `take` is called when the transaction begins, so that results of the meantime are stored with it. A result
        that cannot be stored becomes the failure of its activity.
        """
        taken: list[ActivityResult] = []

        def operation(cursor: InboxCursor) -> None:
            taken.extend(take())  # the writer may repeat the operation: nothing that was taken is lost
            activities_and_timers.store_results(cursor, taken)

        def then(_: None, error: HostError | None) -> None:
            if isinstance(error, OperationFailed):
                for each in taken:
                    self._store_result_or_failure(each)

        self._writer.post(operation, then, is_awaited=False)

    def _store_result_or_failure(self, result: ActivityResult) -> None:
        def then(_: None, error: HostError | None) -> None:
            if isinstance(error, OperationFailed):
                event = h.task_failed(self._clock.timestamp(), result.work.activity.task_id, str(error), None)
                self._writer.post(
                    lambda cursor: activities_and_timers.store_results(
                        cursor, [result._replace(event=event)]
                    ),
                    _ignore_outcome,
                )

        self._writer.post(lambda cursor: activities_and_timers.store_results(cursor, [result]), then)

    def fire_timers(self, now: str) -> asyncio.Future[None]:
        """Every timer that is due at `now` (ISO text) has its event in its orchestration's inbox."""
        return self._writer.submit(lambda cursor: activities_and_timers.fire_timers(cursor, now))

    def commit_batch(
        self,
        entity_id: str,
        *,
        at: str,
        state: str,
        custom_status: str,
        processed_up_to: int,
        responses: Sequence[EntityResponse],
    ) -> asyncio.Future[None]:
        """The entity's state is stored, its inbox is empty up to `processed_up_to`, the callers have the responses.

        StaleCommit: the entity was purged, and perhaps signalled again; nothing happened.
        """
        return self._writer.submit(
            partial(
                entities.commit_batch,
                entity_id=entity_id,
                at=at,
                state=state,
                custom_status=custom_status,
                processed_up_to=processed_up_to,
                responses=responses,
            )
        )


def _ignore_outcome(_: None, error: HostError | None) -> None:
    """For writes that nobody waits for. The writer reports a failure (`StoreListener.operation_failed`)."""


def _keep_open(*connections: sqlite3.Connection) -> None:
    """Until the process ends, without SQLite's work at closing: frames of daemon threads are never cleared."""
    threading.Thread(target=lambda _: threading.Event().wait(), args=(connections,), daemon=True).start()
