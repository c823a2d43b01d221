"""Wrong calls, apps and settings: one sentence on stderr, exit code 2, and never a traceback of dfhost."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dfhost.cli import main
from dfhost.cli.commands import COMMANDS
from dfhost.store.database_file import PathLock
from tests.support.apps import write_app
from tests.support.host_process import Dfhost, HostProcess, clean_environment, dfhost_command, run_dfhost

HELLO = """
    @app.route(methods=["GET"])
    def hello(req: func.HttpRequest) -> str:
        return "hello"
"""


Refused = Callable[..., str]


@pytest.fixture
def refused(dfhost_here: Dfhost) -> Refused:
    """Run a command; the one line on stderr with which it was refused."""

    def sentence(*arguments: str | Path | int) -> str:
        done = dfhost_here(*arguments)
        return one_sentence(done.returncode, done.stdout, done.stderr)

    return sentence


def one_sentence(code: int, out: str, err: str) -> str:
    assert (code, out) == (2, ""), err
    assert err.count("\n") == 1, err
    assert err.startswith("dfhost: ")
    return err


# -- the app -------------------------------------------------------------------------------------------------
def test_a_folder_without_a_function_app(tmp_path: Path) -> None:
    done = run_dfhost("start", tmp_path)
    said = one_sentence(done.returncode, done.stdout, done.stderr)
    assert f"There is no function_app.py in {tmp_path}" in said
    assert list(tmp_path.iterdir()) == []  # nothing was left behind


def test_a_folder_that_does_not_exist(tmp_path: Path, refused: Refused) -> None:
    assert f"There is no folder {tmp_path / 'nowhere'}" in refused("start", tmp_path / "nowhere")


def test_a_file_without_an_app(tmp_path: Path, refused: Refused) -> None:
    write_app(tmp_path, "", head="x = 1\n")
    assert "has no function app" in refused("run", "GET", "/api/x", "--app", tmp_path, "--in-process")


def test_two_functions_of_one_name(tmp_path: Path, refused: Refused) -> None:
    write_app(tmp_path, HELLO + HELLO)
    assert "Two functions are called 'hello'" in refused("start", tmp_path, "--in-process", "--port", 0)


def shows_the_users_traceback(script: Path, err: str) -> bool:
    *traceback, last = err.splitlines()
    assert last.startswith(f"dfhost: {script} cannot be imported")
    assert not any(os.sep + "dfhost" + os.sep in line for line in traceback)
    return any('function_app.py", line 2' in line for line in traceback)


def test_a_broken_import_shows_the_users_own_traceback(tmp_path: Path, dfhost_here: Dfhost) -> None:
    write_app(tmp_path, "", head="\nimport nowhere_to_be_found\n")
    done = dfhost_here("start", tmp_path, "--port", 0)
    assert done.returncode == 2
    assert shows_the_users_traceback(tmp_path / "function_app.py", done.stderr)
    assert "No module named 'nowhere_to_be_found'" in done.stderr


@pytest.mark.parametrize("code", ["x = (\n", "raise SystemExit(0)\n"])
def test_every_other_failed_import_shows_it_too(tmp_path: Path, code: str, dfhost_here: Dfhost) -> None:
    write_app(tmp_path, "", head=f"\n{code}")
    done = dfhost_here("start", tmp_path, "--port", 0)
    assert done.returncode == 2
    assert shows_the_users_traceback(tmp_path / "function_app.py", done.stderr)


def test_another_language(tmp_path: Path, refused: Refused) -> None:
    write_app(tmp_path, HELLO)
    os.environ["FUNCTIONS_WORKER_RUNTIME"] = "node"
    assert 'FUNCTIONS_WORKER_RUNTIME is "node"' in refused("start", tmp_path)


def test_a_number_of_workers_that_makes_no_sense(tmp_path: Path, refused: Refused) -> None:
    write_app(tmp_path, HELLO)
    os.environ["FUNCTIONS_WORKER_PROCESS_COUNT"] = "many"
    said = refused("start", tmp_path, "--memory", "--port", 0)
    assert "FUNCTIONS_WORKER_PROCESS_COUNT is 'many'; it has to be a number from 1 to 10." in said


def test_arguments_of_python_that_cannot_be_read(tmp_path: Path, refused: Refused) -> None:
    write_app(tmp_path, HELLO)
    os.environ["languageWorkers__python__arguments"] = "-m 'debugpy"
    said = refused("start", tmp_path, "--memory", "--port", 0)
    assert 'languageWorkers__python__arguments is "-m \'debugpy", which cannot be read: No closing' in said


# -- settings ------------------------------------------------------------------------------------------------
def test_a_broken_host_json(tmp_path: Path, refused: Refused) -> None:
    write_app(tmp_path, HELLO)
    (tmp_path / "host.json").write_text('{\n  "version": "2.0",\n  "extensions": }\n')
    assert f"{tmp_path / 'host.json'}, line 3, column 17" in refused("start", tmp_path)


def test_broken_local_settings(tmp_path: Path, refused: Refused) -> None:
    write_app(tmp_path, HELLO)
    (tmp_path / "local.settings.json").write_text('{\n  "Values": {"A": [1]}\n}')
    assert f"{tmp_path / 'local.settings.json'}, line 2" in refused(
        "run", "GET", "/api/hello", "--app", tmp_path
    )


# -- port and database ---------------------------------------------------------------------------------------
LEAVES_A_FILE = """
    open(__file__.replace("function_app.py", "loaded"), "w").close()
