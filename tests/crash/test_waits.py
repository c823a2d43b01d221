"""Every kind of wait, interrupted by a kill: what was waited for comes afterwards, and nothing happens twice.

All of them wait in one host when it is killed. The next one has the same file, and no other instruction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.crash.crashing import (
    TASK_COMPLETED,
    TASK_FAILED,
    Client,
    Crashing,
    Mark,
    Remains,
    kill,
    wait_until,
)

SECONDS = (1, 2, 4, 8, 16)  # of timers and retry pauses: the shortest that is still open at the kill counts


@dataclass
class Interrupted:
    hub: Crashing
    remains: Remains
    client: Client  # of the host that came after

    def output(self, instance_id: str) -> Any:
        return self.client.output(instance_id)

    def lives(self, what: str, key: str) -> list[int]:
        """The hosts in which this was marked."""
        return [mark.life for mark in self.hub.marks() if (mark.what, mark.key) == (what, key)]

    def still_open(self, name: str) -> str:
        """The instance whose timer was the next to fire when the host was killed."""
        return min((f"{name}-{n}" for n in SECONDS if f"{name}-{n}" in self.remains.timers), key=self._due)

    def _due(self, instance_id: str) -> str:
        return self.remains.timers[instance_id]


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Interrupted]:
    """The second host, its gates open."""
    hub = Crashing(tmp_path_factory.mktemp("waits"))
    with hub.start() as host:
        begin(hub, Client(host))
        kill(host)
    remains = hub.remains()
    hub.release.touch()
    with hub.start() as host:
        yield Interrupted(hub, remains, Client(host))


def begin(hub: Crashing, client: Client) -> None:
    """Start everything, and return once all of it waits."""
    for seconds in SECONDS:
        client.start("sleeps", f"sleeps-{seconds}", seconds)
        client.start("retries_later", f"retries-{seconds}", seconds)
    client.start("blocks", "activity")
    client.start("blocks", "early")
    client.start("blocks", "terminated")
    client.start("holds_back", "held")
    client.start("hears", "event")
    client.start("hears", "suspended")
    client.start("has_child", "parent")
    client.start("rolls", "rolls", 1)
    client.start("asks", "entity")

    blocked = [f"{each}/2" for each in ("activity", "early", "terminated")]
    hub.until_marked("begin", *blocked, "held/1", "entity")
    hub.until_marked("end", *(f"{each}/{n}" for each in ("activity", "early", "terminated") for n in (0, 1)))
    hub.until_marked("failed", *(f"retries-{n}/once" for n in SECONDS))
    client.tell("early", "raiseEvent/go", "early")
    client.tell("terminated", "terminate?reason=enough")
    client.until("suspended", lambda told: told["runtimeStatus"] == "Running")
    client.tell("suspended", "suspend?reason=lunch")
    client.until("suspended", lambda told: told["runtimeStatus"] == "Suspended")
    client.tell("suspended", "raiseEvent/go", "meanwhile")
    client.until("held", lambda told: told["customStatus"] == "failed")
    for waiting in ("event", "parent", "parent-child", "entity"):
        client.until(waiting, lambda told: told["runtimeStatus"] == "Running")
    client.tell("rolls", "raiseEvent/next", "on")
    client.until("rolls", lambda told: told["customStatus"] == 2)
    for _ in range(3):
        status, _ = client.request("POST", "entities/counter/entity?op=add", "10")
        assert status == 202


def test_an_activity_is_run_again_and_those_beside_it_are_not(after: Interrupted) -> None:
    assert after.remains.unfinished["activity"] == {2: "activity/2"}
    after.client.tell("activity", "raiseEvent/go", "on")
    assert after.output("activity") == [
        "Processed activity/0",
        "Processed activity/1",
        "Released activity/2",
        "on",
    ]
    assert after.lives("begin", "activity/2") == [1, 2]
    assert after.lives("begin", "activity/0") == after.lives("begin", "activity/1") == [1]


def test_an_event_that_came_early_is_kept(after: Interrupted) -> None:
    assert after.output("early")[-1] == "early"


def test_what_was_terminated_stays_so_and_its_activity_is_not_run_again(after: Interrupted) -> None:
    told = after.client.status("terminated")
    assert (told["runtimeStatus"], told["output"]) == ("Terminated", "enough")
    after.output("early")  # whatever was to be run again has been by now
    assert after.lives("begin", "terminated/2") == [1]


def test_a_timer_fires_at_its_time(after: Interrupted) -> None:
    instance_id = after.still_open("sleeps")
    assert after.output(instance_id) == "awake"


def test_a_retry_pause_goes_on(after: Interrupted) -> None:
    instance_id = after.still_open("retries")
    assert after.remains.tasks(instance_id, TASK_FAILED) == [0]
    assert after.output(instance_id) == f"Again {instance_id}/once"


def test_an_event_is_still_waited_for(after: Interrupted) -> None:
    assert after.client.status("event")["runtimeStatus"] == "Running"
    after.client.tell("event", "raiseEvent/go", {"after": "the kill"})
    assert after.output("event") == {"after": "the kill"}


def test_a_child_still_answers_its_parent(after: Interrupted) -> None:
    after.client.tell("parent-child", "raiseEvent/go", "from the child")
    assert after.output("parent") == "from the child"
    assert after.output("parent-child") == "from the child"


def test_a_generation_goes_on_where_it_was(after: Interrupted) -> None:
    assert after.client.status("rolls")["customStatus"] == 2
    after.client.tell("rolls", "raiseEvent/next", "on")
    after.client.until("rolls", lambda told: told["customStatus"] == 3)
    after.client.tell("rolls", "raiseEvent/next", "stop")
    assert after.output("rolls") == 3


def test_an_entity_call_is_answered_once_and_signals_are_kept(after: Interrupted) -> None:
    assert after.output("entity") == 1
    assert after.lives("begin", "entity") == [1, 2]

    def state() -> Any:
        return after.client.request("GET", "entities/counter/entity")

    wait_until(lambda: state() == (200, 31), lambda: str(state()))


def test_what_was_suspended_stays_so_and_has_heard_everything(after: Interrupted) -> None:
    told = after.client.status("suspended")
    assert (told["runtimeStatus"], told["output"]) == ("Suspended", "lunch")
    after.client.tell("suspended", "resume?reason=back")
    assert after.output("suspended") == "meanwhile"


def test_what_was_held_back_starts_in_the_second_life(after: Interrupted) -> None:
    assert after.output("held") == "Processed held/2"
    assert Mark(1, "begin", "held/2") not in after.hub.marks()
    assert after.remains.tasks("held", TASK_FAILED, TASK_COMPLETED) == [0]
