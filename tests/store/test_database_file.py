"""Opening the database file: it is taken as it is, or refused with a sentence and left unchanged."""

from __future__ import annotations

import ctypes
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from dfhost.errors import DatabaseError
from dfhost.store.store import Store


@pytest.fixture
async def file(tmp_path: Path) -> Path:
    """A database as a host leaves it."""
    store = Store(tmp_path / "hub.db")
    store.open()
    store.close()
    return tmp_path / "hub.db"


def refused(file: Path) -> str:
    """The sentence with which the store does not open; the file is as it was."""
    before = file.read_bytes() if file.is_file() else b""
    with pytest.raises(DatabaseError) as said:
        Store(file).open()
    assert (file.read_bytes() if file.is_file() else b"") == before
    assert str(said.value).startswith(str(file)) or f" {file}" in str(said.value)
    return str(said.value)


async def test_a_file_opened_twice(file: Path) -> None:
    first = Store(file)
    first.open()
    assert f"is in use by another host (process {os.getpid()})" in refused(file)
    first.close()
    second = Store(file)
    second.open()
    second.close()


async def test_a_file_of_a_newer_dfhost(file: Path) -> None:
    _execute(file, "PRAGMA user_version = 99")
    said = refused(file)
    assert "was written by a newer dfhost (schema 99" in said
    assert "upgrade dfhost" in said


async def test_a_file_of_another_program(tmp_path: Path) -> None:
    _execute(tmp_path / "shop.db", "CREATE TABLE invoices (id INTEGER)")
    assert "is a database of something else" in refused(tmp_path / "shop.db")


@pytest.mark.parametrize(
    "content", [b"no database at all " * 100, b"short", b"\0" * 5000, b"SQLite format 3\0"]
)
async def test_a_file_that_is_no_database(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "hub.db").write_bytes(content)
    assert "is not a database" in refused(tmp_path / "hub.db")


@pytest.mark.parametrize("intact", [100, 4096])
async def test_a_damaged_file(file: Path, intact: int) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:intact] + b"\x55" * (len(content) - intact))
    assert "it is damaged" in refused(file)


@pytest.mark.parametrize("emptied", [False, True])
async def test_empty(file: Path, tmp_path: Path, emptied: bool) -> None:
    database = file if emptied else tmp_path / "new.db"
    database.write_bytes(b"")
    said = refused(database)
    assert f"{database} is empty" in said and "delete it to begin with a new one" in said


async def test_an_sqlite_file_without_tables(tmp_path: Path) -> None:
    _execute(tmp_path / "hub.db", "PRAGMA user_version = 7")
    assert "is a database of something else" in refused(tmp_path / "hub.db")


async def test_without_the_version_of_its_schema(file: Path) -> None:
    _execute(file, "PRAGMA user_version = 0")
    assert "has lost the version of its schema" in refused(file)


async def test_what_is_created_is_for_this_user_alone(tmp_path: Path) -> None:
    store = Store(tmp_path / "folder" / "hub.db")
    store.open()
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "folder").iterdir()}
    store.close()
    assert modes == dict.fromkeys(("hub.db", "hub.db-wal", "hub.db-shm", "hub.db.lock"), 0o600)
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o700
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["hub.db"]


# -- two hosts on one file ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("how", ["symbolic link", "hard link", "without its lock file"])
async def test_in_use_under_another_name(file: Path, how: str) -> None:
    first = Store(file)
    first.open()
    other = file.with_name("other.db")
    if how == "symbolic link":
        other.symlink_to(file)
    elif how == "hard link":
        other.hardlink_to(file)
    else:
        file.with_name("hub.db.lock").unlink()
        other = file
    with pytest.raises(DatabaseError, match="is in use by another host"):
        Store(other).open()
    first.close()
    assert not file.with_name("hub.db-wal").exists(), "SQLite's own locks are as they were"


async def test_a_link_leads_to_the_files_own_log(file: Path) -> None:
    (file.parent / "elsewhere").mkdir()
    link = file.parent / "elsewhere" / "link.db"
    link.symlink_to(file)
    store = Store(link)
    store.open()
    assert file.with_name("hub.db-wal").exists()
    store.close()


# -- the write-ahead log -----------------------------------------------------------------------------------------
KILLED = """
import asyncio, os, pathlib, sys
from dfhost.store.store import Store

async def killed():
    store = Store(pathlib.Path(sys.argv[1]))
    store.open()
    for number in range(int(sys.argv[2])):
        await store.signal_entity(f"@counter@{number}", "x" * 100_000, "2026-01-01T00:00:00.000000Z")
    os._exit(0)

asyncio.run(killed())
"""


LeftBehind = Callable[[int], Path]  # what is there after so many events


