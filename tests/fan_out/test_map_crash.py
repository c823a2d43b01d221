"""SIGKILL in the middle of a map: the right output all the same, and nothing that was stored runs again."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from tests.fan_out.map_host import APP, MapHost

COUNT = 2000
ROUNDS = 3
BOUND = 40


@pytest.mark.stress
def test_a_map_survives_being_killed_and_runs_no_item_again_whose_result_was_stored(tmp_path: Path):
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    runs_when_stored: Counter[int] = Counter()
    with MapHost(tmp_path) as host:
        given = [{"value": n, "seconds": 0.002} for n in range(COUNT)]
        run = host.start_map({"items": given, "max_concurrency": BOUND, "results": "values"})["id"]
        kill(host, run, COUNT // 10)
    for _ in range(ROUNDS - 1):
        with MapHost(tmp_path) as host:
            done = stored(host, run)
            starts = host.marks(run).starts
            for index in done - runs_when_stored.keys():
                runs_when_stored[index] = starts[index]
            left = COUNT - len(starts)
            kill(host, run, len(starts) + chance.randrange(left // 4, left // 2))
    with MapHost(tmp_path) as host:
        output = host.ended(run)["output"]
        starts = host.marks(run).starts
    assert output["results"] == list(range(COUNT))
    assert (output["succeeded"], output["reason"]) == (COUNT, None)
    assert runs_when_stored, "it was killed before anything was stored"
    assert {index: starts[index] for index in runs_when_stored} == runs_when_stored
    # Twice ran what was in flight at a kill, and what had only just ended.
    assert sum(starts.values()) <= COUNT + ROUNDS * 2 * BOUND


def kill(host: MapHost, run: str, after: int) -> None:
    host.until(lambda: len(host.marks(run).starts), lambda started: started >= after)
    host.host.signal(signal.SIGKILL)
    host.host.exit_code()


def stored(host: MapHost, run: str) -> set[int]:
    """The indexes of the items whose chunk has ended."""
    url = f"/runtime/webhooks/durabletask/instances?instanceIdPrefix={run}&top=1000"
    parts = host.call("GET", url)[1]
    chunks = [part for part in parts if part["name"] == "map_chunk" and part["runtimeStatus"] == "Completed"]
    return {result[1] for chunk in chunks for result in chunk["output"] if result}


# -- at every commit -----------------------------------------------------------------------------------------------

SMALL = 60
AT_ONCE = 4


@pytest.mark.stress
@pytest.mark.timeout(900)
def test_a_map_killed_before_any_of_its_commits_loses_and_repeats_nothing_that_was_stored(tmp_path: Path):
    armed = tmp_path / "armed"
    environ = {"PYTHONPATH": str(APP / "killed"), "KILL_AT": str(armed)}
    body = {"items": [{"value": n} for n in range(SMALL)], "max_concurrency": AT_ONCE, "results": "values"}
    run, started, done, commits = None, Counter[int](), set[int](), 0
    while True:
        # A host without a worker starts in half the time; it is the host's commits that matter here.
        with MapHost(tmp_path, "--in-process", **environ) as host:
            if run:
                assert host.ended(run)["output"]["results"] == list(range(SMALL)), f"commit {commits}"
                starts = host.marks(run).starts
                assert {n: starts[n] for n in done} == {n: started[n] for n in done}, f"commit {commits}"
                assert sum(starts.values()) <= SMALL + AT_ONCE
            commits += 1
            armed.write_text(str(commits))
            run = None
            try:
                run = host.start_map(body)["id"]
                shown = host.ended(run)
            except OSError:  # killed before an answer
                pass
            else:
                assert shown["output"]["succeeded"] == SMALL
                break  # there is no commit left to be killed at
            assert host.host.exit_code() == -signal.SIGKILL
        armed.unlink()
        if run:
            started, waiting = host.marks(run).starts, unfinished(host, run)
            done = started.keys() - waiting
    print(f"killed at {commits - 1} commits")
    assert commits > SMALL / AT_ONCE / 2


def unfinished(host: MapHost, run: str) -> set[int]:
    """The indexes of the items that are scheduled and have no stored result."""
    with closing(sqlite3.connect(host.database)) as connection:
        inputs = [json.loads(row[0]) for row in connection.execute("SELECT input FROM activities")]
    return {one["index"] for one in inputs if isinstance(one, dict) and one.get("map_id") == run}
