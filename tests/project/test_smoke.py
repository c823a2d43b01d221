"""The smoke test that follows every deployment, against a small host that behaves as a fresh one on Azure does.

The host here is not the app: it answers as the Functions host does while it starts (refused, 404, 503), asks for a
key, and takes a few polls to finish, so that every way out of scripts/smoke.py is walked without Azure.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps import ROOT
from tests.support.host_process import HostProcess

RESULTS = [f"Processed item-{number}" for number in range(1, 6)]
KEY = "the-function-key"
SYSTEM_KEY = "the-system-key"


class FreshHost:
    """A host that answers `not_yet` in turn before it serves, then needs `polls` status requests to finish a run."""

    def __init__(self, not_yet: tuple[int, ...] = (), polls: int = 2, key: str = "", **end: Any) -> None:
        self.not_yet, self.polls, self.key = list(not_yet), polls, key
        self.end = {"runtimeStatus": "Completed", "output": RESULTS} | end
        self.refuses_strangers = bool(key)
        self.calls: list[str] = []
        self.url = ""

    def answer(self, method: str, path: str, key: str | None, token: str | None) -> tuple[int, Any]:
        self.calls.append(f"{method} {path.partition('?')[0]}")
        if path.startswith("/subscriptions/"):
            if token != "Bearer arm-token":
                return 403, {"error": "no"}
            return 200, {"functionKeys": {"default": self.key}, "systemKeys": {}, "masterKey": "never"}
        if path == "/api/start-fanout":
            if self.refuses_strangers and key != self.key:
                return 401, {}
            if self.not_yet:
                return self.not_yet.pop(0), {}
            status = f"{self.url}/runtime/webhooks/durabletask/instances/one?code={SYSTEM_KEY}"
            return 202, {"id": "one", "statusQueryGetUri": status}
        self.polls -= 1
        running = {"runtimeStatus": "Running", "output": None}
        return (202, running) if self.polls > 0 else (200, self.end)


@contextmanager
def serving(host: FreshHost) -> Iterator[FreshHost]:
    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            status, body = host.answer(
                self.command,
                self.path,
                self.headers.get("x-functions-key"),
                self.headers.get("authorization"),
            )
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = respond

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    host.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def smoke(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name in ("PATH", "SYSTEMROOT", "HOME")}
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "smoke.py"), "--pause", "0.01", *arguments],
        env=inherited | env,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.long
def test_waits_for_a_host_that_starts_and_prints_the_five_results() -> None:
    with serving(FreshHost(not_yet=(404, 503, 503, 502), polls=4)) as host:
        run = smoke(host.url)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout[run.stdout.index("[") : run.stdout.index("]") + 1]) == RESULTS
    assert run.stdout.count("it answers 503") == 1, "a repeated answer is printed once"
    assert host.calls.count("POST /api/start-fanout") == 5


@pytest.mark.long
def test_gives_up_when_time_is_up() -> None:
    with serving(FreshHost(not_yet=(503,) * 10_000)) as host:
        run = smoke(host.url, "--timeout", "0.3")
    assert run.returncode == 1
    assert "time is up and it answers 503" in run.stderr


@pytest.mark.long
def test_says_that_nobody_listens() -> None:
    with serving(FreshHost()) as host:
        pass
    run = smoke(host.url, "--timeout", "0.1")
    assert run.returncode == 1
    assert "cannot be reached" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.long
def test_does_not_wait_after_a_400() -> None:
    with serving(FreshHost(not_yet=(400,))) as host:
        run = smoke(host.url)
    assert run.returncode == 1
    assert "it answers 400" in run.stderr
    assert host.calls == ["POST /api/start-fanout"]


@pytest.mark.long
@pytest.mark.parametrize(
    "end",
    [
        {"runtimeStatus": "Failed", "output": "boom"},
        {"output": RESULTS[:4]},
        {"output": list(reversed(RESULTS))},
    ],
    ids=["failed", "one missing", "out of order"],
)
def test_a_wrong_end_is_a_failure(end: dict[str, Any]) -> None:
    with serving(FreshHost(**end)) as host:
        run = smoke(host.url)
    assert run.returncode == 1
    assert json.dumps(end["output"]) in run.stderr


@pytest.mark.long
def test_a_starter_open_to_everyone_is_a_failure() -> None:
    host = FreshHost(key=KEY)
    host.refuses_strangers = False
    with serving(host):
        run = smoke(host.url, FUNCTIONS_KEY=KEY)
    assert run.returncode == 1
    assert "a caller without a key" in run.stderr


@pytest.mark.long
def test_after_azd_up_it_finds_the_key_itself_and_shows_none(tmp_path: Path) -> None:
    azd = tmp_path / "azd"
    azd.write_text('#!/bin/sh\necho \'{"token": "arm-token", "expiresOn": "2030-01-01T00:00:00Z"}\'\n')
    azd.chmod(0o755)
    with serving(FreshHost(key=KEY, not_yet=(503,))) as host:
        run = smoke(
            PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
            SERVICE_API_URI=host.url,
            AZURE_RESOURCE_MANAGER_URL=f"{host.url}/",
            AZURE_FUNCTION_APP_ID="/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/app",
            FUNCTION_KEY_NAME="default",
            FUNCTION_KEY_COMMAND="az functionapp keys list",
        )
    assert run.returncode == 0, run.stderr
    assert host.calls[0].endswith("/Microsoft.Web/sites/app/host/default/listkeys")
    assert "make e2e BASE_URL=" in run.stdout
    for secret in (KEY, SYSTEM_KEY, "arm-token", "never"):
        assert secret not in run.stdout + run.stderr


@pytest.mark.long
def test_an_address_given_by_hand_is_never_sent_the_deployed_key(tmp_path: Path) -> None:
    with serving(FreshHost()) as host:
        run = smoke(
            host.url,
            SERVICE_API_URI="https://elsewhere.example",
            AZURE_RESOURCE_MANAGER_URL="https://elsewhere.example/",
            AZURE_FUNCTION_APP_ID="/subscriptions/s",
        )
    assert run.returncode == 0, run.stderr


def test_a_call_without_an_address_is_a_usage_error() -> None:
    run = smoke()
    assert run.returncode == 2
    assert "no address" in run.stderr


def test_passes_on_this_app(served: HostProcess) -> None:
    run = smoke(served.url)
    assert run.returncode == 0, run.stderr
