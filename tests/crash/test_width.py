"""A very wide fan-out: it shows that it runs, is recorded in portions, and survives a kill between two of them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.support.apps import write_app
from tests.support.host_process import HostProcess
from tests.support.waiting import until

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
    with HostProcess(folder, "--db", database) as host:
        host.client.start("fan", WIDTH, "wide")
        until(lambda: scheduled(database), lambda count: count > 0)
        host.kill()
    assert 0 < scheduled(database) <= WIDTH
    with HostProcess(folder, "--db", database) as host:
        assert host.client.output("wide") == WIDTH * (WIDTH - 1)
    assert scheduled(database) == WIDTH


def scheduled(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        (count,) = connection.execute(
            "SELECT count(*) FROM history WHERE event LIKE '{\"EventType\":4,%'"
        ).fetchone()
        return int(count)
