"""Apps that do with their process what few apps do. Each test is a request to one host that has them all."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator

import pytest

from tests.support.apps import write_app
from tests.support.host_process import HostProcess

ODD = """
import multiprocessing
import signal
import time

forks = multiprocessing.get_context("fork" if hasattr(__import__("os"), "fork") else None)


def exit_codes(target, count, **options):
    \"""Of child processes, one after the other; None for one that has not ended.\"""
    codes = []
    for _ in range(count):
        child = forks.Process(target=target, **options)
        child.start()
        if options:
            child.terminate()
        child.join(5)
        codes.append(child.exitcode)
        child.kill()
        if codes[-1] is None:
            break
    return codes


@app.route("terminated-child")
def terminated_child(req: func.HttpRequest) -> str:
    return str(exit_codes(time.sleep, 1, args=(60,))[0])


@app.route("nested/{levels:int}")
def nested(req: func.HttpRequest) -> str:
    levels = int(req.route_params["levels"])
    return "[" * levels + "]" * levels
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    with HostProcess(write_app(tmp_path_factory.mktemp("odd") / "app", ODD), "--memory") as host:
        yield host


def get(host: HostProcess, path: str) -> str:
    response = host.client.request("GET", f"/api/{path}")
    assert response.status == 200, response
    return response.text


@pytest.mark.parametrize("levels", [600, 5000])
def test_json_that_is_nested_too_deeply_to_be_printed_is_sent_as_it_is(
    host: HostProcess, levels: int
) -> None:
    assert get(host, f"nested/{levels}") == "[" * levels + "]" * levels


needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="no fork, no SIGALRM")


@needs_posix
def test_a_forked_child_ends_when_it_is_terminated(host: HostProcess) -> None:
    assert get(host, "terminated-child") == str(-signal.SIGTERM)
