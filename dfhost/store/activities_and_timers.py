"""Activities that have no result yet and timers that have not fired."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from dfhost.engine import history as h
from dfhost.engine.episode import ScheduledActivity
from dfhost.engine.history import Event
from dfhost.store.inbox import InboxCursor

KEPT_INPUT = 4_000  # characters of an activity's input that are kept once it has ended


class ActivityWorkItem(NamedTuple):
    """An activity to run."""

    instance_id: str
    execution_id: str
    activity: ScheduledActivity


class ActivityResult(NamedTuple):
    """`event` is the activity's TaskCompleted or TaskFailed; `started_at`: when it began to run.

    `worker`: the pid of the worker process that ran it, None if the host did.
    """

    work: ActivityWorkItem
    event: Event
    started_at: str | None = None
    worker: int | None = None


def unfinished_activities(reader: sqlite3.Connection) -> list[ActivityWorkItem]:
    found = reader.execute(
        "SELECT instance_id, execution_id, task_id, name, activities.input, coalesce(attempt, 1), "
        "coalesce(max_attempts, 1) FROM activities LEFT JOIN task_facts USING (instance_id, task_id) "
        "ORDER BY created_at, instance_id, task_id"
    )
    return [ActivityWorkItem(i, e, ScheduledActivity(*activity)) for i, e, *activity in found]


def store_results(cursor: InboxCursor, results: Sequence[ActivityResult]) -> None:
    wanted, started = [], []
    for work, event, started_at, worker in results:
        cursor.execute(
            "DELETE FROM activities WHERE instance_id = ? AND task_id = ? AND execution_id = ?",
            (work.instance_id, work.activity.task_id, work.execution_id),
        )
        if cursor.rowcount:
            wanted.append((work.instance_id, work.execution_id, event))
            activity = work.activity
            started.append(
                (work.instance_id, activity.task_id, started_at, activity.input[:KEPT_INPUT], worker)
            )
    cursor.executemany(
        "INSERT INTO task_facts (instance_id, task_id, started_at, input, worker) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (instance_id, task_id) DO UPDATE "
        "SET started_at = excluded.started_at, input = excluded.input, worker = excluded.worker",
        started,
    )
    cursor.add_messages(wanted)


def keep_inputs(cursor: sqlite3.Cursor, instance_id: str) -> None:
    """Keep the inputs of its activities without a result, which are about to be deleted."""
    cursor.execute(
        "INSERT INTO task_facts (instance_id, task_id, input) "
        f"SELECT instance_id, task_id, substr(input, 1, {KEPT_INPUT}) FROM activities WHERE instance_id = ? "
        "ON CONFLICT (instance_id, task_id) DO UPDATE SET input = excluded.input",
        (instance_id,),
    )


def fire_timers(cursor: InboxCursor, now: str) -> None:
    due = cursor.execute(
        "SELECT instance_id, execution_id, timer_id, fire_at FROM timers WHERE fire_at <= ? ORDER BY fire_at",
        (now,),
    ).fetchall()
    cursor.execute("DELETE FROM timers WHERE fire_at <= ?", (now,))
    for instance_id, execution_id, timer_id, fire_at in due:
        cursor.add_message(instance_id, h.timer_fired(now, timer_id, fire_at), execution_id)
