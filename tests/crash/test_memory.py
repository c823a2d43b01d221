"""Resident memory follows what is under way, not what has been done: a real process, and payloads of 1 MB."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.apps import write_app
from tests.support.host_process import HostProcess
from tests.support.waiting import until

pytestmark = pytest.mark.stress

APP = """
@app.orchestration_trigger(context_name="context")
def thrice(context: df.DurableOrchestrationContext):
    calls = [context.call_activity("echo", context.get_input()) for _ in range(3)]
    return len((yield context.task_all(calls)))

@app.orchestration_trigger(context_name="context")
def waits(context: df.DurableOrchestrationContext):
    return (yield context.wait_for_external_event("go"))

@app.activity_trigger(input_name="x")
def echo(x: str) -> str:
    return x

@app.entity_trigger(context_name="context")
def keeps(context):
    context.set_state(context.get_input())
"""
MEGABYTE = "x" * 1_000_000
COUNTS = {"thrice": 40, "waits": 100, "keeps": 100}  # a call has its payload in several places


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", ["thrice", "waits", "keeps"])
def test_large_payloads_leave_less_than_two_hundred_megabytes(tmp_path: Path, kind: str) -> None:
    folder, count = write_app(tmp_path / "app", APP), COUNTS[kind]
    with HostProcess(folder, "--db", tmp_path / "hub.db") as host:
        client = host.client
        for number in range(count):
            if kind == "keeps":
                assert client.manage("POST", f"entities/keeps/{number}?op=set", f'"{MEGABYTE}"').status == 202
            else:
                client.start(kind, MEGABYTE, instance_id=str(number))
        for number in range(count):
            if kind == "thrice":
                assert client.output(str(number)) == 3
            elif kind == "waits":
                client.until(str(number), lambda told: told["runtimeStatus"] == "Running")
        until(lambda: resident_megabytes(host), lambda megabytes: megabytes < 200)


def resident_megabytes(host: HostProcess) -> int:
    """Of the host or its worker, whichever has more."""
    children = Path(f"/proc/{host.pid}/task").glob("*/children")
    pids = [str(host.pid), *" ".join(file.read_text() for file in children).split()]
    return max(map(_resident_megabytes, pids))


def _resident_megabytes(pid: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) // 1024
