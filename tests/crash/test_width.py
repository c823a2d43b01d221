"""A very wide fan-out: it shows that it runs, is recorded in portions, and survives a kill between two of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from dfhost.engine import history as h
from tests.support.apps import write_app
from tests.support.host_process import HostProcess
from tests.support.waiting import until

pytestmark = pytest.mark.long

APP = """
@app.orchestration_trigger(context_name="context")
def fan(context: df.DurableOrchestrationContext):
    results = yield context.task_all([context.call_activity("twice", n) for n in range(context.get_input())])
    return sum(results)

@app.activity_trigger(input_name="n")
def twice(n: int) -> int:
    return 2 * n
"""
WIDTH = 25_000  # two portions and a half


def test_killed_between_two_portions_it_schedules_the_rest_and_ends_right(tmp_path: Path) -> None:
    folder, database = write_app(tmp_path / "app", APP), tmp_path / "hub.db"
    with HostProcess(folder, "--in-process", "--db", database) as host:
        host.client.start("fan", WIDTH, "wide")
        until(lambda: scheduled(database), lambda count: count > 0)
        host.kill()
    assert 0 < scheduled(database) <= WIDTH
    with HostProcess(folder, "--in-process", "--db", database) as host:
        assert host.client.output("wide") == WIDTH * (WIDTH - 1)
    assert scheduled(database) == WIDTH
    assert max(portions(database)) == 10_000


def portions(database: Path) -> Iterator[int]:
    """How many activities each episode has scheduled."""
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute("SELECT event ->> '$.EventType' FROM history ORDER BY seq")
        kinds = [kind for (kind,) in found]
    ends = [0, *(place for place, kind in enumerate(kinds) if kind == h.ORCHESTRATOR_COMPLETED)]
    return (kinds[begin:end].count(h.TASK_SCHEDULED) for begin, end in pairwise(ends))


def scheduled(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        (count,) = connection.execute(
            "SELECT count(*) FROM history WHERE event LIKE '{\"EventType\":4,%'"
        ).fetchone()
        return int(count)
