"""Apps that do with their process what few apps do. Each test is a request to one host that has them all."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.apps import write_app
from tests.support.host_process import HostProcess, is_running
from tests.support.waiting import until

ODD = """
import asyncio
import logging
import multiprocessing
import os
import signal
import threading
import time

second_came = asyncio.Event()
forks = multiprocessing.get_context("fork" if hasattr(os, "fork") else None)


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


@app.route("children-that-print")
def children_that_print(req: func.HttpRequest) -> str:
    over = threading.Event()

    def flood():
        while not over.is_set():
            print("flood" * 200)

    threads = [threading.Thread(target=flood) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        return str(set(exit_codes(lambda: print("a child prints"), 20)))
    finally:
        over.set()


@app.route("signals")
async def signals(req: func.HttpRequest) -> str:
    ticks = 0

    def tick(*_):
        nonlocal ticks
        ticks += 1
        print("in the handler")

    signal.signal(signal.SIGALRM, tick)
    while ticks < 200:
        signal.setitimer(signal.ITIMER_REAL, 0.0002)
        before = ticks
        while ticks == before:
            print("in the function")
    return "done"


@app.route("line-without-end")
def line_without_end(req: func.HttpRequest) -> str:
    print("without an end", end="")
    return "done"


@app.route("two-lines-in-parts")
async def two_lines_in_parts(req: func.HttpRequest) -> str:
    if req.params.get("first"):
        print("begun by the first", end="")
        await asyncio.wait_for(second_came.wait(), 60)
        print(", ended by it")
    else:
        print("the second's own")
        second_came.set()
    return "done"


def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1_000_000


@app.route("large-records")
def large_records(req: func.HttpRequest) -> str:
    before = resident_mb()
    for number in range(200):
        logging.info(f"{number} {'x' * 300_000}")
    return str(resident_mb() - before)


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


@needs_posix
def test_a_child_that_is_forked_while_others_print_can_print(host: HostProcess) -> None:
    assert get(host, "children-that-print") == "{0}"


@needs_posix
@pytest.mark.long
def test_forked_children_of_an_app_in_the_hosts_process(tmp_path: Path) -> None:
    with HostProcess(write_app(tmp_path / "app", ODD), "--memory", "--in-process") as host:
        assert get(host, "terminated-child") == str(-signal.SIGTERM)
        assert get(host, "children-that-print") == "{0}"
        host.line(r"a child prints  \(children_that_print\)$")


@needs_posix
def test_a_signal_handler_may_print_in_the_middle_of_a_print(host: HostProcess) -> None:
    assert get(host, "signals") == "done"


def test_a_line_without_an_end_ends_with_its_call(host: HostProcess) -> None:
    assert get(host, "line-without-end") == "done"
    host.line(r"without an end  \(line_without_end\)$")


def test_a_line_has_what_one_call_has_written(host: HostProcess) -> None:
    with ThreadPoolExecutor() as threads:
        first = threads.submit(get, host, "two-lines-in-parts?first=yes")
        host.line(r"started +two_lines_in_parts +GET /api/two-lines-in-parts")
        assert get(host, "two-lines-in-parts") == first.result() == "done"
    host.line(r"^[\d:. ]+begun by the first  \(two_lines_in_parts\)$")
    host.line(r"^[\d:. ]+the second's own  \(two_lines_in_parts\)$")
    host.line(r"^[\d:. ]+, ended by it  \(two_lines_in_parts\)$")


@pytest.mark.skipif(sys.platform != "linux", reason="no /proc")
def test_large_log_records_are_not_kept(host: HostProcess) -> None:
    assert int(get(host, "large-records")) < 30


POOL = """
import concurrent.futures
import multiprocessing
import os
import time

pool = concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork"))


@app.route("pids")
def pids(req: func.HttpRequest) -> str:
    return " ".join(map(str, [os.getpid(), *{pool.submit(os.getpid).result() for _ in range(20)}]))
"""


@needs_posix
@pytest.mark.long
def test_a_pool_of_processes_ends_with_its_worker(tmp_path: Path) -> None:
    def pids(host: HostProcess) -> list[int]:
        return list(map(int, get(host, "pids").split()))

    def until_ended(pids: list[int]) -> None:
        until(lambda: [pid for pid in pids if is_running(pid)], lambda running: not running)

    folder = write_app(tmp_path / "app", POOL)
    with HostProcess(folder, "--memory") as host:
        before = pids(host)
        write_app(folder, POOL + "# changed")
        host.line("The app is loaded")
        until_ended(before)
        last = pids(host)
        host.signal()
        assert host.exit_code() == 0
        until_ended(last)
    with HostProcess(folder, "--memory") as host:
        last = pids(host)
        host.kill()
        until_ended(last)
