"""What the app sees of its process, and what the person at the terminal sees of the app."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
import pytest

from dfhost.cli.console.log_lines import INDENT
from tests.support.apps import APPS, write_app
from tests.support.host_process import HostProcess, is_running, run_dfhost
from tests.support.running_host import Output, RunningHost, running_host
from tests.support.waiting import eventually, until


@pytest.fixture
def output() -> Output:
    return Output()


@pytest.fixture
async def host(output: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunningHost]:
    monkeypatch.setenv("SCRATCH", str(tmp_path))
    async with running_host("dying", workers=1, output=output) as host:
        yield host


async def get(host: RunningHost, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"{host.host.url}/api/{path}") as response:
        return response.status, await response.text()


async def until_shown(output: Output, line: str) -> None:
    async def text() -> str:
        return f"\n{output.text}"

    await eventually(text, lambda text: f"\n{line}\n" in text)


async def test_an_async_function_runs_on_the_main_thread_of_a_process_of_its_own(host: RunningHost) -> None:
    seen = json.loads((await get(host, "process"))[1])
    assert seen["pid"] != os.getpid()
    assert (seen["thread"], seen["main"]) == ("MainThread", True)
    assert seen["argv"][0].endswith("worker.py")
    assert seen["path"].index(str(APPS / "dying")) > seen["path"].index(
        next(path for path in seen["path"] if "site-packages" in path)
    )
    assert seen["cwd"] == str(APPS / "dying")
    assert (seen["stdin"], seen["stdout"]) == ("", 1)


async def test_all_that_is_printed_is_shown_in_order(host: RunningHost, output: Output) -> None:
    assert await get(host, "output") == (200, "done")
    await until_shown(output, "echoed by a child")
    shown = [line for line in output.lines if "without" not in line]
    assert shown == [
        "printed  (output)",
        "warning logged  (output)",
        "written to a descriptor",
        "to stderr  (output)",
        "written to the buffer",
        "echoed by a child",
    ]


async def test_nothing_printed_is_lost_when_the_worker_dies(host: RunningHost, output: Output) -> None:
    assert await get(host, "output?then=die") == (500, "")
    assert [line for line in output.lines if "printed" in line or "echoed" in line] == [
        "printed  (output)",
        "echoed by a child",
    ]


@pytest.mark.long
async def test_a_segfault_shows_the_python_stack(host: RunningHost, output: Output) -> None:
    assert await get(host, "die/segfault") == (500, "")
    assert "Fatal Python error: Segmentation fault" in output.text
    assert "in end_process" in output.text


@pytest.mark.long
async def test_a_flood_is_shown_whole(host: RunningHost, output: Output) -> None:
    assert await get(host, "flood?lines=50000") == (200, "done")
    await until_shown(output, f"{INDENT}line 49999  (flood)")  # in the column of lines that have a time
    numbers = [int(line.split()[1]) for line in output.lines if line.strip().startswith("line ")]
    assert numbers == list(range(50_000))


@pytest.mark.long
async def test_an_app_may_close_its_stdout(host: RunningHost) -> None:
    assert await get(host, "close-stdout") == (200, "closed")
    assert (await get(host, "output"))[0] == 500  # print() raises, as anywhere
    assert await get(host, "die/nothing") == (200, "nothing")


@pytest.mark.long
async def test_a_forked_child_keeps_no_worker_alive(host: RunningHost, output: Output) -> None:
    assert await get(host, "fork?seconds=20") == (200, "forked")
    pid = json.loads((await get(host, "process"))[1])["pid"]
    os.kill(pid, signal.SIGKILL)
    assert "SIGKILL" in (await host.log.entry("note"))[1]
    assert json.loads((await get(host, "process"))[1])["pid"] != pid


@pytest.mark.long
def test_the_app_is_imported_by_its_worker_alone(tmp_path: Path) -> None:
    folder = write_app(tmp_path / "app", "open('imported', 'a').write(f'{__import__(\"os\").getpid()} ')")
    imported = folder / "imported"
    with HostProcess(folder, "--memory") as host:
        (pid,) = imported.read_text().split()
        assert int(pid) != host.pid
    imported.unlink()
    with HostProcess(folder, "--memory", "--workers", "4") as host:
        pids = until(lambda: imported.read_text().split(), lambda pids: len(pids) == 4)
        assert len({*pids, str(host.pid)}) == 5
    imported.unlink()
    with HostProcess(folder, "--memory", "--in-process", FUNCTIONS_WORKER_PROCESS_COUNT="2") as host:
        assert imported.read_text().split() == [str(host.pid)]


# -- with the command line -----------------------------------------------------------------------------------
@pytest.mark.long
def test_a_worker_ends_with_its_host_even_when_that_is_killed(tmp_path: Path) -> None:
    with HostProcess(APPS / "dying", "--memory", "--workers", "1", SCRATCH=str(tmp_path)) as host:
        pid = json.loads(host.client.request("GET", "/api/process").text)["pid"]
        host.kill()
    until(lambda: is_running(pid), lambda runs: not runs)


@pytest.mark.long
def test_an_app_that_cannot_be_loaded_ends_the_start_with_its_traceback(tmp_path: Path) -> None:
    folder = write_app(tmp_path / "app", "raise ValueError('not today')")
    done = run_dfhost("start", folder, "--memory", "--workers", "1", "--port", "0")
    assert done.returncode == 2
    assert "raise ValueError('not today')" in done.stderr
    assert done.stderr.splitlines()[-1].endswith("function_app.py cannot be imported: ValueError: not today")


@pytest.mark.long
def test_the_app_has_the_interpreter_flags_that_dfhost_was_started_with(tmp_path: Path) -> None:
    body = """
        import sys

        @app.route(methods=["GET"])
        def flags(req: func.HttpRequest) -> str:
            return f"{sys.flags.optimize} {sys.warnoptions[-1]}"
    """
    command = [
        sys.executable,
        "-O",
        "-W",
        "ignore::FutureWarning",
        "-m",
        "dfhost",
        "run",
        "GET",
        "/api/flags",
    ]
    done = subprocess.run(
        [*command, "--app", write_app(tmp_path / "app", body)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "1 ignore::FutureWarning\n"


@pytest.mark.long
def test_an_app_that_ends_its_process_while_it_is_loaded(tmp_path: Path) -> None:
    folder = write_app(tmp_path / "app", "import os; os._exit(7)")
    done = run_dfhost("start", folder, "--memory", "--workers", "1", "--port", "0")
    assert done.returncode == 2
    assert "worker process ended while it loaded the app (exit code 7)" in done.stderr


SLOW = """
    import os, time

    while not os.path.exists("go"):
        time.sleep(0.01)

    @app.route(methods=["GET"])
    def late(req: func.HttpRequest) -> str:
        return "better than never"
