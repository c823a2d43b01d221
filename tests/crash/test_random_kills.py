"""The plug is pulled: a real host, killed at random moments, and every promise kept.

Two task hubs go through ten deaths each. Every life finds what the last one left, starts more of it, and dies in
the midst of it: of the fan-outs, of commits, of answering a request. In the end everything that was acknowledged
has the right result, and the marks of the activities show that no stored result was ever worked for again.

CRASH_SEED repeats a run's choices (the machine's own timing stays random); CRASH_ROUNDS asks for more of them.
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

from tests.crash.crashing import (
    TASK_COMPLETED,
    TASK_FAILED,
    TASK_SCHEDULED,
    Client,
    Crashing,
    Remains,
    kill,
    wait_until,
)

SEED = int(os.environ.get("CRASH_SEED") or random.SystemRandom().randrange(10**6))
ROUNDS = int(os.environ.get("CRASH_ROUNDS") or 20)
ITEMS = 50

#: orchestrator -> its input, and the output of the instance with this id
KINDS: dict[str, tuple[Any, Callable[[str], Any]]] = {
    "fan": (ITEMS, lambda id: [f"Processed {id}/{n}" for n in range(ITEMS)]),
    "chain": (5, lambda id: [f"Processed {id}/{n}" for n in range(5)]),
    "tree": (None, lambda id: [4, 4]),
    "retried": (None, lambda id: f"Finally {id}/flaky"),
    "generations": (1, lambda id: "generation 5"),
    "naps": (None, lambda id: f"Processed {id}/awake"),
    "counts": (None, lambda id: [1, 2, 3, 4, 5]),
    "hears": (None, lambda id: id),  # the event that it is sent
}


class Chain:
    """One task hub and its lives. What a client was told is remembered: that much must be true."""

    def __init__(self, folder: Path, seed: str, lives: int) -> None:
        self.hub = Crashing(folder)
        self.random = random.Random(seed)
        self.lives = lives
        self.wanted: dict[str, str] = {}  # instance -> orchestrator, of every start that was asked for
        self.acknowledged: set[str] = set()
        self.heard: set[str] = set()  # those whose event was acknowledged
        self.stored: dict[int, set[str]] = {}  # life -> the activities with a stored result at its end

    def run(self) -> None:
        for life in range(1, self.lives + 1):
            with self.hub.start() as host:
                for kind in KINDS:
                    self.wanted[f"{kind}-{life}"] = kind
                before = self.hub.marks_now()
                # The fan-out alone leaves twice as many marks as it has items.
                after = before + self.random.randrange(2 * ITEMS)
                pause = self.random.random() * 0.004  # and somewhere between two marks
                with ThreadPoolExecutor(1) as clients:
                    asking = clients.submit(self.ask, Client(host))
                    wait_until(lambda after=after: self.hub.marks_now() >= after, "the marks do not come")
                    time.sleep(pause)
                    kill(host)
                    asking.result()
            self.check(self.hub.remains())
        with self.hub.start() as host:
            client = Client(host)
            self.ask(client)
            assert self.acknowledged == self.wanted.keys()
            for instance_id, kind in self.wanted.items():
                assert client.output(instance_id) == KINDS[kind][1](instance_id), instance_id
            kill(host)
        self.check(self.hub.remains())

    def ask(self, client: Client) -> None:
        """Start what no host has acknowledged yet, and send the events, until everything is told or the host dead."""
        try:
            for instance_id, kind in self.wanted.items():
                if instance_id not in self.acknowledged:
                    self.begin(client, instance_id, kind)
                    self.acknowledged.add(instance_id)
                if kind == "hears" and instance_id not in self.heard:
                    status, answer = client.request(
                        "POST", f"instances/{instance_id}/raiseEvent/go", instance_id
                    )
                    # 410: it was heard, only the answer was lost, and the instance has ended since
                    assert status in (202, 410), (instance_id, status, answer)
                    self.heard.add(instance_id)
        except OSError:
            pass  # killed

    def begin(self, client: Client, instance_id: str, kind: str) -> None:
        # The start may have come true although its answer was lost: to ask again could begin anew what has ended.
        if client.request("GET", f"instances/{instance_id}")[0] == 404:
            client.start(kind, instance_id, KINDS[kind][0])

    def check(self, remains: Remains) -> None:
        """What must be true of the database and the marks, whenever the host dies."""
        life, marks = self.hub.life, self.hub.marks()
        missing = self.acknowledged - remains.statuses.keys()
        assert not missing, f"acknowledged, and lost: {missing}"

        for instance_id in remains.histories:
            scheduled = remains.tasks(instance_id, TASK_SCHEDULED)
            ended = remains.tasks(instance_id, TASK_COMPLETED, TASK_FAILED)
            unfinished = list(remains.unfinished.get(instance_id, ()))
            assert sorted(scheduled) == sorted(ended + unfinished), f"{instance_id}: not each task once"
        for mark in marks:
            instance_id, _, number = mark.key.rpartition("/")
            if self.wanted.get(instance_id) == "fan":
                tasks = remains.tasks(instance_id, TASK_SCHEDULED)
                assert int(number) in tasks, f"{mark.key} began before it was scheduled"

        begun = Counter((mark.life, mark.key) for mark in marks if mark.what == "begin")
        assert set(begun.values()) <= {1}, f"twice in one life: {begun.most_common(1)}"
        stored = {key for _, key in begun} - {
            key for keys in remains.unfinished.values() for key in keys.values()
        }
        self.stored[life] = stored
        for earlier in range(1, life):
            again = {key for when, key in begun if when > earlier} & self.stored[earlier]
            assert not again, f"stored before the host died the {earlier}. time, and run again: {again}"


def test_nothing_is_lost_and_nothing_stored_is_done_again(tmp_path: Path) -> None:
    print(f"CRASH_SEED={SEED} CRASH_ROUNDS={ROUNDS}")
    chains = []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        chains.append(Chain(tmp_path / str(number), f"{SEED}.{number}", ROUNDS // 2))
    with ThreadPoolExecutor(2) as both:
        for done in [both.submit(chain.run) for chain in chains]:
            done.result()

    begun = [mark.key for chain in chains for mark in chain.hub.marks() if mark.what == "begin"]
    once = sum(len(chain.stored[chain.lives + 1]) for chain in chains)
    print(
        f"{len(begun)} activities begun, {len(begun) - once} of them again: the kill came before their result"
    )
