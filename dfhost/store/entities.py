"""Requests to entities, and what a batch of them leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dfhost.engine.entities import EntityResponse
from dfhost.store.instances import EpisodeDiscarded, post_to_execution
from dfhost.store.write_cursor import WriteCursor


def post_request(cursor: WriteCursor, entity_id: str, request: str, at: str) -> None:
    cursor.execute("INSERT OR IGNORE INTO entities VALUES (?, NULL, NULL, ?)", (entity_id, at))
    cursor.post_request(entity_id, request)


def commit_batch(
    cursor: WriteCursor,
    entity_id: str,
    at: str,
    state: str,
    custom_status: str,
    consumed: int,
    answers: Sequence[EntityResponse],
    event: Callable[[EntityResponse], str],
) -> None:
    cursor.execute(
        "UPDATE entities SET state = ?, custom_status = ?, updated_at = ? WHERE entity_id = ?",
        (state, custom_status, at, entity_id),
    )
    if cursor.rowcount == 0:
        raise EpisodeDiscarded
    cursor.execute("DELETE FROM entity_requests WHERE entity_id = ? AND seq <= ?", (entity_id, consumed))
    for answer in answers:
        post_to_execution(cursor, answer.instance_id, answer.execution_id, event(answer))
