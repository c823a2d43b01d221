"""The store's verbs, each by what is true once it returns: in a file and in memory alike."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dfhost.engine import history as h
from dfhost.engine.entities import EntityResponse
from dfhost.engine.episode import (
    EntityMessage,
    Episode,
    NextGeneration,
    ScheduledActivity,
    ScheduledChild,
    ScheduledTimer,
    child_refused,
)
from dfhost.engine.execution_info import Parent
from dfhost.errors import (
    DatabaseError,
    HostError,
    InstanceExists,
    InstanceNotFound,
    OperationFailed,
    WrongState,
)
from dfhost.store import purging, writer
from dfhost.store.activities_and_timers import ActivityResult, ActivityWorkItem
from dfhost.store.errors import StaleCommit
from dfhost.store.instance_row import InstanceRow
from dfhost.store.listener import InboxMessage, InstanceRemoved, InstanceRewound, NullListener, StoreEvent
from dfhost.store.reader import FirstGeneration
from dfhost.store.store import Store

AT = "2026-01-01T12:00:00.000000Z"
LATER = "2026-01-01T13:00:00.000000Z"
FIRED = h.timer_fired(AT, 9, AT).text  # what is left of a timer that was due when it was made


def an_event(text: str) -> h.Event:
    """Some event for an inbox, known by its text."""
    return h.Event(h.EVENT_RAISED, text, text, text)


class Listener(NullListener):
    """Calls `written` with each group of events, `finished` after each commit, `failed` with a failure."""

    def __init__(
        self,
        written: Callable[[Sequence[StoreEvent]], object] = lambda events: None,
        finished: Callable[[bool], object] = lambda committed: None,
        failed: Callable[[DatabaseError], object] = lambda error: None,
        failed_operation: Callable[[OperationFailed], object] = lambda error: None,
    ) -> None:
        self._written, self._finished, self._failed = written, finished, failed
        self._failed_operation = failed_operation
        self.lead_to_episodes = True

    def operation_failed(self, error: OperationFailed) -> None:
        self._failed_operation(error)

    def events_written(self, events: Sequence[StoreEvent]) -> bool:
        self._written(events)
        return self.lead_to_episodes

    def commit_finished(self, committed: bool) -> None:
        self._finished(committed)

    def store_failed(self, error: DatabaseError) -> None:
        self._failed(error)


class OpenStore:
    """An open store, and the events it has published, in order."""

    def __init__(self, path: Path | None) -> None:
        self.store = Store(path)
        self.store.open()
        self.events: list[StoreEvent] = []
        self.store.listen(Listener(self.events.extend))

    # -- instances ---------------------------------------------------------------------------------------------
    async def start(self, instance_id: str = "x", execution_id: str = "e1", **more: Any) -> None:
        row = InstanceRow(
            instance_id, execution_id, "fan", None, "Pending", '"in"', None, None, AT, AT
        )._replace(**more)

        def event(restart_count: int) -> h.Event:
            return h.execution_started(
                AT, instance_id=instance_id, execution_id=execution_id, name="fan", version=None, input='"in"',
                restart_count=restart_count,
            )  # fmt: skip

        await self.store.start_instance(row, event, False)

    async def episode(self, instance_id: str = "x", execution_id: str = "e1", **more: Any) -> None:
        """Commit an episode that has processed everything there was; raises what it was refused with."""
        stored = self.store.load_instance(instance_id)
        length = len(stored.history) if stored else 0
        processed_up_to = max((message.seq for message in stored.inbox), default=0) if stored else 0
        events = [h.orchestrator_started(AT).text]
        values: dict[str, Any] = {
            "at": AT,
            "status": "Running",
            "first_position": length,
            "stored_texts": events,
        } | more
        processed_up_to = values.pop("processed_up_to", processed_up_to)
        episode = Episode(instance_id, execution_id, **values)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def then(_: None, error: HostError | None) -> None:
            done.set_exception(error) if error else done.set_result(None)

        self.store.commit_episode(episode, processed_up_to, then)
        await done

    async def results(self, *results: ActivityResult) -> None:
        taken = asyncio.Event()
        loop = asyncio.get_running_loop()

        def take() -> list[ActivityResult]:
            loop.call_soon_threadsafe(taken.set)
            return list(results)

        self.store.store_results(take)
        await taken.wait()
        await self.barrier()

    async def barrier(self) -> None:
        """Everything submitted so far is committed."""
        await self.store.fire_timers("0")

    async def terminate(self, instance_id: str = "x") -> None:
        await self.store.terminate_instance(instance_id, at=LATER, reason="why", check=lambda row: None)

    # -- what there is ---------------------------------------------------------------------------------------
    def inbox(self, instance_id: str = "x") -> list[str]:
        if instance_id.startswith("@"):
            return [message.text for message in self.store.entity_requests(instance_id)]
        stored = self.store.load_instance(instance_id)
        return [message.text for message in stored.inbox] if stored else []

    def past(self, instance_id: str = "x") -> list[str]:
        stored = self.store.load_instance(instance_id)
        return stored.history if stored else []

    def row(self, instance_id: str = "x") -> InstanceRow:
        row = self.store.instance(instance_id)
        assert row is not None
        return row

    def published(self, kind: type[StoreEvent] = InboxMessage) -> list[str]:
        """The texts of the published messages, or the ids of the removed instances."""
        return [
            each.text if isinstance(each, InboxMessage) else each.instance_id
            for each in self.events
            if isinstance(each, kind)
        ]


@pytest.fixture
def long_wait_for_episodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit waits for the episodes that its events lead to as long as they take on this machine."""
    monkeypatch.setattr(writer, "_EPISODE_WAIT_SECONDS", 30.0)
    monkeypatch.setattr(writer, "_LONGEST_GATHERING_SECONDS", 30.0)


