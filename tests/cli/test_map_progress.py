"""How far a map is stands in the console's last line on a terminal, and now and then in a line of a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fan_out.map_host import MapHost

pytestmark = pytest.mark.long


@pytest.mark.parametrize("at_terminal", [True, False])
def test_the_progress_of_a_map_is_shown_while_it_runs(tmp_path: Path, at_terminal: bool) -> None:
    gate = tmp_path / "gate"
    items = [{"fails": -1}] + [{}] * 14 + [{"gate": str(gate)}] * 5
    with MapHost(tmp_path, "--memory", at_terminal=at_terminal) as maps:
        started = maps.start_map({"items": items, "max_concurrency": 5, "tolerated_failure_count": 1})
        maps.host.line(rf"map_orchestrator {started['id'][:8]}: [1-9]\d* of 20, 1 failed")
        gate.touch()
        maps.host.line(rf"finished.*map_orchestrator.*{started['id']}")
