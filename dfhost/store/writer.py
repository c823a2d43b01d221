"""Group commit: one thread writes, and everything that has piled up while it did goes into its next commit.

So an fsync is paid for a group, not for an item. An operation is a function of a cursor; it must check before
it writes, since a refusal (any HostError) keeps the group going and only fails its own caller.

What a group has to tell is announced once it is written and before it is on the disk: whoever acts on it can make
that true only through this same thread, behind it. And the commit waits a moment for what that may have stirred:
mostly a result and the episode that it leads to then share one commit. Callers hear after it.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from dfhost.engine.entities import is_entity_id
from dfhost.errors import DatabaseError, HostError
from dfhost.store.database import explain_sqlite_error
from dfhost.store.events import InboxMessage, NullListener, StoreEvent, StoreListener

T = TypeVar("T")
WriteOperation = Callable[[sqlite3.Cursor], T]
#: Called in the loop with the operation's result, or None and the reason why nothing happened.
Then = Callable[[Any, "HostError | None"], None]
_Entry = tuple[WriteOperation[Any], Then]
_Outcome = tuple[Any, "HostError | None"]

# Seconds that a commit waits for what its news have stirred: a short replay and its way here take 1 to 2 ms, and what
# is spared is 0.3 ms of CPU and an fsync of 0.3 to 20 ms. In vain, the caller of a start or an event waits as much
# longer, and nobody else.
_LINGER = 0.003


class Writer:
    """Owns the writing connection from `start` to `stop`."""

    def __init__(
        self, connection: sqlite3.Connection, label: str, guard: threading.Lock | None = None
    ) -> None:
        """`guard` is held during a group where readers share the connection (in memory): no commit waits there."""
        self._connection = connection
        self._label = label
        self._guard = guard or threading.Lock()
        self._waits = guard is None
        self._queue: SimpleQueue[_Entry | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.listener: StoreListener = NullListener()
        self._published: list[StoreEvent] = []
        self.commits = 0
        self._failure: DatabaseError | None = None
        self._ending = False

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """Commit what is queued, then end. Blocks until that is done."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def submit(self, operation: WriteOperation[T]) -> asyncio.Future[T]:
        """Its result, once the commit behind it is on the disk. From the loop's thread."""
        assert self._loop is not None
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put((operation, partial(_settle, future)))
        return future

    def post(self, operation: WriteOperation[Any], then: Then) -> None:
        """Likewise, from any thread: `then` hears of the result."""
        self._queue.put((operation, then))

    def publish(self, *events: StoreEvent) -> None:
        """The listener shall hear of these with the operation that is running; for operations."""
        self._published += events

    def _run(self) -> None:
        while not self._ending:
            if group := self._gather():
                outcomes, committed = self._commit(group)
                self._in_loop(self._tell, group, outcomes, committed)
                del group, outcomes  # or they would live until the next commit

    def _in_loop(self, tell: Callable[..., None], *values: Any) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(tell, *values)
        except RuntimeError:  # the loop is closed: nobody waits for answers any more
            pass

    def _gather(self, timeout: float | None = None) -> list[_Entry]:
        """All that is queued; the first is waited for, at most `timeout` seconds."""
        group: list[_Entry] = []
        try:
            entry = self._queue.get(timeout=timeout)
            while entry is not None:
                group.append(entry)
                entry = self._queue.get_nowait()
            self._ending = True
        except Empty:
            pass
        return group

    def _commit(self, group: list[_Entry]) -> tuple[list[_Outcome], bool]:
        """What became of each entry, and whether it is on the disk. `group` grows by what its news have stirred."""
        if self._failure is not None:  # what was announced then is not there, so nothing may build on it
            return [(None, self._failure)] * len(group), False
        outcomes: list[_Outcome] = []
        with self._guard:
            cursor = self._connection.cursor()
            try:
                cursor.execute("BEGIN IMMEDIATE")
                news = self._write(cursor, group, outcomes)
                if self._waits and not self._ending and _may_lead_to_episodes(news):
                    more = self._gather(timeout=_LINGER)
                    group += more
                    self._write(cursor, more, outcomes)
                cursor.execute("COMMIT")
                self.commits += 1
            except Exception as error:  # a defect of ours, too, must fail its callers, not leave them waiting
                self._failure = self._explain(error)
                if self._connection.in_transaction:
                    self._connection.rollback()
                self._published.clear()
                self._in_loop(self.listener.store_failed, self._failure)
                return [(None, self._failure)] * len(group), False
            finally:
                cursor.close()
        return outcomes, True

    def _write(
        self, cursor: sqlite3.Cursor, group: list[_Entry], outcomes: list[_Outcome]
    ) -> Sequence[StoreEvent]:
        """Do what the group says and announce what there is to tell of it."""
        for operation, _ in group:
            try:
                outcomes.append((operation(cursor), None))
            except HostError as refusal:
                outcomes.append((None, refusal))
        news, self._published = self._published, []
        if news:
            self._in_loop(self.listener.events_written, news)
        return news

    def _tell(self, group: list[_Entry], outcomes: list[_Outcome], committed: bool) -> None:
        self.listener.commit_finished(committed)
        for (_, then), (value, error) in zip(group, outcomes, strict=True):
            then(value, error)

    def _explain(self, error: Exception) -> DatabaseError:
        if isinstance(error, sqlite3.Error):
            return DatabaseError(explain_sqlite_error(error, self._label))
        return DatabaseError(
            f"dfhost failed while it wrote to {self._label}: {error!r}. Nothing was changed."
        )


def _may_lead_to_episodes(events: Sequence[StoreEvent]) -> bool:
    """An orchestration may go on at once; an entity goes on after the commit."""
    return any(isinstance(each, InboxMessage) and not is_entity_id(each.instance_id) for each in events)


def _settle(future: asyncio.Future[Any], value: Any, error: HostError | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
