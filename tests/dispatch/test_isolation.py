"""What goes wrong with one instance, entity or timer is named, and keeps no other from its messages.

The rows were damaged while no host ran; `tests/store/test_poison_messages.py` has the messages themselves.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dfhost.engine import history as h
from dfhost.timeline.builder import OFF_LOOP_FROM
from tests.support.apps import write_app
from tests.support.running_host import RunningHost, running_host
from tests.support.waiting import eventually

OTHERS = [f"other-{number}" for number in range(5)]


def damage(file: Path, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        assert connection.execute(statement, values).rowcount == 1


async def counted(host: RunningHost, key: str, count: int) -> None:
    await eventually(
        lambda: host.request("GET", f"entities/counter/{key}"), lambda seen: seen == (200, count)
    )


async def test_an_instance_that_cannot_be_loaded_keeps_no_other_from_going_on(tmp_path: Path) -> None:
    file = tmp_path / "hub.db"
    async with running_host(database=file) as host:
        for instance in ("bad", *OTHERS):
            await host.start("waits", ["a", "b"], instance)
            await host.until_waiting(instance, "event")
            await host.send(instance, "raiseEvent/a", 1)
    damage(file, "UPDATE instances SET created_at = '2026-11-31T25:00:00.000000Z' WHERE instance_id = 'bad'")
    async with running_host(database=file) as host:
        await asyncio.gather(*(host.send(instance, "raiseEvent/b", 2) for instance in ("bad", *OTHERS)))
        for instance in OTHERS:
            assert await host.output(instance) == [1, 2]
        named = [note for note in host.log.notes if "dfhost itself failed when it loaded bad" in note]
        assert len(named) == 1 and "ValueError" in named[0]


async def test_an_entity_whose_state_cannot_be_read_keeps_no_other_from_its_operations(
    tmp_path: Path,
) -> None:
    file = tmp_path / "hub.db"
    async with running_host(database=file) as host:
        for key in ("bad", *OTHERS):
            await host.signal("counter", key, "add", 1)
            await counted(host, key, 1)
    damage(
        file, "UPDATE entities SET state = ? WHERE entity_id = '@counter@bad'", '{"exists":true,"state":5}'
    )
    async with running_host(database=file, max_entities=1) as host:
        for key in ("bad", *OTHERS, "bad"):
            await host.signal("counter", key, "add", 1)
        for key in OTHERS:
            await counted(host, key, 2)
        assert host.log.notes == [
            "The state of @counter@bad cannot be read (ValueError: it is no scheduler state). The entity stays as it "
            "is until it is purged; everything else goes on."
        ]


@pytest.mark.long
async def test_a_timer_that_cannot_be_read_keeps_no_other_from_firing(tmp_path: Path) -> None:
    file = tmp_path / "hub.db"
    async with running_host(database=file) as host:
        for instance in ("bad", *OTHERS):
            await host.start("sleeps", 3600 if instance == "bad" else 2, instance)
            await host.until_waiting(instance, "timer")
    damage(file, "UPDATE timers SET fire_at = '20260' WHERE instance_id = 'bad'")
    async with running_host(database=file) as host:
        for instance in OTHERS:
            assert await host.output(instance) == "woke"
        assert await host.run("sleeps", 0.2) == "woke"


# -- what nothing stored explains ------------------------------------------------------------------------------
NO_ACTION = """
    @app.generic_trigger(arg_name="context", type="orchestrationTrigger")
    def waits(context):
        return '{"isDone": false, "actions": [[{}]], "output": null, "error": null}'
