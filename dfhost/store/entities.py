"""Requests to entities, and what a batch of them leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dfhost.engine.entities import EntityResponse
from dfhost.store import statements as sql
from dfhost.store.events import InstanceRow
from dfhost.store.instances import EpisodeDiscarded, post_to_execution
from dfhost.store.write_cursor import WriteCursor


def post_request(cursor: WriteCursor, entity_id: str, request: str, at: str) -> None:
    if sql.select_status(cursor, entity_id) is None:
        sql.insert_instance(
            cursor, InstanceRow(entity_id, "", entity_id, None, "Running", None, None, None, at, at)
        )
    cursor.post(entity_id, request)


def commit_batch(
    cursor: WriteCursor,
    entity_id: str,
    at: str,
    input: str,
    custom_status: str,
    consumed: int,
    answers: Sequence[EntityResponse],
    event: Callable[[EntityResponse], str],
) -> None:
    cursor.execute(
        "UPDATE instances SET status = 'Running', input = ?, custom_status = ?, created_at = ?, updated_at = ? "
        "WHERE instance_id = ?",
        (input, custom_status, at, at, entity_id),
    )
    if cursor.rowcount == 0:
        raise EpisodeDiscarded
    cursor.execute("DELETE FROM inbox WHERE instance_id = ? AND seq <= ?", (entity_id, consumed))
    for answer in answers:
        post_to_execution(cursor, answer.instance_id, answer.execution_id, event(answer))