@pytest.fixture(params=["file", "memory"])
async def db(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenStore]:
    stored = OpenStore(tmp_path / "hub.db" if request.param == "file" else None)
    yield stored
    stored.store.close()


async def eventually(test: Callable[[], bool]) -> None:
    async def wait() -> None:
        while not test():
            await asyncio.sleep(0.001)

    await asyncio.wait_for(wait(), 20)


def activity(task_id: int, name: str = "work") -> ScheduledActivity:
    return ScheduledActivity(task_id, name, "1")


def work(task_id: int, instance_id: str = "x", execution_id: str = "e1") -> ActivityWorkItem:
    return ActivityWorkItem(instance_id, execution_id, activity(task_id))


def result(task_id: int, value: str = "1", execution_id: str = "e1") -> ActivityResult:
    return ActivityResult(work(task_id, execution_id=execution_id), h.task_completed(AT, task_id, value))


def child(instance_id: str, task_id: int = 0, execution_id: str = "c1") -> ScheduledChild:
    started = h.execution_started(
        AT, instance_id=instance_id, execution_id=execution_id, name="part", version=None, input=None
    )
    return ScheduledChild(task_id, instance_id, execution_id, "part", None, None, started)


# -- starting ------------------------------------------------------------------------------------------------
async def test_a_started_instance_is_pending_with_its_start_in_its_inbox(db: OpenStore) -> None:
    await db.start()
    assert (db.row().status, db.row().input) == ("Pending", '"in"')
    assert [h.parse(text).event_type for text in db.inbox()] == [h.EXECUTION_STARTED]
    assert db.store.instances_needing_episodes() == ["x"]
    (message,) = db.events
    assert isinstance(message, InboxMessage) and message.new_instance == db.row()


async def test_the_id_of_a_running_instance_is_refused_and_nothing_changes(db: OpenStore) -> None:
    await db.start()
    with pytest.raises(InstanceExists, match="status Pending already exists"):
        await db.start(execution_id="e2")
    assert db.row().execution_id == "e1"
    assert len(db.events) == 1


async def test_an_ended_instance_is_replaced_completely_by_the_next_generation(db: OpenStore) -> None:
    await db.start()
    start = db.inbox()[0]
    await db.episode(stored_texts=["12", start], activities=[activity(0)])
    await db.terminate()
    await db.start(execution_id="e2")
    assert db.past() == []
    assert '"Generation":1' in db.inbox()[0]
    await db.episode(execution_id="e2", stored_texts=["12", db.inbox()[0]], status="Completed")
    await db.start(execution_id="e3")
    assert '"Generation":2' in db.inbox()[0]


async def test_any_state_may_be_replaced_if_host_json_says_so(db: OpenStore) -> None:
    await db.start()
    await db.episode(activities=[activity(0)], timers=[ScheduledTimer(1, LATER)])
    row = db.row()._replace(execution_id="e2", status="Pending")
    await db.store.start_instance(row, lambda restart_count: an_event(f"start {restart_count}"), True)
    assert db.row().execution_id == "e2"
    assert (db.past(), db.inbox()) == ([], ["start 1"])
    assert (db.store.unfinished_activities(), db.store.next_due()) == ([], None)


# -- episodes ------------------------------------------------------------------------------------------------
async def test_an_episode_is_committed_as_a_whole(db: OpenStore) -> None:
    await db.start()
    await db.episode(
        stored_texts=["a", "b"],
        custom_status='"half"',
        activities=[activity(0), activity(1)],
        timers=[ScheduledTimer(2, LATER), ScheduledTimer(9, AT)],
        children=[child("c", 3)],
        entity_messages=[EntityMessage("@counter@k", "request")],
    )
    assert (db.row().status, db.row().custom_status) == ("Running", '"half"')
    assert db.past() == ["a", "b"]
    assert db.inbox() == [FIRED]
    assert db.store.unfinished_activities() == [work(0), work(1)]
    assert db.store.next_due() == LATER
    assert (db.row("c").status, db.row("c").parent) == ("Pending", ("x", "e1", 3))
    assert db.inbox("@counter@k") == ["request"]
    assert db.row("@counter@k").status == "Running"
    assert db.published()[1:] == [FIRED, db.inbox("c")[0], "request"]


async def test_an_episode_consumes_the_messages_it_saw_and_no_more(db: OpenStore) -> None:
    await db.start()
    await db.store.post_event("x", an_event("seen"), lambda row: None)
    seen = db.store.load_instance("x")
    assert seen is not None
    await db.store.post_event("x", an_event("later"), lambda row: None)
    await db.episode(processed_up_to=seen.inbox[-1].seq)
    assert db.inbox() == ["later"]


@pytest.mark.parametrize("how", ["terminated", "purged", "replaced"])
async def test_an_episode_of_a_removed_instance_is_discarded_whole(db: OpenStore, how: str) -> None:
    await db.start()
    if how == "purged":
        await db.store.purge("x", lambda row: None)
    else:
        await db.terminate()
    if how == "replaced":
        await db.start(execution_id="e2")
    before = (db.store.instance("x"), db.past(), db.inbox())
    with pytest.raises(StaleCommit):
        await db.episode(
            stored_texts=["a"],
            activities=[activity(0)],
            timers=[ScheduledTimer(1, LATER)],
            children=[child("c")],
            entity_messages=[EntityMessage("@counter@k", "request")],
        )
    assert (db.store.instance("x"), db.past(), db.inbox()) == before
    assert (db.store.unfinished_activities(), db.store.next_due()) == ([], None)
    assert db.store.instance("c") is None and db.store.instance("@counter@k") is None
    assert "request" not in db.published()