"""


async def test_an_instance_that_cannot_be_replayed_can_still_be_looked_at(tmp_path: Path) -> None:
    file = tmp_path / "hub.db"
    async with running_host(database=file) as host:
        await host.start("waits", ["a"], "bad")
        await host.until_waiting("bad", "event")
    async with running_host(write_app(tmp_path / "app", NO_ACTION), database=file) as host:
        for _ in range(3):
            await host.explain("bad")
        named = [note for note in host.log.notes if "dfhost itself failed when it replayed bad" in note]
        assert len(named) == 1 and "KeyError: 'actionType'" in named[0]
        await host.send("bad", "raiseEvent/a", 1)
        assert "KeyError('actionType')" in await host.failure("bad")


async def test_a_long_history_that_failed_is_read_from_a_connection_of_its_own(tmp_path: Path) -> None:
    """It is read in a thread, while the loop reads for requests and episodes."""
    async with running_host(database=tmp_path / "hub.db") as host:
        readers: set[threading.Thread] = set()
        connection = host.host.hub._store._reader
        connection.set_trace_callback(lambda _: readers.add(threading.current_thread()))
        instance = await host.start("fan", {"activity": "fail", "inputs": ["no"] * OFF_LOOP_FROM})
        await host.failure(instance)
        await host.log.entry("failed", "fan")
        connection.set_trace_callback(None)
        assert readers == {threading.current_thread()}, "two threads would meet in one transaction"


@pytest.mark.parametrize("has_begun", [False, True])
async def test_an_episode_that_cannot_be_stored_leaves_no_gap_in_the_history(
    has_begun: bool, tmp_path: Path
) -> None:
    file = tmp_path / "hub.db"
    async with running_host(database=file) as host:
        await host.start("event_and_step", None, "begun")
        await host.until_waiting("begun", "event")
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(
            "CREATE TRIGGER refuses BEFORE INSERT ON activities BEGIN SELECT RAISE(ABORT, 'not this one'); END"
        )
    instance = "begun" if has_begun else "new"
    async with running_host(database=file) as host:
        if has_begun:
            await host.send(instance, "raiseEvent/go", 1)
        else:
            await host.start("fan", {"activity": "echo", "inputs": [1]}, instance)
        assert "not this one" in await host.failure(instance)
    with closing(sqlite3.connect(file)) as connection:
        places, events = zip(
            *connection.execute("SELECT seq, event FROM history WHERE instance_id = ?", (instance,)),
            strict=True,
        )
    assert places == tuple(range(len(places)))
    arrived = h.EVENT_RAISED if has_begun else h.EXECUTION_STARTED
    failing = [h.ORCHESTRATOR_STARTED, arrived, h.EXECUTION_COMPLETED, h.ORCHESTRATOR_COMPLETED]
    assert [json.loads(event)["EventType"] for event in events[-4:]] == failing


async def test_a_request_too_deep_to_be_read_is_set_aside(tmp_path: Path) -> None:
    file = tmp_path / "hub.db"
    async with running_host(database=file) as host:
        await host.signal("counter", "x", "add", 1)
        await counted(host, "x", 1)
    damage(file, "INSERT INTO entity_requests VALUES ('@counter@x', 1000, ?)", "[" * 100_000)
    async with running_host(database=file, max_entities=1) as host:
        await host.signal("counter", "x", "add", 1)
        await counted(host, "x", 2)
        assert [note for note in host.log.notes if "RecursionError" in note]


async def test_a_batch_in_which_the_host_fails_leaves_the_entity_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running_host(max_entities=1) as host:
        with monkeypatch.context() as patched:
            patched.setattr(host.log, "started", lambda *_: 1 / 0)
            await host.signal("counter", "x", "add", 1)
            await eventually(lambda: host.explain("@counter@x"), lambda _: len(host.log.notes) == 2)
        await host.signal("counter", "x", "add", 2)
        await counted(host, "x", 2)
        assert "dfhost itself failed in a batch of @counter@x" in host.log.notes[0]
        assert "A message to @counter@x cannot be processed (ZeroDivisionError" in host.log.notes[1]


async def test_an_entity_whose_reply_has_no_readable_state_fails_its_operations(tmp_path: Path) -> None:
    app = """
        @app.generic_trigger(arg_name="context", type="entityTrigger")
        def counter(context):
            results = '[{"isError": false, "duration": 0, "result": "1"}]'
            return '{"entityExists": true, "entityState": 5, "signals": [], "results": ' + results + "}"

        @app.orchestration_trigger(context_name="context")
        def calls(context):
            return (yield context.call_entity(df.EntityId("counter", "x"), "get"))
    """
    async with running_host(write_app(tmp_path, app), max_entities=1) as host:
        for _ in range(2):
            assert "'entityState' is 5" in await host.failure(await host.start("calls"))
