"""`--db FILE`: what is in a task hub, while its host runs, after it was killed, and after it has stopped."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.commands.conftest import APP, Commands
from tests.support.apps import write_app
from tests.support.host_process import HostProcess
from tests.support.running_host import running_host


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Database files of one content, by how their hosts have fared."""
    folder = tmp_path_factory.mktemp("files")
    app = write_app(folder / "app", APP)
    found = {name: folder / f"{name}.db" for name in ("stopped", "killed", "running")}

    async def stopped() -> None:
        async with running_host(app, database=found["stopped"]) as host:
            await host.failure(await host.start("import_orders", ["good", "bad-1"], "failed"))
            await host.until_custom_status(await host.start("approval", None, "waits"), {"asked": "Ada"})
            await host.signal("counter", "a", "add", 1)
            await host.log.entry("finished", "counter")

    asyncio.run(stopped())
    shutil.copy(found["stopped"], found["running"])
    with HostProcess(app, "--in-process", "--db", found["running"]):
        for end in ("", "-wal"):  # what is on the disk if it is killed now
            shutil.copy(f"{found['running']}{end}", f"{found['killed']}{end}")
        yield found


@pytest.fixture(params=["stopped", "killed", "running"])
def db(request: pytest.FixtureRequest, files: dict[str, Path]) -> str:
    return str(files[request.param])


def test_the_reading_verbs(dfhost: Commands, db: str) -> None:
    assert set(dfhost.plain("list", "--ids", "--db", db).out.split()) == {"failed", "waits"}
    shown = dfhost.plain("show", "failed", "--db", db)
    assert shown.code == 0 and 'process_item [1] "bad-1" failed, attempt 2 of 2: ValueError' in shown.out
    waits = dfhost.plain("show", "wai", "--db", db).out
    assert "Running" in waits and "None of its tasks is open.\n(From the history alone" in waits
    assert "TaskFailed" in dfhost.plain("history", "failed", "--db", db).out
    assert json.loads(dfhost.plain("export", "waits", "--db", db).out)["runtimeStatus"] == "Running"
    assert dfhost.plain("explain", "failed", "--db", db).code == 0
    assert dfhost.plain("show", "nobody", "--db", db).code == 4


def test_an_entity(dfhost: Commands, db: str) -> None:
    for command in (("explain", "@counter@a"), ("show", "@counter@a"), ("list", "--entities")):
        assert "The entity is idle." in dfhost.plain(*command, "--db", db).out


def test_it_is_said_that_a_file_does_not_know_which_events_are_awaited(dfhost: Commands, db: str) -> None:
    said = "From the history alone: awaited events are not known."
    assert f"({said})" in dfhost.plain("explain", "waits", "--db", db).out
    assert f"({said})" in dfhost.plain("show", "waits", "--db", db).out
    assert dfhost.plain("list", "--db", db).out.endswith(f"\n{said}\n")
    for command in (("explain", "failed"), ("show", "failed"), ("list", "--status", "Failed")):
        assert said not in dfhost.plain(*command, "--db", db).out


def test_reading_leaves_the_folder_as_it_was(dfhost: Commands, files: dict[str, Path]) -> None:
    file = files["stopped"]
    before = sorted(path.name for path in file.parent.glob("stopped.db*")), file.read_bytes()
    assert dfhost.plain("list", "--db", str(file)).code == 0
    assert (sorted(path.name for path in file.parent.glob("stopped.db*")), file.read_bytes()) == before


def test_files_that_cannot_be_read(dfhost: Commands, tmp_path: Path, files: dict[str, Path]) -> None:
    assert "There is no database file" in dfhost.plain("list", "--db", str(tmp_path / "none.db")).err
    (tmp_path / "text.db").write_text("no database " * 100)
    assert "is not a database" in dfhost.plain("list", "--db", str(tmp_path / "text.db")).err
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("create table x (y)")
    assert "a database of something else" in dfhost.plain("list", "--db", str(tmp_path / "other.db")).err
    (tmp_path / "old.db").write_bytes(files["stopped"].read_bytes())
    with closing(sqlite3.connect(tmp_path / "old.db")) as old:
        old.execute("pragma user_version = 1")
    said = dfhost.plain("list", "--db", str(tmp_path / "old.db"))
    assert said.code == 2 and "has schema 1" in said.err


def test_the_verbs_that_change_something_take_no_file(dfhost: Commands, db: str) -> None:
    assert dfhost.plain("terminate", "waits", "--db", db).code == 2
