"""The cursor that write operations get: SQL, messages into inboxes, and the events for the store's listener."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from dfhost.engine.history import Event
from dfhost.store.events import InboxMessage, InstanceRow, StoreEvent


class WriteCursor(sqlite3.Cursor):
    """One for the life of the writing connection: it numbers the messages."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self._events: list[StoreEvent] = []
        self.wants_checkpoint = False
        self._last_seq: int = self.execute(
            "SELECT coalesce(max(seq), 0) FROM (SELECT seq FROM inbox UNION ALL SELECT seq FROM entity_requests)"
        ).fetchone()[0]

    def post(
        self,
        instance_id: str,
        text: str,
        execution_id: str = "",
        event: Event | None = None,
        new_instance: InstanceRow | None = None,
    ) -> None:
        """The last message of the instance's inbox is `text`."""
        self._last_seq += 1
        message = InboxMessage(instance_id, self._last_seq, text, execution_id, event, new_instance)
        self.execute("INSERT INTO inbox VALUES (?, ?, ?, ?)", message[:4])
        self._events.append(message)

    def post_to_executions(self, addressed: Sequence[tuple[str, str, Event]]) -> None:
        """Likewise for many (instance id, execution id, event)."""
        messages = []
        for instance_id, execution_id, event in addressed:
            self._last_seq += 1
            messages.append(InboxMessage(instance_id, self._last_seq, event.text, execution_id, event))
        self.executemany("INSERT INTO inbox VALUES (?, ?, ?, ?)", [message[:4] for message in messages])
        self._events += messages

    def post_request(self, entity_id: str, request: str) -> None:
        """The last of the entity's requests is `request`."""
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
