"""The database file at the door: taken as it is, or refused with a sentence and left unharmed."""

from __future__ import annotations

import ctypes
import os
import shutil
import sqlite3
import subprocess
import sys
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


async def test_an_empty_file_is_filled(tmp_path: Path) -> None:
    (tmp_path / "hub.db").touch()
    store = Store(tmp_path / "hub.db")
    store.open()
    assert store.row("x") is None
    store.close()


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
