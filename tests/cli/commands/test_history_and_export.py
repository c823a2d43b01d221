"""`dfhost history` and `dfhost export`."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.cli.commands.conftest import Commands


def test_history_is_a_line_an_event(dfhost: Commands) -> None:
    id = dfhost.ended("import_orders", ["good", "bad"])
    head, *lines = dfhost.done("history", id).splitlines()
    assert re.split(" {2,}", head) == ["#", "AT", "EVENT", "NAME", "DETAILS"]
    assert re.search(r"^1 +\d\d:\d\d:\d\d\.\d{3}  ExecutionStarted +import_orders +input ", lines[0])
    assert any(re.search(r"TaskFailed +process_item +.*reason .*no such order: bad", line) for line in lines)
    assert re.search(r"ExecutionCompleted +Failed, result", lines[-1])


def test_history_as_json_is_that_of_the_management_api(dfhost: Commands) -> None:
    id = dfhost.ended("echo", 5)
    query = "showHistory=true&showHistoryOutput=true"
    events = dfhost.http.manage("GET", f"instances/{id}?{query}").body["historyEvents"]
    assert dfhost("history", id, "--json").json == events


def test_export_is_a_line_an_instance_with_its_children(dfhost: Commands, tmp_path: Path) -> None:
    dfhost.ended("import_all", ["good"], "parent-of-child")
    lines = dfhost.done("export", "parent-of-child", "--children").splitlines()
    parent, child = map(json.loads, lines)
    assert (parent["instanceId"], child["instanceId"]) == ("parent-of-child", "child-of-all")
    assert child["historyEvents"][-1]["EventType"] == "ExecutionCompleted"
    episodes = child["episodes"]
    assert sum(episode["events"] for episode in episodes) == len(child["historyEvents"])
    assert episodes[0]["timestamp"] < episodes[-1]["timestamp"] and episodes[0]["events"] == 1
    file = tmp_path / "all.jsonl"
    said = dfhost("export", "--prefix", "parent-of-", "--output", str(file))
    assert said.err == f"Wrote 1 instance to {file}.\n" and json.loads(file.read_text()) == parent
    assert dfhost("export", "--prefix", "nothing-").code == 4
    assert dfhost("export", "parent-of-child", "--output", "/nowhere/x").code == 2
