"""A stop while user code hangs: the host leaves all the same, and what hung is done again at the next start."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from dfhost.short_id import short_id
from tests.support.apps import APPS
from tests.support.host_process import HostProcess, is_running
from tests.support.waiting import until

pytestmark = pytest.mark.long


def dying(folder: Path) -> HostProcess:
    return HostProcess(
        APPS / "dying", "--db", folder / "hub.db", "--workers", "1", "--no-reload", SCRATCH=str(folder)
    )


@pytest.mark.stress
def test_code_that_hangs_keeps_no_host_alive_and_runs_again(tmp_path: Path) -> None:
    with dying(tmp_path) as host:
        pid = json.loads(host.client.request("GET", "/api/process").text)["pid"]
        activity = host.client.start("call", ["hangs_once", "activity"])
        entity = host.client.start("asks_entity", ["entity", "hang_once"])
        orchestrator = host.client.start("hangs_in_first_turn", "orchestrator")
        for name in ("activity", "entity", "orchestrator"):
            until((tmp_path / f"{name}.attempts").exists, bool)
        # One that never yields its thread, and one that blocks the main thread of the worker.
        with host.client.begun("GET", "/api/die/spin"), host.client.begun("GET", "/api/die-async/hang"):
            host.line("started .*die/spin")
            host.line("started .*die-async/hang")
            host.signal(signal.SIGTERM)
            host.line("Waiting for running calls: ")
            assert host.exit_code() == 0  # what hangs would take a minute or for ever
        assert "Unfinished instances continue at the next start." in host.text
    until(lambda: is_running(pid), lambda runs: not runs)
    with dying(tmp_path) as host:
        assert host.client.output(activity) == "activity again"
        assert host.client.output(entity) == "hang_once done"
        assert host.client.output(orchestrator) == "orchestrator again"


def test_a_worker_that_dies_during_a_stop_is_not_replaced(tmp_path: Path) -> None:
    with dying(tmp_path) as host:
        pid = json.loads(host.client.request("GET", "/api/process").text)["pid"]
        instance = host.client.start("caught", ["wait_for_file", "never"])
        until((tmp_path / "never.waits").exists, bool)
        host.signal(signal.SIGTERM)
        host.line("Waiting for running calls: ")
        os.kill(pid, signal.SIGKILL)
        running = f"It was running activity wait_for_file of instance {short_id(instance)}"
        assert host.line(rf"worker process {pid} has ended \(SIGKILL\)\. {running}\.(.*)")[1] == ""
        assert host.exit_code() == 0
