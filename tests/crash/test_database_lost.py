"""A database file that is no longer the host's own: nothing more is acknowledged, and the host leaves with code 3."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.apps import write_app
from tests.support.host_process import HostProcess

pytestmark = pytest.mark.long

APP = """
import os, time

@app.orchestration_trigger(context_name="context")
def waits(context: df.DurableOrchestrationContext):
    return (yield context.wait_for_external_event("go"))

@app.orchestration_trigger(context_name="context")
def forks(context: df.DurableOrchestrationContext):
    return (yield context.call_activity("fork", ""))

@app.activity_trigger(input_name="input")
def fork(input: str) -> int:
    child = os.fork()
    if not child:
        os.closerange(1, 3)  # the test reads the host's output to its end
        time.sleep(120)
        os._exit(0)
    return child
"""


def deleted(file: Path) -> None:
    file.unlink()


def replaced(file: Path) -> None:
    shutil.copy(file, file.with_name("copy"))
    file.with_name("copy").replace(file)


def overwritten(file: Path) -> None:
    file.write_bytes(bytes(8192))


def overwritten_by_another(file: Path) -> None:
    with closing(sqlite3.connect(file.with_name("other"))) as other:
        other.execute("CREATE TABLE invoices (id INTEGER)")
        other.commit()
    file.write_bytes(file.with_name("other").read_bytes())


def truncated(file: Path) -> None:
    os.truncate(file, 4096)


def emptied(file: Path) -> None:
    os.truncate(file, 0)


def made_read_only(file: Path) -> None:
    file.chmod(0o400)


def without_its_log(file: Path) -> None:
    file.with_name(file.name + "-wal").unlink()


HARM: dict[Callable[[Path], None], str] = {
    deleted: "hub.db was deleted",
    replaced: "hub.db was replaced by another file",
    overwritten: "hub.db was overwritten",
    overwritten_by_another: "hub.db was overwritten",
    truncated: "hub.db was truncated",
    emptied: "hub.db was overwritten",
    made_read_only: "hub.db was made read-only",
    without_its_log: "hub.db-wal was deleted",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_app(tmp_path / "app", APP)


@pytest.mark.parametrize("harm", HARM, ids=lambda harm: harm.__name__)
def test_nothing_is_acknowledged_into_a_file_that_is_lost(folder: Path, harm: Callable[[Path], None]) -> None:
    database = folder / "hub.db"
    with HostProcess(folder, "--db", database) as host:
        host.client.start("waits", instance_id="before")
        harm(database)
        left = database.read_bytes() if database.exists() else None
        for number in range(3):
            try:
                response = host.client.manage("POST", f"orchestrators/waits/after{number}", "1")
            except OSError:  # it has left
                break
            if response.status == 503:  # it is stopping, and has said why
                break
            assert response.status == 500
            assert "while the host was running" in response.text
        assert host.exit_code() == 3
        said = [line for line in host.lines if line.startswith("dfhost: ")]
        assert len(said) == 1 and HARM[harm] in said[0]
        assert "Traceback" not in host.text
    assert (database.read_bytes() if database.exists() else None) == left, "the host has not touched it"


def test_a_host_that_has_nothing_to_do_notices_it(folder: Path) -> None:
    with HostProcess(folder, "--db", folder / "hub.db") as host:
        deleted(folder / "hub.db")
        assert host.exit_code() == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_of_the_app_keeps_neither_lock_nor_port(folder: Path) -> None:
    database = folder / "hub.db"
    with HostProcess(folder, "--db", database) as host:
        child = int(host.client.output(host.client.start("forks")))
        try:
            host.kill()
            port = host.url.rpartition(":")[2]
            with HostProcess(folder, "--db", database, port=port) as after:
                assert after.client.manage("GET", "instances").status == 200
        finally:
            os.kill(child, 9)
