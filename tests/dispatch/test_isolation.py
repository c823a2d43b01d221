"""What goes wrong with one instance, entity or timer is named, and keeps no other from its messages.

The rows were damaged while no host ran; `tests/store/test_poison_messages.py` has the messages themselves.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

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
