"""A real host, killed with SIGKILL at random moments: every promise holds all the same.

Two task hubs go through half of the kills each. Every host finds what the one before it left, starts more
instances, and is killed in the middle of fan-outs, of commits and of answering requests. At the end every
acknowledged instance has the right output, and the marks of the activities show that no activity ran again
after its result was stored.

CRASH_SEED repeats the random choices of a run (the machine's own timing stays random); CRASH_ROUNDS: kills in all.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.crash.hub_on_disk import TASK_COMPLETED, TASK_FAILED, TASK_SCHEDULED, HubOnDisk, StoredState
from tests.support.http_client import HttpClient
from tests.support.waiting import until

SEED = int(os.environ.get("CRASH_SEED") or random.SystemRandom().randrange(10**6))
ROUNDS = int(os.environ.get("CRASH_ROUNDS") or 10)
ITEMS = 50

#: orchestrator -> its input, and the output that the instance with this id must have
ORCHESTRATORS: dict[str, tuple[Any, Callable[[str], Any]]] = {
    "fan": (ITEMS, lambda id: [f"Processed {id}/{n}" for n in range(ITEMS)]),
    "chain": (5, lambda id: [f"Processed {id}/{n}" for n in range(5)]),
    "tree": (None, lambda id: [4, 4]),
    "retried": (None, lambda id: f"Finally {id}/flaky"),
    "generations": (1, lambda id: "generation 5"),
    "naps": (None, lambda id: f"Processed {id}/awake"),
    "counts": (None, lambda id: [1, 2, 3, 4, 5]),
    "hears": (None, lambda id: id),  # the event that it is sent
}


class KilledHub:
    """One task hub and its hosts; and what they acknowledged, which must be true for ever."""

    def __init__(self, folder: Path, seed: str, kills: int) -> None:
        self.hub = HubOnDisk(folder)
        self.random = random.Random(seed)
        self.kills = kills
        self.wanted: dict[str, str] = {}  # instance -> orchestrator, of every start that was asked for
        self.acknowledged: set[str] = set()
        self.event_acknowledged: set[str] = set()
        self.stored: dict[int, set[str]] = {}  # host -> the activities whose result was stored at its end

    def run(self) -> None:
        for number in range(1, self.kills + 1):
            with self.hub.start() as host:
                for orchestrator in ORCHESTRATORS:
                    self.wanted[f"{orchestrator}-{number}"] = orchestrator
                # The fan-out alone leaves twice as many marks as it has items.
                enough = self.hub.mark_count() + self.random.randrange(2 * ITEMS)
                pause = self.random.random() * 0.004  # and somewhere between two marks
                with ThreadPoolExecutor(1) as clients:
                    requests = clients.submit(self.start_and_signal, host.client)
                    until(self.hub.mark_count, enough.__le__, longest_pause=0.002)
                    time.sleep(pause)
                    host.kill()
                    requests.result()
            self.check(self.hub.stored())
        with self.hub.start() as host:
            self.start_and_signal(host.client)
            assert self.acknowledged == self.wanted.keys()
            for instance_id, orchestrator in self.wanted.items():
                assert host.client.output(instance_id) == ORCHESTRATORS[orchestrator][1](instance_id)
            host.kill()
        self.check(self.hub.stored())

    def start_and_signal(self, client: HttpClient) -> None:
        """Send the starts and events that no host has acknowledged yet, until all are sent or the host is dead."""
        try:
            for instance_id, orchestrator in self.wanted.items():
                if instance_id not in self.acknowledged:
                    self.start(client, instance_id, orchestrator)
                    self.acknowledged.add(instance_id)
                if orchestrator == "hears" and instance_id not in self.event_acknowledged:
                    response = client.manage("POST", f"instances/{instance_id}/raiseEvent/go", instance_id)
                    # 410: an earlier host took the event and was killed before it answered; the instance has ended
                    assert response.status in (202, 410), (instance_id, response)
                    self.event_acknowledged.add(instance_id)
        except OSError:
            pass  # killed

    def start(self, client: HttpClient, instance_id: str, orchestrator: str) -> None:
        # The start may be stored although its answer was lost: a second one could replace what has ended.
        if client.manage("GET", f"instances/{instance_id}").status == 404:
            client.start(orchestrator, ORCHESTRATORS[orchestrator][0], instance_id)

    def check(self, state: StoredState) -> None:
        """What must be true of the database and the marks, whenever the host dies."""
        number, marks = self.hub.host_number, self.hub.marks()
        missing = self.acknowledged - state.statuses.keys()
        assert not missing, f"acknowledged, and lost: {missing}"

        for instance_id in state.events:
            scheduled = state.tasks(instance_id, TASK_SCHEDULED)
            ended = state.tasks(instance_id, TASK_COMPLETED, TASK_FAILED)
            unfinished = list(state.unfinished.get(instance_id, ()))
            assert sorted(scheduled) == sorted(ended + unfinished), f"{instance_id}: not each task once"
        for mark in marks:
            instance_id, _, index = mark.key.rpartition("/")
            if self.wanted.get(instance_id) == "fan":
                tasks = state.tasks(instance_id, TASK_SCHEDULED)
                assert int(index) in tasks, f"{mark.key} ran before it was scheduled"

        started = Counter((mark.host, mark.key) for mark in marks if mark.what == "begin")
        assert set(started.values()) <= {1}, f"twice under one host: {started.most_common(1)}"
        self.stored[number] = {key for _, key in started} - {
            key for keys in state.unfinished.values() for key in keys.values()
        }
        for earlier in range(1, number):
            again = {key for host, key in started if host > earlier} & self.stored[earlier]
            assert not again, f"stored when host {earlier} was killed, and run again: {again}"


@pytest.mark.long
def test_a_few_kills_lose_nothing(tmp_path: Path) -> None:
    kill_at_random_moments(tmp_path, 4)


@pytest.mark.stress
def test_nothing_is_lost_and_nothing_stored_is_done_again(tmp_path: Path) -> None:
    kill_at_random_moments(tmp_path, ROUNDS)


def kill_at_random_moments(folder: Path, rounds: int) -> None:
    print(f"CRASH_SEED={SEED} CRASH_ROUNDS={rounds}")
    hubs = []
    for number in range(2):
        (folder / str(number)).mkdir()
        hubs.append(KilledHub(folder / str(number), f"{SEED}.{number}", rounds // 2))
    with ThreadPoolExecutor(2) as both:
        for done in [both.submit(hub.run) for hub in hubs]:
            done.result()

    started = sum(mark.what == "begin" for hub in hubs for mark in hub.hub.marks())
    once = sum(len(hub.stored[hub.kills + 1]) for hub in hubs)
    print(f"{started} activities started, {started - once} of them again: the kill came before their result")
