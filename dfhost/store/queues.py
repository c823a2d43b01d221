"""The messages in the app's storage queues, from being put to being deleted."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Sequence
from typing import NamedTuple


class QueueMessage(NamedTuple):
    """`dequeue_count`: how often a function has taken it. Times are ISO texts. `is_taken`: one works on it."""

    seq: int
    queue: str
    message_id: str
    text: str
    inserted_at: str
    visible_at: str
    dequeue_count: int
    is_taken: int


class QueueLength(NamedTuple):
    """How many messages a queue has, and on how many of them a function works."""

    queue: str
    messages: int
    taken: int


_COLUMNS = ", ".join(QueueMessage._fields)


def put(cursor: sqlite3.Cursor, queue: str, texts: Sequence[str], at: str) -> None:
    cursor.executemany(
        "INSERT INTO queue_messages (queue, message_id, text, inserted_at, visible_at) VALUES (?, ?, ?, ?, ?)",
        [(queue, str(uuid.uuid4()), text, at, at) for text in texts],
    )


def take(cursor: sqlite3.Cursor, queue: str, limit: int, at: str) -> list[QueueMessage]:
    """In the order in which they have become visible, as Azurite does; so the index has them in order as well."""
    found = cursor.execute(
        "SELECT seq FROM queue_messages WHERE queue = ? AND is_taken = 0 AND visible_at <= ? "
        "ORDER BY visible_at, seq LIMIT ?",
        (queue, at, limit),
    ).fetchall()
    cursor.executemany(
        "UPDATE queue_messages SET is_taken = 1, dequeue_count = dequeue_count + 1 WHERE seq = ?", found
    )
    return [_message(cursor, seq) for (seq,) in found]


def _message(cursor: sqlite3.Cursor, seq: int) -> QueueMessage:
    row = cursor.execute(f"SELECT {_COLUMNS} FROM queue_messages WHERE seq = ?", (seq,)).fetchone()
    return QueueMessage(*row)


def delete(cursor: sqlite3.Cursor, seq: int) -> None:
    cursor.execute("DELETE FROM queue_messages WHERE seq = ?", (seq,))


def give_back(cursor: sqlite3.Cursor, seq: int, visible_at: str) -> None:
    cursor.execute("UPDATE queue_messages SET is_taken = 0, visible_at = ? WHERE seq = ?", (visible_at, seq))


def give_all_back(cursor: sqlite3.Cursor) -> None:
    cursor.execute("UPDATE queue_messages SET is_taken = 0 WHERE is_taken")


def clear(cursor: sqlite3.Cursor, queue: str) -> int:
    cursor.execute("DELETE FROM queue_messages WHERE queue = ? AND NOT is_taken", (queue,))
    return cursor.rowcount


def move_all(cursor: sqlite3.Cursor, queue: str, to: str, at: str) -> int:
    cursor.execute(
        "UPDATE queue_messages SET queue = ?, dequeue_count = 0, visible_at = ? WHERE queue = ? AND NOT is_taken",
        (to, at, queue),
    )
    return cursor.rowcount


def next_visible(reader: sqlite3.Connection, queue: str) -> str | None:
    """When the next message of the queue may be taken; None if it has none."""
    found: str | None = reader.execute(
        "SELECT min(visible_at) FROM queue_messages WHERE queue = ? AND is_taken = 0", (queue,)
    ).fetchone()[0]
    return found


def messages(reader: sqlite3.Connection, queue: str, limit: int) -> list[QueueMessage]:
    rows = reader.execute(
        f"SELECT {_COLUMNS} FROM queue_messages WHERE queue = ? ORDER BY seq LIMIT ?", (queue, limit)
    )
    return [QueueMessage(*row) for row in rows]


def lengths(reader: sqlite3.Connection) -> list[QueueLength]:
    rows = reader.execute(
        "SELECT queue, count(*), sum(is_taken) FROM queue_messages GROUP BY queue ORDER BY queue"
    )
    return [QueueLength(*row) for row in rows]