async def test_columns_that_an_episode_does_not_set_stay(db: OpenStore) -> None:
    await db.start()
    await db.episode(custom_status='"half"', output="reason", sets_output=True)
    await db.episode()
    assert (db.row().custom_status, db.row().output) == ('"half"', "reason")
    await db.episode(custom_status="null")
    assert db.row().custom_status is None


async def test_the_last_episode_leaves_nothing_open_and_posts_to_the_parent(db: OpenStore) -> None:
    await db.start()
    await db.episode(children=[child("c", 0)])
    await db.episode("c", "c1", activities=[activity(0)], timers=[ScheduledTimer(1, LATER)])
    await db.store.post_event("c", an_event("too late"), lambda row: None)
    await db.episode(
        "c",
        "c1",
        status="Completed",
        output="1",
        sets_output=True,
        processed_up_to=0,
        parent=Parent("x", "e1", 0),
    )
    assert (db.row("c").status, db.row("c").output) == ("Completed", "1")
    assert (db.inbox("c"), db.store.unfinished_activities(), db.store.next_due()) == ([], [], None)
    assert db.inbox("x") == [h.sub_orchestration_completed(AT, 0, "1").text]


async def test_a_parent_that_was_replaced_gets_no_event(db: OpenStore) -> None:
    await db.start()
    await db.episode(children=[child("c", 0)])
    await db.terminate()
    await db.start(execution_id="e2")
    await db.episode("c", "c1", status="Completed", parent=Parent("x", "e1", 0))
    done = h.sub_orchestration_completed(AT, 0, None).text
    assert done not in db.inbox("x")
    assert done not in db.published()


async def test_a_new_generation_drops_the_old_ones_work_and_keeps_external_events(
    db: OpenStore,
) -> None:
    await db.start()
    await db.episode(activities=[activity(0)], timers=[ScheduledTimer(1, LATER)])
    await db.results(result(0))
    seen = db.store.load_instance("x")
    assert seen is not None
    await db.store.post_event("x", an_event("event"), lambda row: None)
    started = h.execution_started(
        AT, instance_id="x", execution_id="e2", name="fan", version=None, input='"next"', restart_count=None
    )
    following = NextGeneration("e2", '"next"', h.continued_history(AT, started, ()))
    await db.episode(status="ContinuedAsNew", next_generation=following, processed_up_to=seen.inbox[-1].seq)
    assert (db.row().execution_id, db.row().input, db.row().created_at) == ("e2", '"next"', AT)
    assert db.past() == [event.text for event in following.history]
    assert db.inbox() == ["event"]
    assert db.store.next_due() is None
    assert db.store.instances_needing_episodes() == ["x"]


async def test_how_an_instance_began_outlives_its_first_generation(db: OpenStore) -> None:
    first = "2026-01-01T11:00:00.000000Z"
    await db.start(created_at=first)
    await db.start("other")
    for number in (2, 3):
        following = NextGeneration(f"e{number}", None, [h.orchestrator_started(LATER)])
        await db.episode(
            execution_id=f"e{number - 1}", at=LATER, status="ContinuedAsNew", next_generation=following
        )
        stored = db.store.timeline("x")
        assert stored is not None and stored.first == FirstGeneration(number, first)
        with pytest.raises(StaleCommit):
            await db.episode(execution_id="e1", status="ContinuedAsNew", next_generation=following)
    assert (db.row().created_at, db.store.first_created(["x", "other"])) == (LATER, {"x": first})
    listed = (await db.store.overview("", -1)).instances
    assert [(row.instance_id, row.created_at) for row in listed] == [("x", first), ("other", AT)]


# -- children ------------------------------------------------------------------------------------------------
async def test_a_child_whose_id_is_taken_is_refused_by_an_event_for_the_caller(db: OpenStore) -> None:
    await db.start()
    await db.start("c", "other")
    await db.episode(children=[child("c", 7)])
    assert db.inbox() == [child_refused(child("c", 7), "Pending", AT).text]
    assert db.row("c").execution_id == "other"


async def test_a_child_replaces_an_ended_instance(db: OpenStore) -> None:
    await db.start()
    await db.start("c", "other")
    await db.terminate("c")
    await db.episode(children=[child("c", 7)])
    assert (db.row("c").execution_id, db.row("c").status, db.past("c")) == ("c1", "Pending", [])


# -- results -------------------------------------------------------------------------------------------------
async def test_a_result_takes_the_activitys_place(db: OpenStore) -> None:
    await db.start()
    await db.episode(activities=[activity(0), activity(1)])
    await db.results(result(1, "one"))
    assert db.store.unfinished_activities() == [work(0)]
    assert [h.parse(text).key for text in db.inbox()] == [1]
    assert db.store.instances_needing_episodes() == ["x"]


async def test_a_second_result_of_one_activity_is_dropped(db: OpenStore) -> None:
    await db.start()
    await db.episode(activities=[activity(0)])
    await db.results(result(0, "first"), result(0, "second"))
    await db.results(result(0, "third"))
    assert len(db.inbox()) == 1 and "first" in db.inbox()[0]


async def test_results_of_an_older_execution_are_dropped(db: OpenStore) -> None:
    await db.start()
    await db.episode(activities=[activity(0)])
    await db.terminate()
    await db.start(execution_id="e2")
    await db.episode(execution_id="e2", activities=[activity(0)])
    await db.results(result(0, "old", "e1"))
    assert db.inbox() == []
    assert db.store.unfinished_activities() == [work(0, execution_id="e2")]


async def test_unfinished_activities_come_in_the_order_of_its_scheduling(db: OpenStore) -> None:
    for n, instance_id in enumerate(["b", "a"]):
        await db.start(instance_id)
        await db.episode(
            instance_id, at=f"2026-01-01T12:00:0{n}.000000Z", activities=[activity(1), activity(0)]
        )
    assert [(each.instance_id, each.activity.task_id) for each in db.store.unfinished_activities()] == [
        ("b", 0),
        ("b", 1),
        ("a", 0),
        ("a", 1),
    ]
    timeline = db.store.timeline("a")
    assert timeline is not None and list(timeline.inputs) == [0, 1]


