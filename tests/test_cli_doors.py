"""Mistakes at the door: one clear sentence on stderr, exit code 2, and never a traceback of ours."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from cli_process import command, dfhost, environment
from serving import write_app

from dfhost.cli import main

HELLO = """
    @app.route(methods=["GET"])
    def hello(req: func.HttpRequest) -> str:
        return "hello"
"""


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """The one line on stderr of a command that was refused."""
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("dfhost: ")
    return done.stderr


# -- the app -------------------------------------------------------------------------------------------------
def test_a_folder_without_a_function_app(tmp_path: Path) -> None:
    assert f"There is no function_app.py in {tmp_path}" in sentence(dfhost("start", tmp_path))
    assert list(tmp_path.iterdir()) == []  # nothing was left behind


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    assert f"There is no folder {tmp_path / 'nowhere'}" in sentence(dfhost("start", tmp_path / "nowhere"))


def test_a_file_without_an_app(tmp_path: Path) -> None:
    write_app(tmp_path, "", head="x = 1\n")
    assert "has no function app" in sentence(dfhost("run", "GET", "/api/x", cwd=tmp_path))


def test_two_functions_of_one_name(tmp_path: Path) -> None:
    write_app(tmp_path, HELLO + HELLO)
    assert "Two functions are called 'hello'" in sentence(dfhost("start", tmp_path))


@pytest.mark.parametrize("code", ["import nowhere_to_be_found\n", "x = (\n", "raise SystemExit(0)\n"])
def test_a_broken_import_shows_the_users_own_traceback(tmp_path: Path, code: str) -> None:
    write_app(tmp_path, "", head=f"\n{code}")
    done = dfhost("start", tmp_path)
    assert done.returncode == 2
    *traceback, last = done.stderr.splitlines()
    assert last.startswith(f"dfhost: {tmp_path / 'function_app.py'} cannot be imported")
    assert any('function_app.py", line 2' in line for line in traceback)
    assert not any(os.sep + "dfhost" + os.sep in line for line in traceback)


def test_another_language(tmp_path: Path) -> None:
    write_app(tmp_path, HELLO)
    done = dfhost("start", tmp_path, FUNCTIONS_WORKER_RUNTIME="node")
    assert 'FUNCTIONS_WORKER_RUNTIME is "node"' in sentence(done)


# -- settings ------------------------------------------------------------------------------------------------
def test_a_broken_host_json(tmp_path: Path) -> None:
    write_app(tmp_path, HELLO)
    (tmp_path / "host.json").write_text('{\n  "version": "2.0",\n  "extensions": }\n')
    assert f"{tmp_path / 'host.json'}, line 3, column 17" in sentence(dfhost("start", tmp_path))


def test_broken_local_settings(tmp_path: Path) -> None:
    write_app(tmp_path, HELLO)
    (tmp_path / "local.settings.json").write_text('{\n  "Values": {"A": [1]}\n}')
    done = dfhost("run", "GET", "/api/hello", "--app", tmp_path)
    assert f"{tmp_path / 'local.settings.json'}, line 2" in sentence(done)


# -- port and database ---------------------------------------------------------------------------------------
def test_a_port_in_use(tmp_path: Path) -> None:
    write_app(tmp_path, HELLO)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"Port {port} is in use" in sentence(
            dfhost("start", tmp_path, "--memory", "--port", str(port))
        )


def test_the_port_of_local_settings_is_used_unless_one_is_given(tmp_path: Path) -> None:
    write_app(tmp_path, HELLO)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        host = {"IsEncrypted": False, "Host": {"LocalHttpPort": port}}
        (tmp_path / "local.settings.json").write_text(json.dumps(host))
        assert f"Port {port} is in use" in sentence(dfhost("start", tmp_path, "--memory"))


def test_a_database_that_is_none(tmp_path: Path) -> None:
    write_app(tmp_path, HELLO)
    (tmp_path / "text.db").write_text("this is no database, whatever its name says " * 50)
    done = dfhost("start", tmp_path, "--db", tmp_path / "text.db", "--port", "0")
    assert "text.db is not a database" in sentence(done)


def test_a_database_in_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    write_app(tmp_path, HELLO)
    done = dfhost("start", tmp_path, "--db", tmp_path / "nowhere" / "x.db")
    assert f"There is no folder {tmp_path / 'nowhere'}" in sentence(done)


# -- run -----------------------------------------------------------------------------------------------------
def test_a_route_that_does_not_exist_lists_those_that_do(tmp_path: Path) -> None:
    write_app(tmp_path, HELLO)
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    said = sentence(dfhost("run", "POST", "/api/hello", "--app", tmp_path, "--quiet"))
    assert "no route for POST /api/hello" in said
    assert "GET /api/hello" in said


@pytest.mark.parametrize("data", ["{", "", "@/nowhere/x.json", "'quoted'"])
def test_a_body_that_is_no_json(capfd: pytest.CaptureFixture[str], data: str) -> None:
    assert main(["run", "POST", "/api/x", "--data", data]) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("dfhost: --data ")
    assert printed.err.count("\n") == 1


# -- explain -------------------------------------------------------------------------------------------------
def test_no_host_to_ask(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    assert main(["explain", "x", "--url", f"http://localhost:{port}"]) == 2
    assert f"No host answers at http://localhost:{port}" in capfd.readouterr().err


# -- the command itself --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "required: COMMAND"),
        (["stop"], "invalid choice: 'stop'"),
        (["start", "--port", "x"], "'x' is no port"),
        (["start", "--port", "70000"], "'70000' is no port"),
        (["start", "--db", "x", "--memory"], "not allowed with"),
        (["run"], "required: METHOD, PATH"),
        (["run", "/api/x", "POST"], "'/api/x' is no HTTP method; METHOD comes first"),
        (["run", "POST", "http://localhost:7071/api/x"], "is a whole URL"),
        (["run", "POST", "/x", "--timeout", "soon"], "'soon' is no number of seconds"),
        (["run", "POST", "/x", "--timeout", "-1"], "no number of seconds above 0"),
        (["run", "POST", "/x", "--header", "nothing"], "written NAME:VALUE"),
        (["explain"], "required: ID"),
        (["explain", "x", "--url", "localhost:7071"], "begins with http://"),
    ],
)
def test_a_wrong_argument(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("name", ["start", "run", "explain"])
def test_help_has_two_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([name, "--help"])
    assert left.value.code == 0
    assert capsys.readouterr().out.count(f"\n  dfhost {name} ") == 2


def test_the_module_and_the_command_are_the_same() -> None:
    script = shutil.which("dfhost", path=str(Path(sys.executable).parent))
    outputs = [
        subprocess.run(
            [*each, "--version"], env=environment(), capture_output=True, text=True, check=True
        ).stdout
        for each in ([script or ""], command())
    ]
    assert outputs[0] == outputs[1]
    assert outputs[0].startswith("dfhost ")


def test_asking_for_help_loads_nothing_heavy() -> None:
    code = "import sys, dfhost.cli; print(*{'aiohttp', 'azure', 'tqdm', 'asyncio', 'sqlite3'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
