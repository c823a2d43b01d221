"""The life of an instance as a client drives it: started, sent an event, terminated, rewound."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping

from dfhost.engine import history as h
from dfhost.engine.entities import is_entity_id
from dfhost.engine.execution_info import Parent
from dfhost.engine.history import Event
from dfhost.engine.rewind import open_tasks, rewind_history
from dfhost.errors import InstanceExists, InstanceNotFound
from dfhost.runtime_status import FINAL_STATUSES
from dfhost.store import activities_and_timers
from dfhost.store import statements as sql
from dfhost.store.inbox import InboxCursor
from dfhost.store.instance_row import InstanceRow
from dfhost.store.listener import InstanceRemoved, InstanceRewound

#: How those inbox messages begin that tell of the end of a task.
_ENDS = tuple(map(h.prefix_of, h.AWAITABLE))
#: And those history events that tell of the beginning of a call.
_CALLS = tuple(map(h.prefix_of, (h.TASK_SCHEDULED, h.SUB_ORCHESTRATION_CREATED)))

#: Raises the HostError by which an operation is refused on this instance.
Check = Callable[[InstanceRow], None]


def start(
    cursor: InboxCursor, row: InstanceRow, started: Callable[[int], Event], replaces_running: bool
) -> None:
    status = sql.select_status(cursor, row.instance_id)
    restart_count = 0
    if status is None and is_entity_id(row.instance_id) and sql.select_entity(cursor, row.instance_id):
        raise InstanceExists("Running")  # an entity shows as an instance of this id
    if status is not None:
        if status not in FINAL_STATUSES and not replaces_running:
            raise InstanceExists(status)
        restart_count = 1 + _restart_count(cursor, row.instance_id)
        sql.delete_instance(cursor, row.instance_id)
    sql.insert_instance(cursor, row)
    cursor.add_message(row.instance_id, started(restart_count), new_instance=row)


def post_event(cursor: InboxCursor, instance_id: str, event: Event, check: Check) -> None:
    if not existing_instance(cursor, instance_id, check).is_entity:  # that takes nothing but requests
        cursor.add_message(instance_id, event)


def terminate(cursor: InboxCursor, instance_id: str, at: str, reason: str | None, check: Check) -> None:
    row = existing_instance(cursor, instance_id, check)
    if row.is_entity:  # nor can it be terminated: the extension ignores that, too
        return
    cursor.publish(InstanceRemoved(instance_id, is_terminated=True, reason=reason))
    cursor.execute("SELECT coalesce(max(seq) + 1, 0) FROM history WHERE instance_id = ?", (instance_id,))
    base = cursor.fetchone()[0]
    begin, *end = (event.text for event in h.terminated_history(at, reason))
    # As on Azure, where results that have come before are in the same batch of messages as the termination.
    sql.insert_history(cursor, instance_id, base, [begin, *_unprocessed_ends(cursor, row), *end])
    activities_and_timers.keep_inputs(cursor, instance_id)
    sql.delete_activities_and_timers(cursor, instance_id)
    cursor.execute("DELETE FROM inbox WHERE instance_id = ?", (instance_id,))
    cursor.execute(
        "UPDATE instances SET status = 'Terminated', output = ?, updated_at = ?, needs_episode = 0 "
        "WHERE instance_id = ?",
        (reason, at, instance_id),
    )
    if (parent := row.parent) is not None:
        failed = h.sub_orchestration_failed(at, parent.task_id, reason, None)
        post_to_execution(cursor, parent.instance_id, parent.execution_id, failed)


def _unprocessed_ends(cursor: sqlite3.Cursor, row: InstanceRow) -> list[str]:
    """The results and events that have come and that no episode has processed."""
    found = cursor.execute(
        "SELECT event FROM inbox WHERE instance_id = ? AND execution_id IN ('', ?) AND json_valid(event) "
        "ORDER BY seq",
        (row.instance_id, row.execution_id),
    )
    return [text for (text,) in found if text.startswith(_ENDS)]


def rewind(cursor: InboxCursor, instance_id: str, at: str, reason: str | None, check: Check) -> None:
    _rewind(cursor, existing_instance(cursor, instance_id, check), at, reason)


def _rewind(cursor: InboxCursor, row: InstanceRow, at: str, reason: str | None) -> None:
    instance_id = row.instance_id
    past = list(sql.select_events(cursor, "history", instance_id))
    tasks = open_tasks(past)
    due, later = _open_timers(cursor, instance_id, tasks.timers, at)
    cursor.publish(InstanceRewound(instance_id, row.name, reason, tuple(later.values())))
    ended, failed, lost = _open_children(cursor, row, tasks.children, at)
    begin_anew = tasks.activities | lost
    events, children = rewind_history(
        past, begin_anew | failed, lambda task_id, child: _is_failed(_child(cursor, row, task_id, child))
    )
    cursor.execute("DELETE FROM history WHERE instance_id = ?", (instance_id,))
    sql.insert_history(cursor, instance_id, 0, events)
    # What has begun an attempt may be gone. Of the others the facts stay: nothing else has their inputs.
    kept = [json.loads(text)["EventId"] for text in events if text.startswith(_CALLS)]
    cursor.execute(
        "DELETE FROM task_facts WHERE instance_id = ? AND attempt IS NOT NULL "
        "AND task_id NOT IN (SELECT value FROM json_each(?))",
        (instance_id, json.dumps(kept)),
    )
    cursor.execute(
        "UPDATE instances SET status = 'Running', output = NULL, updated_at = ? WHERE instance_id = ?",
        (at, instance_id),
    )
    for timer_id, fire_at in later.items():
        cursor.execute(
            "INSERT INTO timers VALUES (?, ?, ?, ?)", (fire_at, instance_id, timer_id, row.execution_id)
        )
        cursor.execute(
            "DELETE FROM task_facts WHERE instance_id = ? AND task_id = ?", (instance_id, timer_id)
        )
    fired = [h.timer_fired(at, timer_id, fire_at) for timer_id, fire_at in due.items()]
    for event in (*fired, *ended):
        cursor.add_message(instance_id, event, row.execution_id)
    for child_id in children:
        child = sql.select_instance(cursor, child_id)
        assert child is not None  # it has failed, so it is there
        _rewind(cursor, child, at, reason)
    if begin_anew or not children:  # else a parent goes on when its rewound child has ended
        cursor.add_message(instance_id, h.generic(at, reason))


def _open_timers(
    cursor: sqlite3.Cursor, instance_id: str, timers: Mapping[int, str], at: str
) -> tuple[Mapping[int, str], Mapping[int, str]]:
    """Those that fire at once, since they have come due while the instance had failed, and those that fire later.

    Without those that the code had cancelled and that would fire at once: such a one was to bound a call which has
    failed and begins anew. On Azure it has fired while nobody heard it.
    """
    found = cursor.execute(
        "SELECT task_id FROM task_facts WHERE instance_id = ? AND cancelled_at NOT NULL", (instance_id,)
    )
    cancelled = {task_id for (task_id,) in found}
    due = {key: fire_at for key, fire_at in timers.items() if fire_at <= at and key not in cancelled}
    return due, {key: fire_at for key, fire_at in timers.items() if fire_at > at}


def _open_children(
    cursor: sqlite3.Cursor, row: InstanceRow, children: Mapping[int, str], at: str
) -> tuple[list[Event], set[int], set[int]]:
    """Of children that have ended while their parent had failed: the events that tell of it.

    And the task ids of those that have failed, and of those that are no longer there.
    """
    ended: list[Event] = []
    failed, lost = set(), set()
    for task_id, child_id in children.items():
        child = _child(cursor, row, task_id, child_id)
        if child is None:
            lost.add(task_id)
        elif _is_failed(child):
            failed.add(task_id)
        elif child.status == "Terminated":
            ended.append(h.sub_orchestration_failed(at, task_id, child.output, None))
        elif child.has_ended:
            ended.append(h.sub_orchestration_completed(at, task_id, child.output))
    return ended, failed, lost


def _child(cursor: sqlite3.Cursor, row: InstanceRow, task_id: int, child_id: str) -> InstanceRow | None:
    """None if it was purged, or if its id is another instance's by now, which would not answer this task."""
    child = sql.select_instance(cursor, child_id)
    return child if child and child.parent == Parent(row.instance_id, row.execution_id, task_id) else None