# -- timers --------------------------------------------------------------------------------------------------
async def test_timers_fire_once_in_order_and_not_before_they_are_due(db: OpenStore) -> None:
    await db.start()
    moments = [f"2026-01-01T12:00:0{n}.000000Z" for n in range(5)]
    await db.episode(
        at="2026-01-01T11:59:59.000000Z", timers=[ScheduledTimer(n, moments[n]) for n in (3, 1, 4, 0, 2)]
    )
    assert db.store.next_due() == moments[0]
    await db.store.fire_timers(moments[2])
    first = [h.timer_fired(moments[2], n, moments[n]).text for n in range(3)]
    assert db.inbox() == first
    assert db.store.next_due() == moments[3]
    await db.store.fire_timers(moments[4])
    assert db.published()[1:] == [*first, *(h.timer_fired(moments[4], n, moments[n]).text for n in (3, 4))]
    assert db.store.next_due() is None


async def test_timers_of_an_ended_instance_do_not_fire(db: OpenStore) -> None:
    await db.start()
    await db.episode(timers=[ScheduledTimer(0, "2026-01-01T12:00:01.000000Z")])
    await db.terminate()
    published = db.published()
    await db.store.fire_timers(LATER)
    assert db.published() == published


# -- from outside --------------------------------------------------------------------------------------------
async def test_posted_events_are_in_the_inbox_in_order(db: OpenStore) -> None:
    await db.start()
    for text in ("one", "two", "three"):
        await db.store.post_event("x", an_event(text), lambda row: None)
    assert db.inbox()[1:] == ["one", "two", "three"]
    assert db.store.history("x")[-3:] == ["one", "two", "three"]


async def test_an_event_is_refused_where_there_is_no_instance_or_the_check_refuses(db: OpenStore) -> None:
    with pytest.raises(InstanceNotFound):
        await db.store.post_event("nobody", an_event("event"), lambda row: None)
    await db.start()

    def refuses(row: InstanceRow) -> None:
        raise WrongState("no", row.status)

    with pytest.raises(WrongState):
        await db.store.post_event("x", an_event("event"), refuses)
    assert len(db.inbox()) == 1


async def test_terminating_drops_what_is_open_and_posts_to_the_parent(db: OpenStore) -> None:
    await db.start()
    await db.episode(children=[child("c", 0)])
    await db.episode("c", "c1", activities=[activity(0)], timers=[ScheduledTimer(1, LATER)])
    await db.store.post_event("c", an_event("event"), lambda row: None)
    await db.terminate("c")
    assert (db.row("c").status, db.row("c").output, db.row("c").updated_at) == ("Terminated", "why", LATER)
    assert db.past("c")[-4:] == [event.text for event in h.terminated_history(LATER, "why")]
    assert (db.inbox("c"), db.store.unfinished_activities(), db.store.next_due()) == ([], [], None)
    assert db.inbox("x") == [h.sub_orchestration_failed(LATER, 0, "why", None).text]
    assert db.published(InstanceRemoved) == ["c"]


# -- rewinding -----------------------------------------------------------------------------------------------
async def failed(db: OpenStore, instance_id: str, execution_id: str, events: Sequence[h.Event]) -> None:
    done = h.execution_completed(AT, 9, "Failed", "no")
    texts = [event.text for event in (*events, done)]
    await db.episode(
        instance_id, execution_id, stored_texts=texts, status="Failed", output="no", sets_output=True
    )


async def test_a_rewound_instance_runs_again_without_its_failures(db: OpenStore) -> None:
    await db.start()
    good = [h.task_scheduled(AT, 0, "work"), h.task_completed(AT, 0, "1")]
    bad = [h.task_scheduled(AT, 1, "work"), h.task_failed(AT, 1, "no", None)]
    await failed(db, "x", "e1", [*good, *bad])
    await db.store.rewind("x", at=LATER, reason=None, check=lambda row: None)
    assert (db.row().status, db.row().output) == ("Running", None)
    assert [h.parse(text).event_type for text in db.past()] == [
        h.TASK_SCHEDULED,
        h.TASK_COMPLETED,
        h.GENERIC,
        h.GENERIC,
        h.GENERIC,
    ]
    rewound = [json.loads(text)["Rewound"] for text in db.past()[2:]]
    assert [(each["EventType"], each["Name"], each["Reason"]) for each in rewound] == [
        (h.TASK_SCHEDULED, "work", None),
        (h.TASK_FAILED, "work", "no"),
        (h.EXECUTION_COMPLETED, None, "no"),
    ]
    # Code gets what it would get on Azure.
    assert [h.parse(text).text for text in db.past()[2:]] == [
        h.generic(AT, None, event_id).text for event_id in (1, -1, 9)
    ]
    assert db.inbox() == [h.generic(LATER, None).text]
    assert db.store.instances_needing_episodes() == ["x"]


async def test_rewinding_goes_down_to_the_failed_children_and_wakes_only_those(db: OpenStore) -> None:
    await db.start()
    created = [h.sub_orchestration_created(AT, n, "part", f"c{n}", None) for n in range(2)]
    await db.episode(stored_texts=[e.text for e in created], children=[child("c0", 0), child("c1", 1)])
    await failed(db, "c0", "c1", [h.task_scheduled(AT, 0, "work"), h.task_failed(AT, 0, "no", None)])
    await db.episode("c1", "c1", status="Completed")
    ends = [h.sub_orchestration_failed(AT, 0, "no", None), h.sub_orchestration_completed(AT, 1, "1")]
    await failed(db, "x", "e1", ends)
    await db.store.rewind("x", at=LATER, reason=None, check=lambda row: None)
    assert [db.row(each).status for each in ("x", "c0", "c1")] == ["Running", "Running", "Completed"]
    assert [db.inbox(each) for each in ("x", "c0", "c1")] == [[], [h.generic(LATER, None).text], []]
    assert [h.parse(text).event_type for text in db.past()] == [
        h.SUB_ORCHESTRATION_CREATED,
        h.SUB_ORCHESTRATION_CREATED,
        h.GENERIC,
        h.SUB_ORCHESTRATION_COMPLETED,
        h.GENERIC,
    ]


