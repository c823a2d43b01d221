"""Group commit: one thread writes, and everything that piles up during a commit goes into the next one.

So an fsync is paid per group, not per operation. An operation is a function of a cursor. It must check before it
writes: a refusal (any HostError) fails its own caller alone, and what it wrote before would be committed.
If an operation fails in any other way, its group is rolled back and repeated, and only that operation left out.

A group's events reach the listener once they are written and before they are on the disk: whatever the listener
does about them is written by this same thread, after them. If they lead to episodes, the commit waits a moment for
these: so a result and its episode share one commit. Callers are answered after the commit.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeVar

from dfhost.errors import DatabaseError, DatabaseLost, HostError, OperationFailed
from dfhost.store.database import LOG_BYTES, checkpoint
from dfhost.store.database_file import DatabaseFile
from dfhost.store.inbox import InboxCursor
from dfhost.store.listener import InboxMessage, NullListener, StoreEvent, StoreListener
from dfhost.store.sqlite_errors import explain_refusal, explain_sqlite_error, is_file_error

T = TypeVar("T")
WriteOperation = Callable[[InboxCursor], T]
#: Called in the loop with the operation's result, or with None and the reason why nothing happened.
OnOutcome = Callable[[Any, "HostError | None"], None]
_Outcome = tuple[Any, "HostError | None"]

# Seconds that a commit waits for the episodes that its events lead to. A short replay and its way here take 1 to
# 2 ms; one commit less saves 0.3 ms of CPU and an fsync of 0.3 to 20 ms.
_EPISODE_WAIT_SECONDS = 0.003
# Seconds that a commit goes on waiting while results of activities come in that nobody waits for.
_LONGEST_GATHERING_SECONDS = 0.012
# Seconds after which a writer that has nothing to do looks whether its file is still there.
_IDLE_CHECK_SECONDS = 1.0


class _QueuedWrite(NamedTuple):
    """`is_awaited`: whether something goes on once this is on the disk."""

    operation: WriteOperation[Any]
    on_outcome: OnOutcome
    is_awaited: bool


class _NothingFollows:
    """An entry of the queue: no episode will come that the commit waits for."""


class Writer:
    """Owns the writing connection from `start` to `stop`."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        label: str,
        guard: threading.Lock | None = None,
        file: DatabaseFile | None = None,
    ) -> None:
        """`file` is checked at every commit, and now and then while there are none.

        `guard` is held during a group where readers share the connection (in memory). No commit waits for episodes
        there.
        """
        self._connection = connection
        self._cursor = InboxCursor(connection)
        self._label = label
        self._guard = guard or threading.Lock()
        self._waits_for_episodes = guard is None
        self._file = file
        self._checkpoint_at = LOG_BYTES
        self._checkpoint_requested = False
        self._log_bytes = 0
        self._queue: SimpleQueue[_QueuedWrite | _NothingFollows | None] = SimpleQueue()
        self._holds_callers = False  # callers wait, since the commit waits for the episodes that it leads to
        self._unanswered: deque[None] = deque()  # one entry for each operation; its methods are atomic
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.listener: StoreListener = NullListener()
        self.commits = 0
        self.on_commit: Callable[[], None] = lambda: None  # in the writer's thread; may raise
        self._failure: DatabaseError | None = None
        self._stopping = False

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """Commit what is queued, then end. Blocks until that is done."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    @property
    def unfinished(self) -> int:
        """How many operations were accepted and not answered yet."""
        return len(self._unanswered)

    @property
    def file_is_lost(self) -> bool:
        return isinstance(self._failure, DatabaseLost)

    def request_checkpoint(self) -> None:
        """Have the log written to the file after the next commit, however short it is."""
        self._checkpoint_requested = True

    def submit(self, operation: WriteOperation[T]) -> asyncio.Future[T]:
        """The operation's result, once it is on the disk. From the loop's thread."""
        assert self._loop is not None
        future: asyncio.Future[T] = self._loop.create_future()
        self.post(operation, partial(_resolve, future))
        return future

    def post(self, operation: WriteOperation[Any], on_outcome: OnOutcome, is_awaited: bool = True) -> None:
        """Queue the operation, from any thread. `on_outcome` receives its result, once that is on the disk.

        What is not awaited may lie there for some milliseconds, so that others share its commit.
        """
        self._unanswered.append(None)
        self._queue.put(_QueuedWrite(operation, on_outcome, is_awaited))

    # -- in the writer's thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping:
            was_idle = True
            if group := self._gather(_IDLE_CHECK_SECONDS if self._file else None):
                outcomes, committed = self._commit(group)
                self._call_in_loop(self._answer, group, outcomes, committed)
                was_idle = False
                del group, outcomes  # or they would live until the next commit
            if self._file is not None and self._failure is None:
                try:
                    self._check_file_and_log(self._file, was_idle)
                except Exception as error:
                    self._fail(error)

    def _check_file_and_log(self, file: DatabaseFile, was_idle: bool) -> None:
        """While no caller waits: look whether the file is still there, and keep its log short."""
        if was_idle:
            self._log_bytes = file.check()
        if self._log_bytes > self._checkpoint_at or self._checkpoint_requested:
            self._checkpoint_requested = False
            file.check()
            checkpoint(self._connection)
            file.remember_length()
            self._log_bytes = length = file.check()
            # A program that is reading keeps the log from being emptied; the next attempt comes later then.
            self._checkpoint_at = LOG_BYTES if length <= LOG_BYTES else length + LOG_BYTES

    def _gather(self, timeout: float | None = None) -> list[_QueuedWrite]:
        """All that is queued; waits for the first entry, at most `timeout` seconds."""
        group: list[_QueuedWrite] = []
        try:
            entry = self._queue.get(timeout=timeout)
            while entry is not None:
                if isinstance(entry, _QueuedWrite):
                    group.append(entry)
                entry = self._queue.get_nowait()
            self._stopping = True
        except Empty:
            pass
        return group

    def _commit(self, group: list[_QueuedWrite]) -> tuple[list[_Outcome], bool]:
        """Each operation's outcome, and whether it is on the disk.

        What is queued while it waits for episodes joins `group`.
        """
        # The listener may have acted on events that were rolled back, so nothing more is written.
        if self._failure is not None:
            return [(None, self._failure)] * len(group), False
        outcomes: list[_Outcome] = []
        with self._guard:
            cursor = self._cursor
            try:
                cursor.execute("BEGIN IMMEDIATE")
                events = self._write(group, outcomes)
                waits = self._waits_for_episodes and _may_lead_to_episodes(events)
                is_awaited = any(write.is_awaited for write in group)
                self._holds_callers = waits and is_awaited
                self._publish(events)
                if waits:
                    self._write_what_follows(group, outcomes, is_awaited)
                cursor.execute("COMMIT")
                self.commits += 1
                self.on_commit()
                if self._file is not None:  # nothing in a lost file may be acknowledged
                    self._log_bytes = self._file.check()
            except Exception as error:
                failure = self._fail(error)
                return [(None, failure)] * len(group), False
        return outcomes, True

    def _write_what_follows(
        self, group: list[_QueuedWrite], outcomes: list[_Outcome], is_awaited: bool
    ) -> None:
        """Wait a moment for the episodes that the group leads to. They join it, and what else comes before them."""
        latest = time.perf_counter() + _LONGEST_GATHERING_SECONDS
        while not self._stopping:
            left = latest - time.perf_counter()
            more = self._gather(timeout=max(0.0, min(left, _EPISODE_WAIT_SECONDS)))
            self._holds_callers = False
            if not more:
                return
            group += more
            self._publish(self._write(more, outcomes))
            if is_awaited or any(write.is_awaited for write in more):
                return

    def _fail(self, error: Exception) -> DatabaseError:
        """Nothing is written from now on."""
        if self._file is not None:  # the true cause, if SQLite was the first to notice
            try:
                self._file.check()
            except (DatabaseLost, OSError) as cause:
                error = cause
        self._failure = error if isinstance(error, DatabaseError) else self._explain(error)
        with suppress(
            sqlite3.Error
        ):  # a failing disk; then SQLite rolls back when somebody opens the file again
            if self._connection.in_transaction:
                self._connection.rollback()
        self._cursor.take_events()
        self._call_in_loop(self.listener.store_failed, self._failure)
        return self._failure

    def _write(self, group: list[_QueuedWrite], outcomes: list[_Outcome]) -> Sequence[StoreEvent]:
        """Carry out the group's operations; their events."""
        cursor = self._cursor
        cursor.execute("SAVEPOINT operations")
        try:
            done = [_carry_out(cursor, write.operation) for write in group]
        except Exception as error:
            if is_file_error(error):
                raise
            cursor.execute("ROLLBACK TO operations")
            cursor.take_events()
            done = [self._carry_out_alone(write.operation) for write in group]
        cursor.execute("RELEASE operations")
        outcomes += done
        return cursor.take_events()

    def _publish(self, events: Sequence[StoreEvent]) -> None:
        if events:
            self._call_in_loop(self._pass_on, events)

    def _carry_out_alone(self, operation: WriteOperation[Any]) -> _Outcome:
        """Whatever the operation raises, the others of its group go on as if it had not been asked for."""
        cursor = self._cursor
        before = cursor.take_events()
        cursor.execute("SAVEPOINT operation")
        try:
            outcome = _carry_out(cursor, operation)
        except Exception as error:
            if is_file_error(error):
                raise
            cursor.execute("ROLLBACK TO operation")
            cursor.take_events()
            failure = OperationFailed(
                f"dfhost could not write to {self._label}: {explain_refusal(error)}. Nothing was changed."
            )
            self._call_in_loop(self.listener.operation_failed, failure)
            outcome = None, failure
        cursor.execute("RELEASE operation")
        cursor.publish(*before, *cursor.take_events())
        return outcome

    def _call_in_loop(self, function: Callable[..., None], *values: Any) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(function, *values)
        except RuntimeError:  # the loop is closed: nobody waits for answers any more
            pass

    def _explain(self, error: Exception) -> DatabaseError:
        if isinstance(error, sqlite3.Error):
            return DatabaseError(explain_sqlite_error(error, self._label))
        if isinstance(error, OSError):
            return DatabaseError(f"{self._label} cannot be read any more: {error.strerror}.")
        return DatabaseError(f"dfhost failed while it wrote to {self._label}: {error!r}.")

    # -- in the loop -----------------------------------------------------------------------------------------

    def _pass_on(self, events: Sequence[StoreEvent]) -> None:
        if not self.listener.events_written(events) and self._holds_callers:
            self._queue.put(_NothingFollows())

    def _answer(self, group: list[_QueuedWrite], outcomes: list[_Outcome], committed: bool) -> None:
        self._call_safely(self.listener.commit_finished, committed)
        for write, outcome in zip(group, outcomes, strict=True):
            self._call_safely(write.on_outcome, *outcome)
            self._unanswered.pop()
        self._call_safely(self.listener.all_answered)

    def _call_safely(self, function: Callable[..., None], *values: Any) -> None:
        """Whoever raises must not keep the others from their answers."""
        try:
            function(*values)
        except Exception as error:
            assert self._loop is not None
            self._loop.call_exception_handler(
                {"message": "A callback of the store failed", "exception": error}
            )


def _carry_out(cursor: InboxCursor, operation: WriteOperation[Any]) -> _Outcome:
    try:
        return operation(cursor), None
    except HostError as refusal:
        return None, refusal


def _may_lead_to_episodes(events: Sequence[StoreEvent]) -> bool:
    """An orchestration may go on at once; an entity goes on after the commit."""
    return any(isinstance(each, InboxMessage) and not each.to_entity for each in events)


def _resolve(future: asyncio.Future[Any], value: Any, error: HostError | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
