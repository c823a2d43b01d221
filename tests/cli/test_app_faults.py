"""`dfhost start` with an app that does what no app should: it ends the event loop, or its own process.

With `--in-process` that ends the host. With workers it ends a worker: tests/worker/test_deaths.py.
"""

from __future__ import annotations

import re
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from tests.support.apps import write_app
from tests.support.host_process import HostProcess, run_dfhost
from tests.support.http_client import MANAGEMENT

pytestmark = pytest.mark.long

# -- the event loop of the async functions -----------------------------------------------------------------------

LOOP_APP = """
    import asyncio, os, signal, sys

    def exit_soon():
        async def later():
            sys.exit(1)
        asyncio.get_running_loop().create_task(later())

    def stop_soon():
        loop = asyncio.get_running_loop()
        def later():
            loop.stop()
        loop.call_soon(later)

    if os.environ.get("AT_IMPORT"):
        exit_soon()

    @app.route(methods=["GET"])
    async def hangs(req: func.HttpRequest) -> str:
        stop_soon()
        await asyncio.Event().wait()

    @app.orchestration_trigger(context_name="context")
    def flow(context):
        return (yield context.call_activity(context.get_input(), None))

    @app.activity_trigger(input_name="x")
    async def stops(x):
        if os.environ.get("HARMLESS"):
            return "done"
        stop_soon()
        await asyncio.Event().wait()

    @app.activity_trigger(input_name="x")
    async def exits(x):
        if os.environ.get("HARMLESS"):
            return "done"
        exit_soon()
        await asyncio.Event().wait()
"""


@pytest.mark.parametrize(
    ("activity", "cause"),
    [
        ("stops", r"its stop\(\) was called \(function_app\.py, line \d+, in later\)"),
        ("exits", r"a task raised SystemExit: 1 \(function_app\.py, line \d+, in later\)"),
    ],
)
def test_an_app_that_ends_its_event_loop_ends_the_host_and_loses_nothing(
    tmp_path: Path, activity: str, cause: str
) -> None:
    app = write_app(tmp_path / "app", LOOP_APP)
    with HostProcess(app, "--in-process") as host:
        id = host.client.start("flow", activity)
        assert host.exit_code() == 2
        host.line(rf"^dfhost: The app has ended the event loop .*: {cause}\.")
        assert "Traceback" not in host.text
    with HostProcess(app, "--in-process", HARMLESS="1") as host:
        assert host.client.output(id) == "done"


def test_a_request_that_waits_for_the_ended_loop_gets_an_answer(tmp_path: Path) -> None:
    with HostProcess(write_app(tmp_path / "app", LOOP_APP), "--in-process", "--memory") as host:
        assert host.client.request("GET", "/api/hangs").plain == (500, None)
        assert host.exit_code() == 2
        assert "Traceback" not in host.text


def test_a_task_that_is_created_at_import_runs_in_the_loop_of_the_async_functions(tmp_path: Path) -> None:
    app = write_app(tmp_path / "app", LOOP_APP)
    with HostProcess(app, "--in-process", "--memory", AT_IMPORT="1") as host:
        assert host.exit_code() == 2
        host.line(r"^dfhost: The app has ended the event loop .*: a task raised SystemExit: 1 ")


@pytest.mark.stress
def test_a_worker_whose_event_loop_is_ended_is_replaced(tmp_path: Path) -> None:
    app = write_app(tmp_path / "app", LOOP_APP)
    with HostProcess(app, "--memory") as host:
        assert host.client.request("GET", "/api/hangs").plain == (500, None)
        host.line(
            r"The app has ended the event loop .*: its stop\(\) was called .* Its worker ends, as on Azure"
        )
        failure = host.client.ended(host.client.start("flow", "exits"))["output"]
        assert "exited with code 1 (0x1)" in failure
    done = run_dfhost("start", app, "--memory", "--port", "0", AT_IMPORT="1")
    assert done.returncode == 2
    assert "in later" in done.stdout and "SystemExit: 1" in done.stdout
    assert "worker process ended while it loaded the app (exit code 1)" in done.stderr


# -- the process -------------------------------------------------------------------------------------------------

DEADLY_APP = """
    import os, signal

    @app.orchestration_trigger(context_name="context")
    def flow(context):
        return (yield context.call_activity("deadly", context.get_input()))

    @app.activity_trigger(input_name="file")
    def deadly(file):
        if os.path.exists(file):
            signal.raise_signal(signal.SIGSEGV)
        return "survived"

    @app.route(methods=["POST"])
    def exits(req: func.HttpRequest) -> str:
        os._exit(3)

    @app.orchestration_trigger(context_name="context")
    def exits_in_orchestrator(context):
        os._exit(3)

    @app.orchestration_trigger(context_name="context")
    def exits_in_generator(context):
        for _ in range(40):  # by then the history is long enough for the generator to be kept
            yield context.call_activity("deadly", "")
        os._exit(3)

    @app.entity_trigger(context_name="context")
    def exits_in_entity(context):
        os._exit(3)
"""


