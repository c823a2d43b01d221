"""What the store holds of an instance, and what it tells its listener: values, and the listener's protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from dfhost.engine.episode import Parent
from dfhost.engine.history import Event
from dfhost.errors import DatabaseError

FINISHED = ("Completed", "Failed", "Terminated", "Canceled")


class InstanceRow(NamedTuple):
    """An instance as stored; times are ISO texts."""

    instance_id: str
    execution_id: str
    name: str
    version: str | None
    status: str
    input: str | None
    output: str | None
    custom_status: str | None
    created_at: str
    updated_at: str
    parent_id: str | None = None
    parent_execution: str | None = None
    parent_task: int | None = None

    @property
    def finished(self) -> bool:
        return self.status in FINISHED

    @property
    def parent(self) -> Parent | None:
        if self.parent_id is None or self.parent_execution is None or self.parent_task is None:
            return None
        return Parent(self.parent_id, self.parent_execution, self.parent_task)


class InboxMessage(NamedTuple):
    """One entry of an inbox: a history event, or a request to an entity.

    What ends a task names the execution it is for; the empty `execution_id` means whichever there is.
    """

    instance_id: str
    seq: int
    text: str
    execution_id: str = ""
    #: The text's event, where the sender had it at hand, and the instance that begins with it; not stored here.
    event: Event | None = None
    born: InstanceRow | None = None


class InstanceRemoved(NamedTuple):
    """News of an instance that was ended or purged from outside."""

    instance_id: str


StoreEvent = InboxMessage | InstanceRemoved


class StoreListener(Protocol):
    """Hears in the store's loop, in the order of the writes."""

    def events_written(self, events: Sequence[StoreEvent]) -> None:
        """These are written, but not on the disk yet: whatever follows from them is committed behind them."""

    def commit_finished(self, committed: bool) -> None:
        """All that was written so far is on the disk, or (False) never will be. Then the callers hear."""

    def store_failed(self, error: DatabaseError) -> None:
        """The file can no longer be written. Said once."""


class NullListener:
    """Listens to nothing."""

    def events_written(self, events: Sequence[StoreEvent]) -> None:
        pass

    def commit_finished(self, committed: bool) -> None:
        pass

    def store_failed(self, error: DatabaseError) -> None:
        pass
