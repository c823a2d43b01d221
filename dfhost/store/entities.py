"""Requests to entities, and what a batch of them leaves."""

from __future__ import annotations

from collections.abc import Sequence

from dfhost.engine import history as h
from dfhost.engine.entities import EntityResponse
from dfhost.store.errors import StaleCommit
from dfhost.store.inbox import InboxCursor
from dfhost.store.instances import post_to_execution


def post_request(cursor: InboxCursor, entity_id: str, request: str, at: str) -> None:
    cursor.execute("INSERT OR IGNORE INTO entities VALUES (?, NULL, NULL, ?)", (entity_id, at))
    cursor.add_request(entity_id, request)


def commit_batch(
    cursor: InboxCursor,
    entity_id: str,
    at: str,
    state: str,
    custom_status: str,
    processed_up_to: int,
    responses: Sequence[EntityResponse],
) -> None:
    """StaleCommit before anything is written. `processed_up_to`: 0 if all requests of the batch were set aside."""
    cursor.execute(
        "DELETE FROM entity_requests WHERE entity_id = ? AND seq <= ?", (entity_id, processed_up_to)
    )
    if processed_up_to and cursor.rowcount == 0:  # they were purged, and the entity may be there again
        raise StaleCommit
    cursor.execute(
        "UPDATE entities SET state = ?, custom_status = ?, updated_at = ? WHERE entity_id = ?",
        (state, custom_status, at, entity_id),
    )
    if cursor.rowcount == 0:
        raise StaleCommit
    for response in responses:
        event = h.event_raised(at, response.request_id, response.text)
        post_to_execution(cursor, response.instance_id, response.execution_id, event)
