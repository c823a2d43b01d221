"""The benchmark runs, and what it measures comes out right. No time is asserted."""

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from benchmarks.client import Connection
from tests.support.apps import ROOT


@pytest.mark.stress
def test_every_case_runs_and_is_in_the_tables(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.bench", "--smoke", "--out", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
    )
    # Every output is compared with what it must be by the benchmark itself, which stops at a wrong one.
    assert run.returncode == 0, run.stderr
    lines = (tmp_path / "results.md").read_text().splitlines()
    rows = {line.split(" | ")[0].removeprefix("| ") for line in lines if line.startswith("| ")}
    fan_out = {"floor", "dfhost", "**dfhost, x floor**", "dfhost --in-process, x floor"}
    cases = {
        "chain of activities",
        "loop of timers",
        "loop of events",
        "loop of entity calls",
        "loop of children",
        "task_any over what is left",
        "settled fan-out, 1 % fails",
        "retried fan-out, 20 % fail once",
        "timers, due at once",
        "entities x 100 signals",
    }
    figures = {
        "`dfhost start` to its first answer",
        "memory of host and worker after the start",
        "memory per waiting instance",
        "20",
    }
    assert fan_out | cases | figures <= rows


@pytest.mark.long
def test_a_host_that_does_not_answer_is_one_sentence() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.bench", "--smoke", "--url", "http://127.0.0.1:9"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 1
    assert run.stderr.startswith("benchmark stopped: ")
    assert "Traceback" not in run.stderr


def test_a_request_carries_one_key_only() -> None:
    # With keys, a function key in the header wins over the `code=` of a status URL, and is answered 403 there.
    keys: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            keys.append(self.headers["x-functions-key"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            connection = Connection(f"http://127.0.0.1:{server.server_port}", "the-function-key")
            connection.get("/api/about")
            connection.get("/runtime/webhooks/durabletask/instances/1?taskHub=Hub&code=the-system-key")
            connection.close()
        finally:
            server.shutdown()
            thread.join()
    assert keys == ["the-function-key", None]