@pytest.fixture(scope="module")
def killed_hosts(tmp_path_factory: pytest.TempPathFactory) -> LeftBehind:
    """The folder with all that a host leaves that was killed after so many events of 100 KB."""

    @cache
    def folder(events: int) -> Path:
        folder = tmp_path_factory.mktemp("killed")
        subprocess.run([sys.executable, "-c", KILLED, str(folder / "hub.db"), str(events)], check=True)
        return folder

    return folder


@pytest.fixture
def left_by_a_killed_host(tmp_path: Path, killed_hosts: LeftBehind) -> LeftBehind:
    """Puts the files of a killed host into the test's folder, and returns the write-ahead log among them."""

    def files(events: int) -> Path:
        shutil.copytree(killed_hosts(events), tmp_path, dirs_exist_ok=True)
        return tmp_path / "hub.db-wal"

    return files


async def count(file: Path) -> int:
    store = Store(file)
    store.open()
    counted = len(store.entities())
    store.close()
    return counted


@pytest.mark.parametrize("how", ["deleted", "emptied", "overwritten"])
@pytest.mark.parametrize("events", [1, 200])  # 200 are several checkpoints
async def test_without_the_log_of_a_killed_host(
    file: Path, how: str, events: int, left_by_a_killed_host: LeftBehind
) -> None:
    log = left_by_a_killed_host(events)
    if how == "deleted":
        log.unlink()
    else:
        log.write_bytes(b"" if how == "emptied" else bytes(100_000))
    said = refused(file)
    assert "lacks its write-ahead log hub.db-wal, which has the newest events" in said
    _execute(file, "UPDATE wal_marker SET is_complete = 1")  # as the sentence says
    assert await count(file) <= events


@pytest.mark.parametrize("events", [0, 1, 200])
async def test_a_killed_host_left_everything(
    file: Path, events: int, left_by_a_killed_host: LeftBehind
) -> None:
    assert left_by_a_killed_host(events).stat().st_size < 20_000_000
    assert await count(file) == events


async def test_a_shell_that_has_taken_the_log_into_the_file_does_no_harm(
    file: Path, left_by_a_killed_host: LeftBehind
) -> None:
    log = left_by_a_killed_host(3)
    _execute(file, "SELECT 1 FROM entities")
    assert not log.exists()
    assert await count(file) == 3


async def test_a_log_without_its_file(file: Path, left_by_a_killed_host: LeftBehind) -> None:
    log = left_by_a_killed_host(1)
    file.unlink()
    with pytest.raises(DatabaseError, match="is missing, but its write-ahead log hub"):
        Store(file).open()
    assert log.exists()


async def test_a_folder(tmp_path: Path) -> None:
    assert "is a folder, not a database file" in refused(tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_a_file_locked_by_another_program(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfhost.store.database.BUSY_SECONDS", 0.01)
    shell = sqlite3.connect(file, isolation_level=None)
    shell.execute("BEGIN IMMEDIATE")
    assert "is locked by another program" in refused(file)
    shell.execute("ROLLBACK")
    shell.close()
    store = Store(file)
    store.open()
    store.close()


# -- what this user may not write ------------------------------------------------------------------------------
BOUNDING_SET_DROP = 24  # prctl
DAC_OVERRIDE, DAC_READ_SEARCH = 1, 2  # the capabilities by which root may write what is read-only


OPEN = """
import asyncio, pathlib, sys
from dfhost.store.store import Store

async def opened():
    Store(pathlib.Path(sys.argv[1])).open()

asyncio.run(opened())
"""


def refused_as_other_users_are(file: Path) -> str:
    """The sentence in a process for which read-only is read-only, even if root runs the tests."""

    def drop() -> None:
        libc = ctypes.CDLL(None)
        for capability in (DAC_OVERRIDE, DAC_READ_SEARCH):
            libc.prctl(BOUNDING_SET_DROP, capability, 0, 0, 0)

    command = [sys.executable, "-c", OPEN, str(file)]
    root = sys.platform == "linux" and os.geteuid() == 0
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, preexec_fn=drop if root else None
    )
    return done.stderr.splitlines()[-1]


@pytest.mark.skipif(os.name != "posix", reason="permissions are others elsewhere")
async def test_a_read_only_file(file: Path, tmp_path: Path) -> None:
    file.chmod(0o444)
    said = refused_as_other_users_are(file)
    assert f"DatabaseError: {file} is read-only: make the file and its folder writable" in said
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.skipif(os.name != "posix", reason="permissions are others elsewhere")
async def test_in_a_folder_that_cannot_be_written_to(file: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir()
    shutil.copy(file, tmp_path / "locked")
    (tmp_path / "locked").chmod(0o555)
    said = refused_as_other_users_are(tmp_path / "locked" / "hub.db")
    (tmp_path / "locked").chmod(0o755)
    assert "cannot be written to: Permission denied" in said


def _execute(file: Path, statement: str) -> None:
    connection = sqlite3.connect(file)
    connection.execute(statement)
    connection.commit()
    connection.close()