"""


@pytest.mark.long
def test_an_app_may_take_its_time_to_load_and_the_console_shows_where_it_is(tmp_path: Path) -> None:
    folder = write_app(tmp_path / "app", SLOW)
    host = HostProcess(folder, "--memory")
    try:
        host.line(r"The app has been loading for 10 s and is here:$")
        host.line(r"function_app.py\", line \d+, in <module>$")
        (folder / "go").touch()
        assert host.client.request("GET", "/api/late").text == "better than never"
    finally:
        host.close()


TALE = """
    import os, sys, time

    @app.route(methods=["GET"])
    def dies(req: func.HttpRequest) -> str:
        print("the valve is stuck", file=sys.stderr)
        while not os.path.exists(req.params["file"]):
            time.sleep(0.01)
        os._exit(3)

    @app.route(methods=["GET"])
    def says_nothing(req: func.HttpRequest) -> str:
        return "nothing"
"""


@pytest.mark.long
def test_the_last_lines_of_a_dead_worker_are_shown_again_if_they_are_out_of_sight(tmp_path: Path) -> None:
    file = tmp_path / "go"
    with HostProcess(write_app(tmp_path / "app", TALE), "--memory") as host, ThreadPoolExecutor(1) as pool:
        dying = pool.submit(host.client.request, "GET", f"/api/dies?file={file}")
        host.line("the valve is stuck")
        for _ in range(10):
            assert host.client.request("GET", "/api/says_nothing").status == 200
        file.touch()
        assert dying.result().status == 500
        host.line(r"has ended \(exit code 3\)\. It was running function dies\. .* Its last output:$")
        assert host.text.count("the valve is stuck") == 2
        assert host.client.request("GET", f"/api/dies?file={file}").status == 500
        host.line(r"has ended .* Another worker starts in \d+ s; calls wait for it\.$")
        assert host.text.count("the valve is stuck") == 3


def test_the_host_imports_neither_the_app_nor_the_sdk() -> None:
    code = (
        "import sys; import dfhost.host, dfhost.cli.commands.start, dfhost.worker.runner; "
        "print([m for m in sys.modules if m.startswith(('azure', 'dfhost.app.')) or m == 'dfhost.app'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
