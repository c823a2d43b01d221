"""What the store reports to its listener after a write: the messages and removals, and the listener's protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from dfhost.engine.history import Event
from dfhost.errors import DatabaseError, OperationFailed
from dfhost.store.instance_row import InstanceRow


class InboxMessage(NamedTuple):
    """One entry of an inbox: a history event, or a request to an entity.

    An event that ends a task names the execution it is for; the empty `execution_id` means any execution.
    """

    instance_id: str
    seq: int
    text: str
    execution_id: str = ""
    #: What `text` is the text of; not stored, so None where the message was loaded.
    event: Event | None = None
    #: The instance that this message starts; not stored.
    new_instance: InstanceRow | None = None
    to_entity: bool = False


class InstanceRemoved(NamedTuple):
    """A client has terminated the instance (`is_terminated`, for the `reason`), or purged it."""

    instance_id: str
    is_entity: bool = False
    is_terminated: bool = False
    reason: str | None = None


class InstanceRewound(NamedTuple):
    """A client has rewound the instance, or one that has called it. `timers`: when those that are open are due."""

    instance_id: str
    name: str
    reason: str | None
    timers: Sequence[str] = ()


StoreEvent = InboxMessage | InstanceRemoved | InstanceRewound


class StoreListener(Protocol):
    """Called in the store's loop, in the order of the writes."""

    def events_written(self, events: Sequence[StoreEvent]) -> bool:
        """These are written, but not on the disk yet: whatever follows from them is committed after them.

        Returns whether an episode will follow at once: the commit waits a moment for it then.
        """
        ...

    def commit_finished(self, committed: bool) -> None:
        """All that was written so far is on the disk, or (False) never will be. The callers are answered next."""

    def all_answered(self) -> None:
        """The callers of that commit were answered."""

    def operation_failed(self, error: OperationFailed) -> None:
        """One operation has failed unexpectedly; its caller gets the same error."""

    def store_failed(self, error: DatabaseError) -> None:
        """The file can no longer be written. Called once."""


class NullListener:
    """Ignores everything."""

    def events_written(self, events: Sequence[StoreEvent]) -> bool:
        return False

    def commit_finished(self, committed: bool) -> None:
        pass

    def all_answered(self) -> None:
        pass

    def operation_failed(self, error: OperationFailed) -> None:
        pass

    def store_failed(self, error: DatabaseError) -> None:
        pass
