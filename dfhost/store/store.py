"""The task hub's state. One public method is one transaction, named for what is true once it returns.

Writing methods return a future, or call back, after the commit. Reading methods answer at once from the last
commit (`StoreReader`). The SQL is in the modules beside this one, by verb. Knows nothing of HTTP or user code.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

from dfhost.engine.entities import EntityResponse
from dfhost.engine.episode import Episode
from dfhost.errors import HostError
from dfhost.store import database as db
from dfhost.store import entities, episodes, instances, open_tasks, purging
from dfhost.store.events import InstanceRow, StoreListener
from dfhost.store.instances import Check
from dfhost.store.open_tasks import ActivityResult, DueTimer
from dfhost.store.reader import StoreReader
from dfhost.store.statements import Where
from dfhost.store.writer import Writer


class Store(StoreReader):
    """Open with `open`, close with `close`; `path` None keeps everything in memory."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lock: db.DatabaseLock | None = None

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
        """From now on `listener` receives what is written."""
        self._writer.listener = listener

    @property
    def commits(self) -> int:
        """How many there were since `open`."""
        return self._writer.commits

    # -- what clients ask for --------------------------------------------------------------------------------

    def start_instance(
        self, row: InstanceRow, started: Callable[[int], str], replaces_running: bool
    ) -> asyncio.Future[None]:
        """The instance is Pending, its ExecutionStarted in its inbox. InstanceExists if its id is taken.

        `started` makes that event from the generation: one more than that of the ended instance it replaces.
        """
        return self._writer.submit(lambda cursor: instances.start(cursor, row, started, replaces_running))

    def post_event(self, instance_id: str, event: str, check: Check) -> asyncio.Future[None]:
        """The event is in the instance's inbox. InstanceNotFound, or what `check` raises."""
        return self._writer.submit(lambda cursor: instances.post_event(cursor, instance_id, event, check))

    def terminate_instance(
        self,
        instance_id: str,
        *,
        at: str,
        reason: str | None,
        events: Sequence[str],
        event_for_parent: Callable[[InstanceRow], str | None],
        check: Check,
    ) -> asyncio.Future[None]:
        """The instance is Terminated, its open tasks are deleted; `events` end its history.

        Its parent, if it still waits, has an event. InstanceNotFound, or what `check` raises.
        """
        return self._writer.submit(
            lambda cursor: instances.terminate(
                cursor, instance_id, at, reason, events, event_for_parent, check
            )
        )

    def rewind(self, instance_id: str, *, at: str, wake_event: str, check: Check) -> asyncio.Future[None]:
        """The instance runs again from its history without the failures, and so do its failed children.

        The innermost of them find `wake_event` in their inboxes. InstanceNotFound, or what `check` raises.
        """
        return self._writer.submit(
            lambda cursor: instances.rewind(cursor, instance_id, at, wake_event, check)
        )

    def purge(self, instance_id: str, check: Check) -> asyncio.Future[int]:
        """Nothing is left of the instance; 1, or 0 if there was none. Raises what `check` raises."""
        return self._writer.submit(lambda cursor: purging.purge(cursor, instance_id, check))

    def purge_where(
        self, created_from: str | None, created_to: str | None, statuses: Sequence[str]
    ) -> asyncio.Future[int]:
        """Nothing is left of the instances that match; how many there were."""
        where = Where(statuses, created_from, created_to)
        return self._writer.submit(lambda cursor: purging.purge_where(cursor, where))

    def signal_entity(self, entity_id: str, request: str, at: str) -> asyncio.Future[None]:
        """The request is in the entity's inbox; a new entity has a row."""
        return self._writer.submit(lambda cursor: entities.post_request(cursor, entity_id, request, at))

    # -- what the worker has done ----------------------------------------------------------------------------

    def commit_episode(
        self, episode: Episode, consumed: int, then: Callable[[None, HostError | None], None]
    ) -> None:
        """The episode is history, its tasks are scheduled, the inbox is empty up to `consumed`.

        EpisodeDiscarded: nothing happened. From any thread; `then` is called in the loop.
        """
        self._writer.post(lambda cursor: episodes.commit(cursor, episode, consumed), then)

    def store_results(self, take: Callable[[], list[ActivityResult]]) -> None:
        """Each result is in its orchestration's inbox, unless no execution waits for it. From any thread.

        `take` is called when the transaction begins, so that results of the meantime are stored with it.
        """
        self._writer.post(lambda cursor: open_tasks.store_results(cursor, take()), lambda _, error: None)

    def fire_timers(self, now: str, fired: Callable[[DueTimer], str]) -> asyncio.Future[None]:
        """Every timer that is due has its event, made by `fired`, in its orchestration's inbox."""
        return self._writer.submit(lambda cursor: open_tasks.fire_timers(cursor, now, fired))

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
        """The entity's state is stored, its inbox is empty up to `consumed`, the callers have their answers.

        EpisodeDiscarded: the entity was purged, nothing happened.
        """
        return self._writer.submit(
            partial(
                entities.commit_batch,
                entity_id=entity_id,
                at=at,
                input=input,
                custom_status=custom_status,
                consumed=consumed,
                answers=answers,
                event=event,
            )
        )
