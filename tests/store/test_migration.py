"""A database that a host of schema version 1 left behind goes on under this one.

`schema_1.sql` is such a file as text. A killed host of the app `worker` left in it: "rolls" at the start of a
generation, "waits" for its second event, "steps" in its second activity, "parent" with a sleeping child, "done",
and the entity @counter@k in an operation, with a call by "asks" behind it.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest

from dfhost.errors import DatabaseError
from dfhost.store.store import Store
from tests.support.queues import Queues
from tests.support.running_host import running_host

SCHEMA_1 = Path(__file__).parent / "schema_1.sql"


async def test_a_file_of_version_1_goes_on(gates: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "hub.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(SCHEMA_1.read_text())
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    for gate in ("rolling", "work", "entity"):
        gates.open(gate)
    async with running_host(database=file) as host:
        assert await host.output("done") == [1, 2]
        assert await host.output("rolls") == 5
        assert await host.output("steps") == [1, "work"]
        assert await host.output("parent") == "woke"
        assert await host.output("asks") == 6
        await host.send("waits", "raiseEvent/end", "late")
        assert await host.output("waits") == ["early", "late"]
        listed = await host.request("GET", "instances")
        assert sorted(each["instanceId"] for each in listed[1]) == [
            "@counter@k", "asks", "child", "done", "parent", "rolls", "steps", "waits",
        ]  # fmt: skip
    assert schema_of(file) == schema_of(await new_file(tmp_path))


async def new_file(folder: Path) -> Path:
    async with running_host(database=folder / "new.db"):
        pass
    return folder / "new.db"


def schema_of(file: Path) -> object:
    """Its version, and every table and index with its columns."""
    with closing(sqlite3.connect(file)) as connection:
        names = connection.execute("SELECT name, type FROM sqlite_master ORDER BY name").fetchall()
        columns = [connection.execute(f"PRAGMA table_xinfo({name})").fetchall() for name, _ in names]
        return connection.execute("PRAGMA user_version").fetchone(), names, columns


_WITHOUT_NEWEST = "DROP TABLE first_generations; DROP TABLE queue_messages"
_OLD_NAMES = f"""
{_WITHOUT_NEWEST};
ALTER TABLE task_facts RENAME TO attempts;
ALTER TABLE wal_marker RENAME COLUMN is_complete TO present;
ALTER TABLE wal_marker RENAME TO log;
"""


@pytest.mark.parametrize(
    ("version", "undo"),
    [
        (2, f"{_OLD_NAMES} DROP TABLE attempts"),
        (
            3,
            f"{_OLD_NAMES} ALTER TABLE attempts DROP COLUMN worker; ALTER TABLE attempts DROP COLUMN cancelled_at",
        ),
        (4, _WITHOUT_NEWEST),
    ],
)
async def test_a_file_of_a_later_version_goes_on(tmp_path: Path, version: int, undo: str) -> None:
    file = await new_file(tmp_path)
    expected = schema_of(file)
    with closing(sqlite3.connect(file)) as connection:
        marker = "wal_marker SET is_complete" if version >= 4 else "log SET present"
        connection.executescript(f"{undo}; PRAGMA user_version = {version}; UPDATE {marker} = 0")
    Path(f"{file}-wal").unlink(missing_ok=True)
    before = file.read_bytes()
    with pytest.raises(DatabaseError, match="lacks its write-ahead log") as refusal:
        Store(file).open()
    assert file.read_bytes() == before, "the log may be put back, so nothing is migrated without it"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(str(refusal.value).split("'")[1])  # as the sentence says
    async with running_host(database=file) as host:
        assert await host.run("retries", {"milliseconds": 1, "attempts": 2, "text": "no"}) is not None
    assert schema_of(file) == expected


async def test_a_file_of_version_4_gets_queues(tmp_path: Path) -> None:
    file = await new_file(tmp_path)
    expected = schema_of(file)
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(f"{_WITHOUT_NEWEST}; PRAGMA user_version = 4")
    async with running_host(database=file) as host:
        queues = Queues(host)
        await queues.put("orders", "a")
        assert await host.run("fan", {"activity": "echo", "inputs": [1]}) == [1]
    async with running_host(database=file) as host:
        assert await Queues(host).texts("orders") == ["a"]
    assert schema_of(file) == expected
