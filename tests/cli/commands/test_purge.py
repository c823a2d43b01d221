"""`dfhost purge`: what it deletes, and above all what it does not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dfhost.cli import main
from tests.cli.commands.conftest import APP, Commands
from tests.support.apps import write_app
from tests.support.running_host import running_host


def test_by_id(dfhost: Commands) -> None:
    one, two = dfhost.ended("echo", 1), dfhost.ended("echo", 2)
    assert dfhost.done("purge", one, two) == f"Purged echo {one}, echo {two}.\n"
    assert dfhost("show", one).code == 4 and dfhost("purge", one).code == 4


def test_the_beginning_of_an_id_is_asked_about(dfhost: Commands) -> None:
    one = dfhost.ended("echo", 1)
    asked = dfhost("purge", one[:12])
    assert (asked.code, asked.err) == (2, f"dfhost: echo {one} would be purged. Add --yes to do it.\n")
    assert dfhost("show", one).code == 0
    assert dfhost.done("purge", one[:12], "--yes") == f"Purged echo {one}.\n"


def test_an_unknown_id_among_others_stops_all(dfhost: Commands) -> None:
    one = dfhost.ended("echo", 1)
    assert dfhost("purge", one, "nobody").code == 4
    assert dfhost("show", one).code == 0


def test_sub_orchestrations_that_stay_are_named(dfhost: Commands) -> None:
    both = dfhost.ended("runs_two", ["stays-1", "stays-2"], "two-stay")
    said = dfhost.done("purge", both)
    assert said == "Purged runs_two two-stay. Its sub-orchestrations stays-1, stays-2 stay.\n"
    said = dfhost.done("purge", "stays-1", "stays-2", "stays-2:below")
    assert said.endswith("echo stays-2:below. Their sub-orchestration stays-1:below stays.\n")


def test_one_that_runs(dfhost: Commands) -> None:
    waits = dfhost.waiting()
    for words in ([waits], [waits[:12]], [waits, "--dry-run"]):
        said = dfhost("purge", *words)
        assert said.code == 5 and "Only orchestrations in a terminal state can be purged" in said.err


def test_an_entity(dfhost: Commands) -> None:
    dfhost.done("signal", "@counter@gone", "add", "--input", "1")
    dfhost.http.until("@counter@gone", lambda status: "1" in str(status["input"]))
    assert dfhost.done("purge", "@counter@gone") == "Purged @counter@gone.\n"


def test_by_filter_only_what_has_ended(dfhost: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    done, waits = dfhost.ended("echo", 1, "purge-me"), dfhost.waiting("purge-not-me")
    asked = dfhost("purge", "--prefix", "purge-")
    assert asked.code == 2 and asked.err == "dfhost: 1 instance would be purged. Add --yes to do it.\n"
    assert dfhost.done("purge", "--prefix", "purge-", "--dry-run") == "1 instance would be purged.\n"
    assert dfhost("purge", "--prefix", "purge-", "--yes", "--json").json == {"instancesDeleted": 1}
    assert dfhost("show", done).code == 4 and dfhost("show", waits).code == 0
    assert dfhost("purge", "--prefix", "purge-", "--yes").code == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "which instances?"),
        (["x", "--status", "Failed"], "which instances?"),
        (["--status", "Running"], "terminate them first"),
        (["--status", "Failde"], "Did you mean 'Failed'?"),
    ],
)
def test_a_filter_that_means_nothing_deletes_nothing(dfhost: Commands, words: list[str], said: str) -> None:
    before = dfhost.done("list", "--ids", "--all")
    refused = dfhost("purge", *words, "--yes")
    assert refused.code == 2 and said in refused.err
    assert dfhost.done("list", "--ids", "--all") == before


async def test_a_purge_leaves_running_ones_and_entities_and_gives_the_space_back(tmp_path: Path) -> None:
    file = tmp_path / "hub.db"
    async with running_host(write_app(tmp_path / "app", APP), database=file) as host:
        await host.start("approval", None, "stays")
        await host.signal("counter", "stays", "add", 1)
        await host.until("@counter@stays", lambda status: "1" in str(status["input"]))
        for number in range(20):
            await host.output(await host.start("echo", "x" * 100_000, f"goes-{number}"))
        command = ["purge", "--status", "Completed", "--yes", "--url", host.host.url]
        full = file.stat().st_size + Path(f"{file}-wal").stat().st_size
        assert await asyncio.to_thread(main, command) == 0
        assert (await host.request("GET", "instances/goes-1"))[0] == 404
        assert (await host.request("GET", "instances/stays"))[0] == 202
        assert (await host.request("GET", "entities/counter/stays"))[0] == 200
    assert file.stat().st_size < full / 4