"""


def test_what_keeps_a_host_from_starting_is_found_before_the_app_is_loaded(
    tmp_path: Path, refused: Refused
) -> None:
    write_app(tmp_path, LEAVES_A_FILE)
    database = tmp_path / "hub.db"
    lock = PathLock(database)
    in_use = f"hub.db is in use by another host (process {os.getpid()})"
    assert in_use in refused("start", tmp_path, "--db", database, "--port", 0)
    assert in_use in refused("run", "GET", "/api/hello", "--app", tmp_path, "--db", database)
    lock.release()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"Port {port} is in use" in refused("start", tmp_path, "--db", database, "--port", port)
    assert "Cannot listen on 192.0.2.1:" in refused("start", tmp_path, "--memory", "--address", "192.0.2.1")
    names = {path.name for path in tmp_path.iterdir()}
    assert "loaded" not in names and not any(name.startswith("hub.db") for name in names)


def test_a_port_in_use(tmp_path: Path, refused: Refused) -> None:
    write_app(tmp_path, HELLO)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"Port {port} is in use" in refused(
            "start", tmp_path, "--memory", "--in-process", "--port", port
        )


def test_a_port_that_another_dfhost_has(tmp_path: Path, refused: Refused) -> None:
    write_app(tmp_path / "bakery", HELLO)
    with HostProcess(tmp_path / "bakery", "--memory", "--in-process") as host:
        port = urlsplit(host.url).port
        assert (
            f"Port {port} is in use by another dfhost, which serves the app in the folder bakery. Stop it, or choose "
            "another port with --port."
        ) in refused("start", tmp_path / "bakery", "--memory", "--port", port)


def test_the_port_of_local_settings_is_used_unless_one_is_given(tmp_path: Path, refused: Refused) -> None:
    write_app(tmp_path, HELLO)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        host = {"IsEncrypted": False, "Host": {"LocalHttpPort": port}}
        (tmp_path / "local.settings.json").write_text(json.dumps(host))
        assert f"Port {port} is in use" in refused("start", tmp_path, "--memory", "--in-process")


def test_a_file_that_is_no_database(tmp_path: Path, refused: Refused) -> None:
    write_app(tmp_path, HELLO)
    (tmp_path / "text.db").write_text("this is no database, whatever its name says " * 50)
    assert "text.db is not a database" in refused(
        "start", tmp_path, "--in-process", "--db", tmp_path / "text.db", "--port", "0"
    )


def test_a_database_in_a_folder_that_does_not_exist(tmp_path: Path, refused: Refused) -> None:
    write_app(tmp_path, HELLO)
    assert f"There is no folder {tmp_path / 'nowhere'}" in refused(
        "start", tmp_path, "--db", tmp_path / "nowhere" / "x.db"
    )


# -- run -----------------------------------------------------------------------------------------------------
def test_a_route_that_does_not_exist_lists_those_that_do(tmp_path: Path, refused: Refused) -> None:
    write_app(tmp_path, HELLO)
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    said = refused("run", "POST", "/api/hello", "--app", tmp_path, "--quiet", "--in-process")
    assert "no route for POST /api/hello" in said
    assert "GET /api/hello" in said and "Did you mean" not in said
    said = refused("run", "GET", "/api/helo?x=1", "--app", tmp_path, "--quiet", "--in-process")
    assert said.endswith("It has: GET /api/hello. Did you mean /api/hello?\n")


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
    assert main(["explain", "x", "--url", f"http://localhost:{port}"]) == 6
    assert f"No host answers at http://localhost:{port}" in capfd.readouterr().err


def test_explain_asks_the_port_that_the_folder_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and never listens
        port = unused.getsockname()[1]
        (tmp_path / "local.settings.json").write_text(json.dumps({"Host": {"LocalHttpPort": port}}))
        monkeypatch.chdir(tmp_path)
        assert main(["explain", "x"]) == 6
    assert f"No host answers at http://localhost:{port}. " in capfd.readouterr().err


def test_explain_of_a_url_that_is_no_status_url(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "http://localhost:7071/api/start"]) == 2
    assert "http://localhost:7071/api/start is not a status URL" in capfd.readouterr().err


# -- the command itself --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--verson"], "unrecognized arguments: --verson. Did you mean --version?"),
        (["stop"], "invalid choice: 'stop'"),
        (["start", "--port", "x"], "'x' is not a port"),
        (["start", "--port", "70000"], "'70000' is not a port"),
        (["start", "--db", "x", "--memory"], "not allowed with"),
        (["start", "--replay", "never"], "invalid choice: 'never'"),
        (
            ["start", "--workers", "0"],
            "'0' is not a number of workers; give one from 1 to 10, or --in-process for none",
        ),
        (["start", "--workers", "2", "--in-process"], "--in-process: not allowed with argument --workers"),
        (["start", "--debug", "--in-process"], "--in-process: not allowed with argument --debug"),
        (["run"], "required: METHOD, PATH"),
        (["run", "/api/x", "POST"], "'/api/x' is not an HTTP method; METHOD comes first"),
        (["run", "fan", "--port", "7072"], "`dfhost start --port` listens at the one"),
        (["run", "FOO", "/api/x"], "'FOO' is not an HTTP method; METHOD comes first"),
        (["run", "POST", "http://localhost:7071/api/x"], "is a whole URL"),
        (["run", "POST"], "PATH is missing"),
        (["run", "fan", "--data", "5"], "the input of an orchestrator is --input"),
        (["run", "POST", "/x", "--input", "5"], "the body for a route is --data"),
        (["lst"], "Did you mean 'list'?"),
        (["run", "POST", "/x", "--timeout", "soon"], "'soon' is not a number of seconds"),
        (["run", "POST", "/x", "--timeout", "-1"], "not a number of seconds above 0"),
        (["run", "POST", "/x", "--header", "nothing"], "write NAME:VALUE"),
        (["purge", "--name", "", "--until", "7d", "--yes"], "argument --name: the value is empty"),
        (["purge", "--prefix", "", "--until", "7d", "--yes"], "argument --prefix: the value is empty"),
        (["purge", "--status", "", "--until", "7d", "--yes"], "argument --status: the value is empty"),
        (["list", "--text", " "], "argument --text: the value is empty"),
        (["explain"], "required: ID"),
        (["explain", "x", "--url", "localhost:7071"], "is not a URL; write http://localhost:7071\n"),
        (["explain", "x", "--url", "ftp://localhost"], "begins with http://"),
    ],
)
def test_a_wrong_argument(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["start", "--prot", "8000"], ". Did you mean --port?"),
        (["list", "--entitys"], ". Did you mean --entities?"),
        (["run", "POST", "/x", "--zzzzz"], ""),
        (["explain", "x", "--bogus"], ""),
    ],
)
def test_an_unknown_option_names_the_one_that_was_meant_and_the_help_of_its_command(
    arguments: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    option = next(word for word in arguments if word.startswith("--"))
    assert capsys.readouterr().err.splitlines() == [
        f"dfhost {arguments[0]}: unrecognized arguments: {option}{meant}",
        f"`dfhost {arguments[0]} --help` shows what it takes.",
    ]


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["run", "POST", "/api/x", '{"a": 1}'], """--data '{"a": 1}'"""),
        (["run", "POST", "/api/x", "-d", "{}"], "--data '{}'"),
        (["run", "post", "/api/x", "--body={}"], "--data"),
        (["run", "fan", "-d", "5"], "--input"),
        (["start-instance", "fan", "5"], "--input 5"),
        (["start-instance", "fan", "--json", "--body", "5"], "--input 5"),
        (["raise", "x", "go", "true"], "--data true"),
        (["signal", "@counter@x", "add", "5"], "--input 5"),
        (["trigger", "nightly", "-d", "text"], "--input text"),
        (["list", "fan"], "--name fan"),
    ],
)
def test_a_value_without_its_option_names_the_option(
    arguments: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert f". Did you mean {meant}" in capsys.readouterr().err


def test_an_input_behind_an_orchestrator(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["run", "fan", "5"])
    assert left.value.code == 2
    assert "'fan' is not an HTTP method; METHOD comes first, then PATH. If it is" in capsys.readouterr().err


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    outputs = []
    for arguments in ([], ["--help"]):
        with pytest.raises(SystemExit) as left:
            main(arguments)
        assert left.value.code == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1] and "start-instance" in outputs[0]


def test_help_is_a_word_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    outputs = []
    for arguments in (["help"], ["--help"], ["help", "list"], ["list", "--help"]):
        with pytest.raises(SystemExit) as left:
            main(arguments)
        assert left.value.code == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1] and outputs[2] == outputs[3] != outputs[0]
    with pytest.raises(SystemExit):
        main(["help", "lst"])
    assert "Did you mean 'list'?" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_two_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([name, "--help"])
    assert left.value.code == 0
    examples = re.findall(r"^  dfhost .*", capsys.readouterr().out, re.M)
    assert len([line for line in examples if f"dfhost {name}" in line]) == 2


def test_the_module_and_the_command_are_the_same() -> None:
    script = shutil.which("dfhost", path=str(Path(sys.executable).parent))
    outputs = [
        subprocess.run(
            [*each, "--version"], env=clean_environment(), capture_output=True, text=True, check=True
        ).stdout
        for each in ([script or ""], dfhost_command())
    ]
    assert outputs[0] == outputs[1]
    assert outputs[0].startswith("dfhost ")


def test_asking_for_help_loads_nothing_heavy() -> None:
    code = "import sys, dfhost.cli; print(*{'aiohttp', 'azure', 'tqdm', 'asyncio', 'sqlite3'} & set(sys.modules))"
    environ = {
        name: text for name, text in os.environ.items() if "COVERAGE" not in name
    }  # it uses sqlite3 itself
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def test_options_are_not_abbreviated(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["list", "--nam", "order"])
    assert left.value.code == 2
    assert "unrecognized arguments: --nam order. Did you mean --name?" in capsys.readouterr().err
