"""Adds messages to the inboxes of instances and entities.

A raised event, the result of an activity, an entity's request: each becomes a row here, in the transaction of the
operation that caused it. `InboxCursor` is the cursor that every write operation gets. It also collects what the
store's listener learns after the write.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from dfhost.engine.history import Event
from dfhost.store.instance_row import InstanceRow
from dfhost.store.listener import InboxMessage, StoreEvent


class InboxCursor(sqlite3.Cursor):
    """One for the life of the writing connection: it numbers the messages."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self._events: list[StoreEvent] = []
        self._last_seq: int = self.execute(
            "SELECT coalesce(max(seq), 0) FROM (SELECT seq FROM inbox UNION ALL SELECT seq FROM entity_requests)"
        ).fetchone()[0]

    def add_message(
        self,
        instance_id: str,
        event: Event,
        execution_id: str = "",
        new_instance: InstanceRow | None = None,
    ) -> None:
        """Add the event to the instance's inbox: for the execution of this id, or for any ("")."""
        self._last_seq += 1
        message = InboxMessage(instance_id, self._last_seq, event.text, execution_id, event, new_instance)
        self.execute("INSERT INTO inbox VALUES (?, ?, ?, ?)", message[:4])
        self._events.append(message)

    def add_messages(self, addressed: Sequence[tuple[str, str, Event]]) -> None:
        """Add many events to inboxes. `addressed`: (instance id, execution id, event)."""
        messages = []
        for instance_id, execution_id, event in addressed:
            self._last_seq += 1
            messages.append(InboxMessage(instance_id, self._last_seq, event.text, execution_id, event))
        self.executemany("INSERT INTO inbox VALUES (?, ?, ?, ?)", [message[:4] for message in messages])
        self._events += messages

    def add_request(self, entity_id: str, request: str) -> None:
        """Add `request` to the inbox of the entity."""
        self._last_seq += 1
        self.execute("INSERT INTO entity_requests VALUES (?, ?, ?)", (entity_id, self._last_seq, request))
        self._events.append(InboxMessage(entity_id, self._last_seq, request, to_entity=True))

    def publish(self, *events: StoreEvent) -> None:
        """The listener receives these with the messages of the same group, in order."""
        self._events += events

    def take_events(self) -> list[StoreEvent]:
        """All events since the last call."""
        events, self._events = self._events, []
        return events


def set_aside(cursor: InboxCursor, message: InboxMessage, reason: str, at: str) -> None:
    instance_id, seq = message.instance_id, message.seq
    if message.to_entity:
        cursor.execute("DELETE FROM entity_requests WHERE entity_id = ? AND seq = ?", (instance_id, seq))
    else:
        cursor.execute("DELETE FROM inbox WHERE instance_id = ? AND seq = ?", (instance_id, seq))
    if cursor.rowcount:  # it may have been purged with its instance
        cursor.execute(
            "INSERT INTO poison_messages VALUES (?, ?, ?, ?, ?)",
            (instance_id, message.text, message.execution_id, reason, at),
        )
