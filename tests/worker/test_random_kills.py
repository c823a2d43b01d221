"""Workers and hosts are killed at random moments while orchestrations run.

A host that is killed loses nothing and fails nothing. A worker that is killed fails what ran in it and nothing else:
every orchestration ends, completed as it should or failed by an activity or a turn that was killed.

CRASH_ROUNDS says how often (6); CRASH_SEED repeats a run.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.support.apps import APPS
from tests.support.host_process import HostProcess

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "6"))
KILLED = ("exited with code 137 (0x89)", "Non-Deterministic workflow detected")

pytestmark = [pytest.mark.stress, pytest.mark.timeout(60 + 20 * ROUNDS)]


def worker_pid(host: HostProcess) -> int:
    children = Path(f"/proc/{host.pid}/task").glob("*/children")
    return int(" ".join(file.read_text() for file in children).split()[0])


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads /proc")
def test_kills_of_hosts_fail_nothing_and_kills_of_workers_only_what_ran(tmp_path: Path) -> None:
    seed = int(os.environ.get("CRASH_SEED", time.time_ns() % 10**6))
    print(f"CRASH_SEED={seed}")
    rng = random.Random(seed)
    database = tmp_path / "hub.db"
    expected: dict[str, object] = {}
    worker_kills: list[int] = []  # in these rounds
    for number in range(ROUNDS):
        with HostProcess(
            APPS / "dying", "--db", database, "--workers", "1", "--quiet", SCRATCH=str(tmp_path)
        ) as host:
            for k in range(4):
                fan, loop = f"fan-{number}-{k}", f"loop-{number}-{k}"
                expected[host.client.start("fan", ["echo", 20], fan)] = list(range(20))
                expected[host.client.start("loops", 30, loop)] = sum(range(30))
            time.sleep(rng.uniform(0.0, 0.3))
            if rng.random() < 0.5:
                worker_kills.append(number)
                os.kill(worker_pid(host), signal.SIGKILL)
                time.sleep(rng.uniform(0.0, 0.3))
            host.kill()
    with HostProcess(APPS / "dying", "--db", database, "--workers", "1", SCRATCH=str(tmp_path)) as host:
        failed = 0
        for instance_id, output in expected.items():
            status = host.client.ended(instance_id)
            if status["runtimeStatus"] == "Completed":
                assert status["output"] == output, instance_id
            else:
                failed += 1
                begun_in = int(instance_id.split("-")[1])
                assert any(begun_in <= number for number in worker_kills), status
                assert any(words in json.dumps(status["output"]) for words in KILLED), status
        print(f"{ROUNDS} rounds, {len(worker_kills)} kills of workers: {failed} of {len(expected)} failed")
