"""Every kind of wait, interrupted by a kill: it ends under the next host as it would have, and nothing happens twice.

All of them wait in one host when it is killed. The next host is given the same database and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.crash.hub_on_disk import TASK_COMPLETED, TASK_FAILED, HubOnDisk, Mark, StoredState
from tests.support.http_client import HttpClient
from tests.support.waiting import until

SECONDS = (1, 2, 4, 8, 16)  # of timers and retry pauses; the tests use the shortest still open at the kill


@dataclass
class Interrupted:
    hub: HubOnDisk
    stored: StoredState  # at the kill
    client: HttpClient  # of the second host

    def output(self, instance_id: str) -> Any:
        return self.client.output(instance_id)

    def hosts(self, what: str, key: str) -> list[int]:
        """The numbers of the hosts that left this mark."""
        return [mark.host for mark in self.hub.marks() if (mark.what, mark.key) == (what, key)]

    def still_open(self, name: str) -> str:
        """The instance whose timer was the next to fire when the host was killed."""
        return min((f"{name}-{n}" for n in SECONDS if f"{name}-{n}" in self.stored.timers), key=self._due)

    def _due(self, instance_id: str) -> str:
        return self.stored.timers[instance_id]


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Interrupted]:
    """The second host; whatever blocked in the first may now end."""
    hub = HubOnDisk(tmp_path_factory.mktemp("waits"))
    with hub.start() as host:
        start_waiting(hub, host.client)
        host.kill()
    stored = hub.stored()
    hub.release.touch()
    with hub.start() as host:
        yield Interrupted(hub, stored, host.client)


def start_waiting(hub: HubOnDisk, client: HttpClient) -> None:
    """Start everything, and return once all of it waits."""
    for seconds in SECONDS:
        client.start("sleeps", seconds, f"sleeps-{seconds}")
        client.start("retries_later", seconds, f"retries-{seconds}")
    client.start("blocks", instance_id="activity")
    client.start("blocks", instance_id="early")
    client.start("blocks", instance_id="terminated")
    client.start("holds_back", instance_id="held")
    client.start("hears", instance_id="event")
    client.start("hears", instance_id="suspended")
    client.start("has_child", instance_id="parent")
    client.start("rolls", 1, "rolls")
    client.start("asks", instance_id="entity")

    blocked = [f"{each}/2" for each in ("activity", "early", "terminated")]
    hub.until_marked("begin", *blocked, "held/1", "entity")
    hub.until_marked("end", *(f"{each}/{n}" for each in ("activity", "early", "terminated") for n in (0, 1)))
    hub.until_marked("failed", *(f"retries-{n}/once" for n in SECONDS))
    client.send("early", "raiseEvent/go", "early")
    client.send("terminated", "terminate?reason=enough")
    client.until("suspended", lambda status: status["runtimeStatus"] == "Running")
    client.send("suspended", "suspend?reason=lunch")
    client.until("suspended", lambda status: status["runtimeStatus"] == "Suspended")
    client.send("suspended", "raiseEvent/go", "meanwhile")
    client.until("held", lambda status: status["customStatus"] == "failed")
    for waiting in ("event", "parent", "parent-child", "entity"):
        client.until(waiting, lambda status: status["runtimeStatus"] == "Running")
    client.send("rolls", "raiseEvent/next", "on")
    client.until("rolls", lambda status: status["customStatus"] == 2)
    for _ in range(3):
        assert client.manage("POST", "entities/counter/entity?op=add", "10").status == 202


def test_an_activity_is_run_again_and_those_beside_it_are_not(after: Interrupted) -> None:
    assert after.stored.unfinished["activity"] == {2: "activity/2"}
    after.client.send("activity", "raiseEvent/go", "on")
    assert after.output("activity") == [
        "Processed activity/0",
        "Processed activity/1",
        "Released activity/2",
        "on",
    ]
    assert after.hosts("begin", "activity/2") == [1, 2]
    assert after.hosts("begin", "activity/0") == after.hosts("begin", "activity/1") == [1]


def test_an_event_that_came_early_is_kept(after: Interrupted) -> None:
    assert after.output("early")[-1] == "early"


def test_a_terminated_instance_stays_so_and_its_activity_is_not_run_again(after: Interrupted) -> None:
    status = after.client.status("terminated")
    assert (status["runtimeStatus"], status["output"]) == ("Terminated", "enough")
    after.output("early")  # by now everything that had to run again has run
    assert after.hosts("begin", "terminated/2") == [1]


def test_a_timer_fires_at_its_time(after: Interrupted) -> None:
    instance_id = after.still_open("sleeps")
    assert after.output(instance_id) == "awake"


def test_a_retry_pause_goes_on(after: Interrupted) -> None:
    instance_id = after.still_open("retries")
    assert after.stored.tasks(instance_id, TASK_FAILED) == [0]
    assert after.output(instance_id) == f"Again {instance_id}/once"


def test_an_event_is_still_waited_for(after: Interrupted) -> None:
    assert after.client.status("event")["runtimeStatus"] == "Running"
    after.client.send("event", "raiseEvent/go", {"after": "the kill"})
    assert after.output("event") == {"after": "the kill"}


def test_a_child_still_answers_its_parent(after: Interrupted) -> None:
    after.client.send("parent-child", "raiseEvent/go", "from the child")
    assert after.output("parent") == "from the child"
    assert after.output("parent-child") == "from the child"


def test_a_generation_goes_on_where_it_was(after: Interrupted) -> None:
    assert after.client.status("rolls")["customStatus"] == 2
    after.client.send("rolls", "raiseEvent/next", "on")
    after.client.until("rolls", lambda status: status["customStatus"] == 3)
    after.client.send("rolls", "raiseEvent/next", "stop")
    assert after.output("rolls") == 3


def test_an_entity_call_is_answered_once_and_signals_are_kept(after: Interrupted) -> None:
    assert after.output("entity") == 1
    assert after.hosts("begin", "entity") == [1, 2]
    until(lambda: after.client.manage("GET", "entities/counter/entity").plain, lambda seen: seen == (200, 31))


def test_a_suspended_instance_stays_so_and_keeps_its_events(after: Interrupted) -> None:
    status = after.client.status("suspended")
    assert (status["runtimeStatus"], status["output"]) == ("Suspended", "lunch")
    after.client.send("suspended", "resume?reason=back")
    assert after.output("suspended") == "meanwhile"


def test_an_activity_that_was_held_back_starts_under_the_second_host(after: Interrupted) -> None:
    assert after.output("held") == "Processed held/2"
    assert Mark(1, "begin", "held/2") not in after.hub.marks()
    assert after.stored.tasks("held", TASK_FAILED, TASK_COMPLETED) == [0]
