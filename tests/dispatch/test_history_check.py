"""A host that starts on changed code says which waiting instances that code does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.apps import write_app
from tests.support.host_process import HostProcess

APP = """
    import os, pathlib, time

    @app.activity_trigger(input_name="x")
    def quick(x):
        return x

    @app.orchestration_trigger(context_name="context")
    def approval(context):
        before = yield context.call_activity("quick", 1)
        yield context.wait_for_external_event("go")

    @app.orchestration_trigger(context_name="context")
    def refund(context):
        yield context.call_activity("quick", 1)
        yield context.wait_for_external_event("go")
"""
CHANGED = APP.replace(
    'before = yield context.call_activity("quick", 1)',
    "before = yield context.create_timer(context.current_utc_datetime)",
)
MISFIT = (
    "The code of approval no longer fits order-1, which fails at its next step unless it is changed back. "
    "Its history has activity 'quick' (sequence number 0); the code now asks for a timer in its place "
    "(function_app.py, line 15, in approval)."
)


def start(folder: Path, app: str) -> HostProcess:
    write_app(folder, app)
    return HostProcess(folder, "--workers", "1", SCRATCH=str(folder))


def begin(host: HostProcess, orchestrator: str, instance_id: str) -> None:
    """An instance that waits for its event."""
    host.client.start(orchestrator, instance_id=instance_id)
    host.line(rf"waiting +{orchestrator} .*{instance_id}  for event go")


def test_the_start_names_those_that_the_code_no_longer_fits_until_it_is_changed_back(tmp_path: Path) -> None:
    with start(tmp_path, APP) as host:
        begin(host, "approval", "order-1")
        begin(host, "refund", "order-2")
    for _ in range(2):
        with start(tmp_path, CHANGED) as host:
            assert host.line(r"note +(The code of approval .*)$")[1] == MISFIT
            assert "order-2" not in host.text
    with start(tmp_path, APP) as host:
        host.client.send("order-1", "raiseEvent/go", 1)
        assert host.client.ended("order-1")["runtimeStatus"] == "Completed"
        assert "no longer fits" not in host.text


@pytest.mark.long
def test_what_the_code_says_in_such_replays_is_not_shown(tmp_path: Path) -> None:
    talking = APP.replace(
        "before = yield", 'print("printed"); logging.warning("logged")\n        before = yield'
    )
    talking = talking.replace("import os", "import logging, os")
    with start(tmp_path, talking) as host:
        begin(host, "approval", "order-1")
        host.line("logged")
        host.line("printed")
    changed = talking.replace('call_activity("quick", 1)', "create_timer(context.current_utc_datetime)", 1)
    with start(tmp_path, changed) as host:
        host.line("note +The code of approval no longer fits")
        assert host.client.manage("GET", "instances/order-1?explain=true").status == 200
        assert not [line for line in host.lines if "printed" in line or "logged" in line]
        host.client.send("order-1", "raiseEvent/go", 1)
        host.line("logged")  # now it goes on


@pytest.mark.long
def test_the_start_names_orchestrators_that_waiting_instances_need(tmp_path: Path) -> None:
    with start(tmp_path, APP) as host:
        for instance_id in ("order-1", "order-2"):
            begin(host, "approval", instance_id)
    with start(tmp_path, APP.replace("def approval", "def approve")) as host:
        assert host.line(r"note +(The app has no .*)$")[1] == (
            "The app has no orchestrator approval any more: 2 unfinished instances fail at their next step unless "
            "it comes back."
        )
        # What they wait for only their code could say.
        assert host.client.manage("GET", "instances/order-1?explain=true").body["sentence"] == (
            "The app has no such orchestrator any more, so it fails at its next step unless that comes back."
        )


@pytest.mark.long
def test_episodes_run_before_the_check(tmp_path: Path) -> None:
    blocking = """
    @app.orchestration_trigger(context_name="context")
    def blocks(context):
        while not pathlib.Path(os.environ["SCRATCH"], "free").exists():
            time.sleep(0.01)
        print("is free")
        return 1
    """
    with start(tmp_path, APP + blocking) as host:
        begin(host, "approval", "order-1")
        host.client.start("blocks")
        host.line(r"started +blocks")
    with start(tmp_path, CHANGED + blocking) as host:
        host.line(r"started +blocks")
        for _ in range(10):
            assert host.client.status("order-1")["runtimeStatus"] == "Running"
        (tmp_path / "free").touch()
        host.line("The code of approval")
        order = [line for line in host.lines if "is free" in line or "no longer fits" in line]
        assert "is free" in order[0] and MISFIT in order[1], order