async def test_rewinding_goes_on_with_what_was_open(db: OpenStore) -> None:
    await db.start()
    timers = [h.timer_created(AT, 1, AT), h.timer_created(AT, 2, LATER), h.timer_created(AT, 3, AT)]
    fired = h.timer_fired(AT, 3, AT)
    await failed(db, "x", "e1", [h.task_scheduled(AT, 0, "work"), *timers, fired])
    now = "2026-01-01T12:30:00.000000Z"
    await db.store.rewind("x", at=now, reason="why", check=lambda row: None)
    types = [h.parse(text).event_type for text in db.past()]
    assert types == [h.GENERIC, *[h.TIMER_CREATED] * 3, h.TIMER_FIRED, h.GENERIC]
    assert db.inbox() == [h.timer_fired(now, 1, AT).text, h.generic(now, "why").text]
    assert db.store.next_due() == LATER
    assert [each.timers for each in db.events if isinstance(each, InstanceRewound)] == [(LATER,)]


# -- purging -------------------------------------------------------------------------------------------------
async def test_purging_leaves_nothing(db: OpenStore) -> None:
    await db.start()
    await db.episode(activities=[activity(0)], timers=[ScheduledTimer(1, LATER), ScheduledTimer(9, AT)])
    await db.store.signal_entity("@counter@k", "one", AT)
    await db.start("renewed")
    following = NextGeneration("e2", None, [])
    await db.episode("renewed", status="ContinuedAsNew", next_generation=following)
    for instance_id in ("x", "@counter@k", "renewed"):
        assert await db.store.purge(instance_id, lambda row: None) == 1
        assert await db.store.purge(instance_id, lambda row: None) == 0
    with db.store._reading() as reader:
        tables = (
            "instances",
            "history",
            "first_generations",
            "inbox",
            "activities",
            "task_facts",
            "timers",
            "entities",
            "entity_requests",
        )
        for table in tables:
            assert reader.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
    assert db.published(InstanceRemoved) == ["x", "@counter@k", "renewed"]


async def test_purging_by_filter_removes_the_matching_instances(db: OpenStore) -> None:
    for number, status in enumerate(["Completed", "Failed", "Running", "Completed"]):
        instance_id = f"i{number}"
        await db.start(instance_id, created_at=f"2026-01-01T12:00:0{number}.000000Z")
        await db.episode(instance_id, status=status)
    until = "2026-01-01T12:00:02.000000Z"
    assert await db.store.purge_where(None, until, ["Completed"]) == 1
    assert [row.instance_id for row in db.store.instances()] == ["i1", "i2", "i3"]
    assert await db.store.purge_where(until, None, []) == 2
    assert [row.instance_id for row in db.store.instances()] == ["i1"]


