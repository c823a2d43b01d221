"""Maps that an earlier version of fan_out started, as its killed host left them in a database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.fan_out.map_host import APP, MapHost

# What had been reached: one batch, a section, a stage of sections, a map in an orchestrator of one's own.
RUNS = {
    "batch": "a2c735b7ad9b4c878b2ee4db352352eb",
    "section": "a022053ad2f14fa2bc8c214326272493",
    "stage": "8835a1dd0437425188518f8206be0e58",
    "own": "d8778eebb0d74bd898d4605ff8e82bb7",
    "done": "bfcc5e45d11e42fcb1a980de92247f3b",
}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MapHost]:
    folder = tmp_path_factory.mktemp("earlier")
    gate = folder / "gate"
    with closing(sqlite3.connect(folder / "hub.db")) as connection:
        connection.executescript((APP / "begun_earlier.sql").read_text().replace("THE/GATE", str(gate)))
    with MapHost(folder, "--in-process") as running:
        gate.touch()  # the running items may end now
        yield running


@pytest.mark.parametrize("what", ["batch", "section", "stage", "own"])
def test_a_map_begun_earlier_fails_with_what_to_do(host, what):
    shown = host.ended(RUNS[what])
    assert shown["runtimeStatus"] == "Failed"
    assert "begun by an earlier version of fan_out" in shown["output"]
    assert "Start it again" in shown["output"] and "Non-Deterministic" not in shown["output"]
    assert host.progress(RUNS[what])["phase"] == "failed"


def test_a_map_that_ended_earlier_is_as_it_was(host):
    assert host.status(RUNS["done"])["output"]["succeeded"] == 2
    assert host.progress(RUNS["done"])["phase"] == "completed"