def _is_failed(child: InstanceRow | None) -> bool:
    return child is not None and child.status == "Failed"


def existing_instance(cursor: sqlite3.Cursor, instance_id: str, check: Check) -> InstanceRow:
    """InstanceNotFound, or what `check` raises."""
    row = sql.select_instance(cursor, instance_id)
    if row is None:
        raise InstanceNotFound(instance_id)
    check(row)
    return row


def post_to_execution(cursor: InboxCursor, instance_id: str, execution_id: str, event: Event) -> None:
    """Post the event that ends a task, if the execution that waits for it still runs."""
    found = cursor.execute(
        f"SELECT 1 FROM instances WHERE instance_id = ? AND execution_id = ? AND status NOT IN {sql.FINAL_SQL}",
        (instance_id, execution_id),
    ).fetchone()
    if found:
        cursor.add_message(instance_id, event, execution_id)


def _restart_count(cursor: sqlite3.Cursor, instance_id: str) -> int:
    """How often its id was started anew: the Generation in its ExecutionStarted, its second event."""
    cursor.execute(
        "SELECT iif(json_valid(event), json_extract(event, '$.Generation'), 0) FROM history "
        "WHERE instance_id = ? AND seq = 1",
        (instance_id,),
    )
    values = cursor.fetchone()
    return int(values[0] or 0) if values else 0
