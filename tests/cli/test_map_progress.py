"""How far a map is stands in the console's last line on a terminal, and now and then in a line of a file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.apps import APPS, write_app
from tests.support.host_process import HostProcess, TerminalHostProcess

pytestmark = pytest.mark.long


@pytest.mark.parametrize("process", [TerminalHostProcess, HostProcess])
def test_the_progress_of_a_map_is_shown_while_it_runs(tmp_path: Path, process: type[HostProcess]) -> None:
    gate = tmp_path / "gate"
    items = [{"fails": -1}] + [{}] * 14 + [{"gate": str(gate)}] * 5
    with process(APPS / "map", "--memory", MARKS=str(tmp_path / "marks")) as host:
        asked = {"activity": "work", "items": items, "max_concurrency": 5, "tolerated_failure_count": 1}
        instance_id = host.start_instance("/api/start-map", asked)
        host.line(rf"map_orchestrator {instance_id[:8]}: [1-9]\d* of 20, 1 failed")
        gate.touch()
        host.line(rf"finished.*map_orchestrator.*{instance_id}")
        host.line(rf"map_orchestrator {instance_id[:8]} ended: 19 of 20 succeeded, 1 failed")


def test_a_map_in_an_orchestrator_is_shown_by_its_ledger(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    items = [{"fails": -1}] + [{}] * 14 + [{"gate": str(gate)}] * 5
    with HostProcess(APPS / "map", "--memory", MARKS=str(tmp_path / "marks")) as host:
        options = {"max_concurrency": 5, "tolerated_failure_count": 1}
        instance_id = host.client.start("mapping", {"activity": "work", "items": items, "options": options})
        host.line(rf"mapping {instance_id[:8]}: [1-9]\d* of 20, 1 failed")
        gate.touch()
        host.line(rf"mapping {instance_id[:8]} ended: 19 of 20 succeeded, 1 failed")


def test_after_a_restart_a_map_that_goes_on_is_folded_and_one_that_has_ended_is_not_repeated(
    tmp_path: Path,
) -> None:
    gate, database = tmp_path / "gate", tmp_path / "hub.db"
    over = [{"fails": -1}, {}]
    goes_on = [{"gate": str(gate)}] + [{"seconds": 0.05}] * 60
    options = {"max_concurrency": 2, "tolerated_failure_count": 1}
    arguments = (APPS / "map", "--db", database)
    with HostProcess(*arguments, MARKS=str(tmp_path / "marks")) as host:
        host.client.start(
            "mapping", {"activity": "work", "lists": [over, goes_on], "options": options}, "two"
        )
        host.line("mapping two ended: 1 of 2 succeeded, 1 failed")
        host.line(r"started +work ")
        host.signal()
        host.line("Stopped. Unfinished instances continue at the next start.")
        assert host.exit_code() == 0
    with HostProcess(*arguments, MARKS=str(tmp_path / "marks")) as host:
        host.line(r"mapping two\S*: \d+ of 61")  # after several readings of how far the maps are
        gate.touch()
        end = host.line(r"finished +mapping .*two").string
        before = host.lines[: host.lines.index(end)]
        repeated = [line for line in before if "ended: 1 of 2" in line]
        parts = [line for line in before if re.search(r"(started|finished) +map_.*two", line)]
        assert (repeated, parts) == ([], [])


def test_counts_that_are_complete_have_no_further_line(tmp_path: Path) -> None:
    source = """
        @app.orchestration_trigger(context_name="context")
        def counts(context):
            done, total = context.get_input()
            for number in range(done, total + 1):
                context.set_custom_status({"total": total, "completed": number})
                yield context.wait_for_external_event("Next")
    """
    with HostProcess(write_app(tmp_path, source), "--memory") as host:
        host.client.start("counts", [0, 2], "goes-on")
        host.line("counts goes-on: 0 of 2$")
        host.client.start("counts", [5, 5], "complete")  # if it had a line, that came before the next one's
        host.client.start("counts", [1, 2], "later")
        host.client.manage("POST", "instances/goes-on/raiseEvent/Next", 1)
        host.client.until("goes-on", lambda status: status["customStatus"]["completed"] == 1)
        host.client.manage("POST", "instances/goes-on/raiseEvent/Next", 1)
        host.line("counts goes-on: 2 of 2$")
        host.line("counts later: 1 of 2$")
        assert not [line for line in host.lines if "counts complete:" in line or "of 2, " in line]