def test_what_ran_when_the_last_host_died_is_named_and_counted(tmp_path: Path) -> None:
    app, trap = write_app(tmp_path / "app", DEADLY_APP), tmp_path / "trap"
    trap.touch()
    with HostProcess(app, "--in-process") as host:
        with suppress(OSError):  # the host may die before it answers
            host.client.start("flow", str(trap), "x")
        assert host.exit_code() < 0
        assert "died" not in host.text
    named = "The last host died while activity deadly of instance x ran"
    with HostProcess(app, "--in-process") as host:
        assert host.exit_code() < 0
        host.line(rf"note +{named}\.$")
    with HostProcess(app, "--in-process") as host:
        assert host.exit_code() < 0
        host.line(
            rf"{named}, for the 2nd time in a row\. If it ends the process .*AzureWebJobs_deadly_Disabled=true"
        )
    trap.unlink()
    with HostProcess(app, "--in-process") as host:
        host.line(rf"{named}, for the 3rd time")
        assert host.client.output("x") == "survived"
        host.signal(signal.SIGTERM)
        assert host.exit_code() == 0
    with HostProcess(app, "--in-process") as host:
        assert "died" not in host.text


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/api/exits", "HTTP function exits"),
        (
            f"{MANAGEMENT}/orchestrators/exits_in_orchestrator/x",
            "orchestrator exits_in_orchestrator of instance x",
        ),
        (
            f"{MANAGEMENT}/orchestrators/exits_in_generator/x",
            "orchestrator exits_in_generator of instance x",
        ),
        (f"{MANAGEMENT}/entities/exits_in_entity/k", "entity @exits_in_entity@k"),
    ],
)
def test_any_kind_of_function_that_ends_the_process_is_named(tmp_path: Path, path: str, named: str) -> None:
    app = write_app(tmp_path / "app", DEADLY_APP)
    with HostProcess(app, "--in-process") as host:
        with suppress(OSError):  # the host may die before it answers
            host.client.request("POST", path)
        assert host.exit_code() == 3
    with HostProcess(app, "--in-process") as host:
        host.line(f"The last host died while {named} ran\\.")
        host.kill()  # what is stored runs again, so it may have ended by itself, too


def test_a_stop_by_two_signals_blames_no_call(tmp_path: Path) -> None:
    body = """
        import threading

        @app.route(methods=["POST"])
        def waits(req: func.HttpRequest) -> str:
            print("waiting")
            threading.Event().wait()
    """
    app = write_app(tmp_path / "app", body)
    with HostProcess(app) as host:

        def call() -> None:
            with suppress(OSError):
                host.client.request("POST", "/api/waits")

        caller = threading.Thread(target=call)
        caller.start()
        host.line("waiting")
        host.signal()
        host.line("Waiting for running calls")
        host.signal()
        assert host.exit_code() == 130
        caller.join()
    with HostProcess(app) as host:
        assert "died" not in host.text


# -- a start that fails ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "print('loading'); raise ValueError('not today')",
        "def broken(:",
        "import sys; sys.exit('bye')",
        "app = None",
        "@app.activity_trigger(input_name='x')\ndef mismatched(y): ...",
    ],
)
def test_a_start_that_fails_says_the_same_with_and_without_a_worker(tmp_path: Path, body: str) -> None:
    app = write_app(tmp_path / "app", body)

    def start(*options: str) -> tuple[int, str, str]:
        done = run_dfhost("start", app, "--memory", "--port", "0", *options)
        return done.returncode, re.sub(r"\d\d:\d\d:\d\d\.\d+", "", done.stdout), done.stderr

    code, printed, sentence = start()
    assert code == 2 and sentence.splitlines()[-1].startswith("dfhost: ")
    assert start("--in-process") == (code, printed, sentence)


# -- a blocked loop ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [[], ["--in-process"]], ids=["worker", "in process"])
def test_an_async_function_that_blocks_the_loop_is_named_once(tmp_path: Path, mode: list[str]) -> None:
    body = """
        import asyncio, os, time

        async def helper():
            while not os.path.exists(os.environ["RELEASED"]):
                time.sleep(0.01)

        @app.route(methods=["GET"])
        async def patient(req: func.HttpRequest) -> str:
            await asyncio.sleep(0)
            return "done"

        @app.route(methods=["GET"])
        async def blocks(req: func.HttpRequest) -> str:
            await helper()
            return "done"
    """
    released = tmp_path / "released"
    app = write_app(tmp_path / "app", body)
    with HostProcess(app, "--memory", *mode, RELEASED=str(released)) as host:
        get = partial(host.client.request, "GET")
        with ThreadPoolExecutor(1) as pool:
            blocked = pool.submit(get, "/api/blocks")
            host.line(
                r"note +blocks has blocked the event loop for 2 s \(function_app\.py, line \d+, in helper\): "
            )
            released.touch()
            assert blocked.result().status == 200
        assert get("/api/patient").status == 200
        assert host.text.count("has blocked the event loop") == 1


# -- signals -----------------------------------------------------------------------------------------------------


def test_ctrl_c_works_in_an_app_that_ignores_it(tmp_path: Path) -> None:
    app = write_app(tmp_path / "app", "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n")
    with HostProcess(app, "--memory") as host:
        host.signal(signal.SIGINT)
        assert host.exit_code() == 0


@pytest.mark.stress
def test_a_request_that_blocks_the_event_loop_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    body = """
        import time

        @app.route(methods=["GET"])
        async def blocks(req: func.HttpRequest) -> str:
            print("blocking")
            while True:
                time.sleep(1)
    """
    with HostProcess(write_app(tmp_path / "app", body), "--memory") as host:
        import threading

        def call() -> None:
            with pytest.raises(OSError):
                host.client.request("GET", "/api/blocks")

        caller = threading.Thread(target=call)
        caller.start()
        host.line("blocking")
        host.signal(signal.SIGTERM)
        assert host.exit_code() == 0
        caller.join()