@pytest.fixture
def single_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A portion of a purge is one instance."""
    monkeypatch.setattr(purging, "PORTION_SECONDS", -1.0)


async def test_others_are_written_during_a_purge_and_what_is_started_meanwhile_stays(
    db: OpenStore, single_portions: None
) -> None:
    for number in range(50):
        await db.start(f"i{number:02}")
        await db.episode(f"i{number:02}", status="Completed")
    purge = asyncio.ensure_future(db.store.purge_where(None, None, []))
    await eventually(lambda: db.store.instance("i00") is None)
    await db.start("i49", "e2")
    await db.start("new")
    assert not purge.done()
    assert await purge == 49
    assert [row.instance_id for row in db.store.instances()] == ["i49", "new"]
    assert db.row("i49").execution_id == "e2"
    assert db.published(InstanceRemoved) == [f"i{number:02}" for number in range(49)]


@pytest.mark.parametrize("how", ["by filter", pytest.param("one by one", marks=pytest.mark.long)])
async def test_a_purge_gives_the_space_back(tmp_path: Path, how: str) -> None:
    db = OpenStore(tmp_path / "hub.db")
    for number in range(30):
        await db.start(f"i{number}", input="x" * 1_000_000)
        await db.episode(f"i{number}", status="Completed")
    await db.start("stays", input="y" * 1_000_000)

    def size() -> int:
        return sum(path.stat().st_size for path in tmp_path.iterdir())

    assert size() > 30_000_000
    if how == "by filter":
        assert await db.store.purge_where(None, None, ["Completed"]) == 30
    else:
        for number in range(30):
            await db.store.purge(f"i{number}", lambda row: None)
    await eventually(lambda: size() < 8_000_000)
    assert db.row("stays").input == "y" * 1_000_000
    db.store.close()
    assert size() < 3_000_000
    with closing(sqlite3.connect(tmp_path / "hub.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


# -- lists ---------------------------------------------------------------------------------------------------
async def test_open_instances_come_in_turn_by_name_the_newest_of_each_first(db: OpenStore) -> None:
    for number, name in enumerate(("fan", "fan", "poll", "fan", "poll")):
        await db.start(f"{name}-{number}", name=name, created_at=AT.replace("00Z", f"0{number}Z"))
    await db.start("over", name="poll")
    await db.episode("over", status="Completed")
    found = [instance_id for _, instance_id in await db.store.newest_open_instances(10)]
    assert found == ["fan-3", "poll-4", "fan-1", "poll-2", "fan-0"]
    assert await db.store.newest_open_instances(1) == [("fan", "fan-3")]


async def test_lists_are_ordered_filtered_and_paged(db: OpenStore) -> None:
    for instance_id in ("b", "a", "ab", "A", "a%", "a_", "aé"):
        await db.start(instance_id)
    await db.episode("b", status="Completed")
    assert [row.instance_id for row in db.store.instances()] == ["A", "a", "a%", "a_", "ab", "aé", "b"]
    assert [row.instance_id for row in db.store.instances(prefix="a")] == ["a", "a%", "a_", "ab", "aé"]
    assert [row.instance_id for row in db.store.instances(prefix="a_")] == ["a_"]
    assert [row.instance_id for row in db.store.instances(limit=2, after="a")] == ["a%", "a_"]
    assert [row.instance_id for row in db.store.instances(statuses=["Completed", "Failed"])] == ["b"]
    assert db.store.instances(created_from=LATER) == []


# -- entities ------------------------------------------------------------------------------------------------
async def test_a_signal_makes_the_entity_and_a_batch_answers_its_callers(db: OpenStore) -> None:
    await db.start()
    await db.store.signal_entity("@counter@k", "one", AT)
    await db.store.signal_entity("@counter@k", "two", AT)
    assert (db.row("@counter@k").status, db.inbox("@counter@k")) == ("Running", ["one", "two"])
    seen = db.store.entity_requests("@counter@k")
    responses = [
        EntityResponse("x", "e1", "r1", "to the one"),
        EntityResponse("x", "ended", "r2", "to nobody"),
    ]
    await db.store.commit_batch(
        "@counter@k",
        at=LATER,
        state="state",
        custom_status="{}",
        processed_up_to=seen[0].seq,
        responses=responses,
    )
    assert (db.row("@counter@k").input, db.row("@counter@k").updated_at) == ("state", LATER)
    assert db.inbox("@counter@k") == ["two"]
    assert db.inbox("x")[1:] == [h.event_raised(LATER, "r1", "to the one").text]


async def test_a_batch_of_a_purged_entity_is_discarded(db: OpenStore) -> None:
    await db.store.signal_entity("@counter@k", "one", AT)
    await db.store.purge("@counter@k", lambda row: None)
    with pytest.raises(StaleCommit):
        await db.store.commit_batch(
            "@counter@k",
            at=AT,
            state="s",
            custom_status="{}",
            processed_up_to=1,
            responses=[],
        )
    assert db.store.instance("@counter@k") is None


async def test_an_orchestration_and_an_entity_of_one_id_do_not_meet(db: OpenStore) -> None:
    await db.start("@counter@k")
    await db.store.signal_entity("@counter@k", "request", AT)
    await db.store.post_event("@counter@k", an_event("event"), lambda row: None)
    stored = db.store.load_instance("@counter@k")
    assert stored is not None
    assert [message.text for message in stored.inbox][1:] == ["event"]
    assert db.inbox("@counter@k") == ["request"]
    assert db.store.instances_needing_episodes() == db.store.entities_with_requests() == ["@counter@k"]
    assert [(row.instance_id, row.name) for row in db.store.instances()] == [("@counter@k", "fan")]
    assert [row.name for row in db.store.entities()] == ["@counter@k"]
    await db.terminate("@counter@k")
    assert await db.store.purge("@counter@k", lambda row: None) == 1
    assert db.row("@counter@k").is_entity
    assert db.inbox("@counter@k") == ["request"]


async def test_an_entity_takes_no_events_and_its_id_is_taken(db: OpenStore) -> None:
    await db.store.signal_entity("@counter@k", "request", AT)
    await db.store.post_event("@counter@k", an_event("event"), lambda row: None)
    await db.terminate("@counter@k")
    with pytest.raises(InstanceExists, match="Running"):
        await db.start("@counter@k")
    assert db.inbox("@counter@k") == ["request"]
    assert db.published() == ["request"]


async def test_a_message_that_is_set_aside_is_kept_for_people(db: OpenStore) -> None:
    await db.start()
    await db.store.post_event("x", an_event("one"), lambda row: None)
    await db.store.signal_entity("@counter@k", "two", AT)
    stored = db.store.load_instance("x")
    assert stored is not None
    for message in (stored.inbox[1], *db.store.entity_requests("@counter@k"), stored.inbox[1]):
        db.store.set_aside(message, "a reason", LATER)
    await db.barrier()
    assert len(db.inbox()) == 1 and db.inbox("@counter@k") == []
    with db.store._reading() as reader:
        assert reader.execute("SELECT * FROM poison_messages").fetchall() == [
            ("x", "one", "", "a reason", LATER),
            ("@counter@k", "two", "", "a reason", LATER),
        ]


# -- groups --------------------------------------------------------------------------------------------------
async def test_a_group_is_one_commit_in_which_each_operation_is_refused_alone(db: OpenStore) -> None:
    await db.start("taken")
    before = db.store.commits
    # Its own group is complete once this operation runs; what is posted meanwhile is the next group.
    entered, leave = threading.Event(), threading.Event()

    def stand(cursor: object) -> None:
        entered.set()
        leave.wait(20)

    db.store._writer.post(stand, lambda value, error: None)
    await asyncio.to_thread(entered.wait, 20)
    requests = [db.start("a"), db.start("taken"), _post_event(db, "nobody"), db.start("b")]
    asked = [asyncio.ensure_future(each) for each in requests]
    while db.store._writer._queue.qsize() < len(asked):
        await asyncio.sleep(0)
    leave.set()
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(each) for each in outcomes] == [type(None), InstanceExists, InstanceNotFound, type(None)]
    assert db.store.commits == before + 2
    assert db.published(InboxMessage)[-2:] == [db.inbox("a")[0], db.inbox("b")[0]]


async def _post_event(db: OpenStore, instance_id: str) -> None:
    await db.store.post_event(instance_id, an_event("event"), lambda row: None)


async def test_events_come_in_the_order_of_the_groups_then_the_commit_then_the_callers_are_answered(
    db: OpenStore,
) -> None:
    order: list[str] = []
    listener = Listener(
        lambda events: order.extend(f"events of {each.instance_id}" for each in events),
        lambda committed: order.append("on the disk" if committed else "lost"),
    )
    db.store.listen(listener)

    async def start(instance_id: str) -> None:
        await db.start(instance_id)
        order.append(f"{instance_id} knows")

    await asyncio.gather(*(start(each) for each in "abc"))
    assert [each for each in order if "events" in each] == ["events of a", "events of b", "events of c"]
    for each in "abc":
        events, knows = order.index(f"events of {each}"), order.index(f"{each} knows")
        assert "on the disk" in order[events:knows]
    assert "lost" not in order


async def test_a_commit_waits_for_the_episodes_that_its_events_lead_to(
    tmp_path: Path, long_wait_for_episodes: None
) -> None:
    db = OpenStore(tmp_path / "hub.db")
    follow_ups: list[asyncio.Future[None]] = []
    db.store.listen(
        Listener(lambda events: follow_ups.append(asyncio.ensure_future(db.episode(events[0].instance_id))))
    )
    before = db.store.commits
    await db.start("a")
    await asyncio.gather(*follow_ups)
    assert db.store.commits == before + 1
    row = db.store.instance("a")
    assert row and row.status == "Running"
    db.store.close()


async def test_a_commit_does_not_wait_where_no_episode_will_follow(
    tmp_path: Path, long_wait_for_episodes: None
) -> None:
    db = OpenStore(tmp_path / "hub.db")
    listener = Listener(lambda events: None)
    listener.lead_to_episodes = False
    db.store.listen(listener)
    for number in range(3):
        await asyncio.wait_for(db.start(f"instance-{number}"), 20)
    db.store.close()


async def test_results_that_nobody_waits_for_share_the_commit_of_the_episode_that_the_last_leads_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = OpenStore(tmp_path / "hub.db")
    await db.start()
    await db.episode(activities=[activity(0), activity(1), activity(2)])
    monkeypatch.setattr(writer, "_EPISODE_WAIT_SECONDS", 30.0)
    monkeypatch.setattr(writer, "_LONGEST_GATHERING_SECONDS", 30.0)
    before, to_come, episodes = db.store.commits, [result(1), result(2)], []

    def events_written(events: Sequence[StoreEvent]) -> None:
        if to_come:
            following = to_come.pop(0)
            db.store.store_results(lambda: [following])
        else:
            episodes.append(asyncio.ensure_future(db.episode()))

    db.store.listen(Listener(events_written))
    db.store.store_results(lambda: [result(0)])
    await eventually(lambda: len(episodes) == 1)
    await asyncio.gather(*episodes)
    assert db.store.commits == before + 1
    assert db.store.unfinished_activities() == []
    db.store.close()


async def test_a_commit_does_not_wait_for_an_entity_that_waits_for_it(
    db: OpenStore, long_wait_for_episodes: None
) -> None:
    await asyncio.wait_for(db.store.signal_entity("@counter@a", "{}", AT), 20)


async def test_closing_the_store_writes_what_was_posted_before(
    tmp_path: Path, long_wait_for_episodes: None
) -> None:
    db = OpenStore(tmp_path / "hub.db")
    asked = [asyncio.ensure_future(db.start(each)) for each in "ab"]
    await asyncio.sleep(0)
    db.store.close()
    await asyncio.gather(*asked)
    again = OpenStore(tmp_path / "hub.db")
    assert set(again.store.instances_needing_episodes()) == {"a", "b"}
    again.store.close()


async def test_an_operation_that_fails_is_left_out_of_its_group_and_only_its_caller_fails(
    db: OpenStore,
) -> None:
    failures: list[OperationFailed] = []
    db.store.listen(Listener(db.events.extend, failed_operation=failures.append))
    await db.start("x")
    half = db.row("x")._replace(instance_id="half")
    before = db.store.commits
    entered, leave = threading.Event(), threading.Event()

    def stand(cursor: object) -> None:
        entered.set()
        leave.wait(20)

    db.store._writer.post(stand, lambda value, error: None)
    await asyncio.to_thread(entered.wait, 20)

    def broken(row: InstanceRow) -> None:
        raise ZeroDivisionError

    requests = [
        db.start("a"),
        db.store.post_event("x", an_event("refused"), broken),
        db.store.start_instance(half, lambda restart_count: an_event("" * (1 // 0)), False),
        db.start("x"),
        db.start("b"),
        db.store.post_event("x", an_event("event"), lambda row: None),
    ]
    asked = [asyncio.ensure_future(each) for each in requests]
    while db.store._writer._queue.qsize() < len(asked):
        await asyncio.sleep(0)
    leave.set()
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    nothing = type(None)
    assert [type(each) for each in outcomes] == [
        nothing, OperationFailed, OperationFailed, InstanceExists, nothing, nothing,
    ]  # fmt: skip
    assert "ZeroDivisionError" in str(outcomes[1]) and "Nothing was changed" in str(outcomes[1])
    assert failures == outcomes[1:3]
    assert db.store.commits == before + 2
    assert db.store.instance("half") is None
    assert db.inbox("x")[1:] == ["event"]
    assert db.published()[-3:] == ["event", db.inbox("a")[0], db.inbox("b")[0]]
    await db.start("c")
    assert db.row("c").status == "Pending", "the store goes on"


async def test_a_result_that_cannot_be_stored_fails_its_activity_and_no_other(db: OpenStore) -> None:
    await db.start()
    await db.episode(activities=[activity(0), activity(1), activity(2)])
    bad = result(1)._replace(event=result(1).event._replace(text="half \ud800"))
    await db.results(result(0, "one"), bad, result(2, "three"))
    await eventually(lambda: len(db.inbox()) == 3)
    events = [h.parse(text) for text in db.inbox()]
    assert {(each.key, each.event_type) for each in events} == {
        (0, h.TASK_COMPLETED), (1, h.TASK_FAILED), (2, h.TASK_COMPLETED),
    }  # fmt: skip
    assert "a text has half of a surrogate pair in it" in next(each.text for each in events if each.key == 1)
    assert db.store.unfinished_activities() == []


async def test_nothing_is_written_after_a_failed_commit(db: OpenStore) -> None:
    notified: list[object] = []
    db.store.listen(
        Listener(
            lambda events: notified.append("events"),
            notified.append,
            lambda error: notified.append(str(error)),
        )
    )

    def full(row: InstanceRow) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    await db.start("a")
    with pytest.raises(DatabaseError, match="is full"):
        await db.store.post_event("a", an_event("event"), full)
    with pytest.raises(DatabaseError, match="is full"):
        await db.start("b")
    assert db.store.instance("b") is None
    assert notified == ["events", True, notified[2], False, False]
    assert "is full" in str(notified[2])


async def test_a_listener_that_raises_keeps_no_caller_from_an_answer(db: OpenStore) -> None:
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda loop, context: reported.append(context["exception"])
    )
    mistake = ValueError("a mistake of the listener")

    def fail(_: object) -> None:
        raise mistake

    db.store.listen(Listener(fail, fail))
    await asyncio.wait_for(db.start(), 20)
    assert db.row().status == "Pending"
    assert reported == [mistake, mistake]


async def test_everything_is_there_after_opening_the_file_again(tmp_path: Path) -> None:
    db = OpenStore(tmp_path / "hub.db")
    await db.start()
    await db.episode(activities=[activity(0)], timers=[ScheduledTimer(1, LATER), ScheduledTimer(9, AT)])
    await db.start("y", "e9")
    before = (
        db.store.load_instance("x"),
        db.store.load_instance("y"),
        db.store.unfinished_activities(),
        db.store.next_due(),
    )
    db.store.close()
    again = OpenStore(tmp_path / "hub.db")
    store = again.store
    assert (
        store.load_instance("x"),
        store.load_instance("y"),
        store.unfinished_activities(),
        store.next_due(),
    ) == before
    assert set(store.instances_needing_episodes()) == {"x", "y"}
    await store.post_event("x", an_event("new"), lambda row: None)
    assert again.inbox("x") == [FIRED, "new"], "new messages come after the old ones"
    store.close()


# -- copies ----------------------------------------------------------------------------------------------------
async def test_a_copy_has_what_was_committed_and_is_a_store_of_its_own() -> None:
    first = OpenStore(None)
    await first.start("x")
    copy = first.store.copy()
    await first.start("y")
    first.store.close()
    copy.open()
    assert [row.instance_id for row in copy.instances()] == ["x"]
    assert copy.instances_needing_episodes() == ["x"]
    copy.close()


async def test_a_store_may_end_with_any_commit() -> None:
    """What was committed by then stays, and nothing is acknowledged any more."""
    first, copies = OpenStore(None), []

    def end(copy: Callable[[], Store]) -> None:
        copies.append(copy())
        raise HostError("the end")

    await first.start("x")
    first.store.on_commit(end)
    for instance_id in ("y", "z"):
        with pytest.raises(DatabaseError, match="the end"):
            await first.start(instance_id)
    first.store.close()
    (copy,) = copies
    copy.open()
    assert [row.instance_id for row in copy.instances()] == ["x", "y"]
    copy.close()


async def test_writes_are_unfinished_until_they_are_answered() -> None:
    first = OpenStore(None)
    answered: list[int] = []
    first.store.listen(Listener(finished=lambda committed: answered.append(first.store.unfinished)))
    await asyncio.gather(first.start("x"), first.start("y"))
    assert sum(answered) >= 1
    assert first.store.unfinished == 0
    first.store.close()


@pytest.mark.parametrize("instances", range(20, 28))
async def test_a_checkpoint_that_a_reader_keeps_from_being_complete_is_no_lost_file(
    tmp_path: Path, instances: int
) -> None:
    """The file's header may count pages then that are still in the log: here the last one, which changed since."""
    path = tmp_path / "hub.db"
    db = OpenStore(path)
    for number in range(instances):
        await db.start(f"{number}", input="x" * 3000)
    with closing(sqlite3.connect(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM instances").fetchone()
        await db.terminate(f"{instances - 1}")
        db.store._writer.request_checkpoint()
        await db.terminate(f"{instances - 2}")
        await db.terminate(f"{instances - 3}")
    db.store.close()


async def test_a_file_that_its_disk_no_longer_reads_fails_every_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_disk(descriptor: int, length: int, offset: int) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    db = OpenStore(tmp_path / "hub.db")
    failures: list[DatabaseError] = []
    db.store.listen(Listener(failed=failures.append))
    with monkeypatch.context() as patched:
        patched.setattr(os, "pread", no_disk)
        for _ in range(2):
            with pytest.raises(DatabaseError, match="cannot be read any more: Input/output error"):
                await asyncio.wait_for(db.start(), 10)
    assert len(failures) == 1
    db.store.close()


async def test_a_list_of_a_file_that_was_deleted_fails_and_leaves_no_other_file(tmp_path: Path) -> None:
    file = tmp_path / "hub.db"
    db = OpenStore(file)
    await db.start()
    file.unlink()
    for read in (db.store.overview("", 10), db.store.search("x", 10), db.store.maps("", 10)):
        with pytest.raises(DatabaseError, match=r"hub\.db cannot be opened"):
            await read
    assert not file.exists()
    db.store.close()
