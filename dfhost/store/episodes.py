"""What an orchestration's episodes write: that they have begun, and all that each has brought about, or nothing."""

from __future__ import annotations

import sqlite3

from dfhost.engine import history as h
from dfhost.engine.episode import Episode, ScheduledChild, child_refused
from dfhost.runtime_status import FINAL_STATUSES
from dfhost.store import statements as sql
from dfhost.store.entities import post_request
from dfhost.store.errors import StaleCommit
from dfhost.store.inbox import InboxCursor
from dfhost.store.instance_row import InstanceRow
from dfhost.store.instances import post_to_execution


def show_running(cursor: InboxCursor, instance_id: str, execution_id: str, at: str) -> None:
    cursor.execute(
        "UPDATE instances SET status = 'Running', updated_at = ? "
        "WHERE instance_id = ? AND execution_id = ? AND status = 'Pending'",
        (at, instance_id, execution_id),
    )


def commit(cursor: InboxCursor, episode: Episode, processed_up_to: int) -> None:
    """StaleCommit before anything is written. `processed_up_to`: the number of the last message it has processed."""
    instance_id, execution_id, at = episode.instance_id, episode.execution_id, episode.at
    _update_instance(cursor, episode)
    if episode.next_generation is None:
        sql.insert_history(cursor, instance_id, episode.first_position, episode.stored_texts)
        cursor.executemany(
            "INSERT OR IGNORE INTO task_facts (instance_id, task_id, cancelled_at) VALUES (?, ?, ?)",
            [(instance_id, timer_id, at) for timer_id in episode.cancelled_timers],
        )
    else:  # its timers' ids are given again
        _begin_generation(cursor, episode)
    if processed_up_to:
        cursor.execute("DELETE FROM inbox WHERE instance_id = ? AND seq <= ?", (instance_id, processed_up_to))
    if episode.ends_instance:
        sql.delete_activities_and_timers(cursor, instance_id)
        cursor.execute("DELETE FROM inbox WHERE instance_id = ?", (instance_id,))
    cursor.executemany(
        "INSERT INTO activities VALUES (?, ?, ?, ?, ?, ?)",
        [(instance_id, a.task_id, execution_id, a.name, a.input, at) for a in episode.activities],
    )
    cursor.executemany(
        "INSERT OR REPLACE INTO task_facts VALUES (?, ?, ?, ?, ?, NULL, NULL, NULL, NULL)",
        [(instance_id, *attempt) for attempt in episode.attempts],
    )
    # What an old generation has begun has ended with it; a timer that it has cancelled has not fired.
    timers = episode.timers if episode.next_generation is None else []
    cursor.executemany(
        "INSERT INTO timers VALUES (?, ?, ?, ?)",
        [(t.fire_at, instance_id, t.timer_id, execution_id) for t in timers if t.fire_at > at],
    )
    for timer in timers:
        if timer.fire_at <= at:
            cursor.add_message(instance_id, h.timer_fired(at, timer.timer_id, timer.fire_at), execution_id)
    for child in episode.children:
        _start_child(cursor, episode, child)
    for message in episode.entity_messages:
        post_request(cursor, message.entity_id, message.request, at)
    if episode.ends_instance and episode.parent is not None:
        parent = episode.parent
        post_to_execution(cursor, parent.instance_id, parent.execution_id, episode.result_for_parent())


def _update_instance(cursor: sqlite3.Cursor, episode: Episode) -> None:
    following = episode.next_generation
    if following is not None:
        _count_generation(cursor, episode)
    changes = ["status = ?", "updated_at = ?", "needs_episode = ?"]
    values: list[object] = [
        "Running" if following is not None else episode.status,
        episode.at,
        int(following is not None or episode.has_more_commands),
    ]
    if episode.sets_output:
        changes.append("output = ?")
        values.append(episode.output)
    if episode.custom_status is not None:
        changes.append("custom_status = ?")
        values.append(None if episode.custom_status == "null" else episode.custom_status)
    if following is not None:
        changes += ["execution_id = ?", "input = ?", "created_at = ?"]
        values += [following.execution_id, following.input, episode.at]
    cursor.execute(
        f"UPDATE instances SET {', '.join(changes)} "
        f"WHERE instance_id = ? AND execution_id = ? AND status NOT IN {sql.FINAL_SQL}",
        (*values, episode.instance_id, episode.execution_id),
    )
    if cursor.rowcount == 0:
        raise StaleCommit


def _count_generation(cursor: sqlite3.Cursor, episode: Episode) -> None:
    """Before the first generation's times and input are replaced. Nothing is written if the commit is stale."""
    cursor.execute(
        "INSERT INTO first_generations SELECT instance_id, 2, created_at, coalesce((SELECT "
        "json_extract(event, '$.Timestamp') FROM history WHERE history.instance_id = instances.instance_id "
        "AND seq = 0 AND json_valid(event)), ?), input FROM instances "
        f"WHERE instance_id = ? AND execution_id = ? AND status NOT IN {sql.FINAL_SQL} "
        "ON CONFLICT (instance_id) DO UPDATE SET generations = generations + 1",
        (episode.at, episode.instance_id, episode.execution_id),
    )


def _begin_generation(cursor: sqlite3.Cursor, episode: Episode) -> None:
    """Nothing is left of the old generation but the messages that are for any execution."""
    assert episode.next_generation is not None
    instance_id = episode.instance_id
    cursor.execute("DELETE FROM history WHERE instance_id = ?", (instance_id,))
    cursor.execute("DELETE FROM task_facts WHERE instance_id = ?", (instance_id,))
    sql.delete_activities_and_timers(cursor, instance_id)
    cursor.execute(
        "DELETE FROM inbox WHERE instance_id = ? AND execution_id = ?", (instance_id, episode.execution_id)
    )
    sql.insert_history(cursor, instance_id, 0, [event.text for event in episode.next_generation.history])


def _start_child(cursor: InboxCursor, episode: Episode, child: ScheduledChild) -> None:
    status = sql.select_status(cursor, child.instance_id)
    if status is not None:
        if status not in FINAL_STATUSES:
            refusal = child_refused(child, status, episode.at)
            cursor.add_message(episode.instance_id, refusal, episode.execution_id)
            return
        sql.delete_instance(cursor, child.instance_id)
    row = InstanceRow(
        child.instance_id, child.execution_id, child.name, child.version, "Pending", child.input, None, None,
        episode.at, episode.at, episode.instance_id, episode.execution_id, child.task_id,
    )  # fmt: skip
    sql.insert_instance(cursor, row)
    cursor.add_message(child.instance_id, child.started, new_instance=row)
