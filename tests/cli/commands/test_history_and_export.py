"""`dfhost history` and `dfhost export`."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.cli.commands.conftest import Commands
from tests.support.host_process import dfhost_command


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


def test_history_says_what_a_rewind_has_taken_back_and_why(dfhost: Commands, tmp_path: Path) -> None:
    file = tmp_path / "late.txt"
    id = dfhost.ended("calls_failing_child", str(file), "rewound-parent")
    file.write_text("here now")
    dfhost.done("rewind", id, "--reason", "the file is there")
    assert dfhost.http.output(id) == "here now"

    def of_rewinds(instance_id: str) -> list[str]:
        """NAME and DETAILS of the events that a rewind leaves."""
        lines = dfhost.done("history", instance_id).splitlines()
        return [" ".join(line.split("GenericEvent")[1].split()) for line in lines if "GenericEvent" in line]

    schedule, failure, end, rewind = of_rewinds("rewound-child")
    reason = r"Activity function 'needs_file' failed: FileNotFoundError: \[Errno 2\]"
    assert schedule == "needs_file rewound TaskScheduled"
    assert re.match(rf"needs_file rewound TaskFailed, reason {reason}", failure)
    assert re.match(
        rf"rewound ExecutionCompleted, reason Orchestrator function 'reads_file' failed: {reason}", end
    )
    assert rewind == "rewind, reason the file is there"
    failure, end = of_rewinds(id)
    assert failure.startswith("reads_file rewound SubOrchestrationInstanceFailed, reason ")
    assert end.startswith(
        "rewound ExecutionCompleted, reason Orchestrator function 'calls_failing_child' failed"
    )
    generic = [each for each in dfhost("history", id, "--json").json if each["EventType"] == "GenericEvent"]
    assert [sorted(each) for each in generic] == [["Data", "EventType", "Timestamp"]] * 2


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


def test_a_reader_that_leaves_an_export_is_no_mistake(dfhost: Commands) -> None:
    one = dfhost.ended("echo", 1)
    command = [*dfhost_command(), "export", *[one] * 2, "--url", dfhost.url]
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, text=True)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
@pytest.mark.parametrize("verb", ["export", "list"])
def test_a_full_disk_is_told_in_a_sentence(dfhost: Commands, verb: str) -> None:
    dfhost.ended("echo", 1)
    with open("/dev/full", "w") as full:
        command = [*dfhost_command(), verb, "--url", dfhost.url]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    said = "dfhost: The output could not be written: No space left on device.\n"
    assert (done.returncode, done.stderr) == (1, said)
