"""`dfhost start`, as a process: the lines it prints, how it stops, and the task hub it leaves behind."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.apps import write_app
from tests.support.host_process import HostProcess, clean_environment, dfhost_command, run_dfhost
from tests.support.http_client import HttpClient
from tests.support.waiting import DEADLINE

APP = '''
    import logging, os, threading, warnings

    @app.route(methods=["POST"])
    @app.durable_client_input(client_name="client")
    async def begin(req: func.HttpRequest, client) -> func.HttpResponse:
        wanted = req.get_json()
        id = await client.start_new(wanted["orchestrator"], client_input=wanted.get("input"))
        return client.create_check_status_response(req, id)

    @app.route(methods=["GET"])
    def hello(req: func.HttpRequest) -> str:
        print("hello")
        return "hello"

    @app.route(methods=["GET"])
    def talk(req: func.HttpRequest) -> str:
        print("a printed line")
        os.write(1, b"a line from below\\n")
        logging.info("a logged line")
        logging.getLogger("shop").debug("a debug line")
        return os.environ["GREETING"]

    @app.orchestration_trigger(context_name="context")
    def fan(context):
        number = context.get_input()
        return (yield context.task_all([context.call_activity("work", n) for n in range(number)]))

    @app.orchestration_trigger(context_name="context")
    def fan_badly(context):
        number = context.get_input()
        return (yield context.task_all([context.call_activity("fail", n) for n in range(number)]))

    @app.orchestration_trigger(context_name="context")
    def fails_alone(context):
        return (yield context.call_activity("fail", context.get_input()))

    @app.orchestration_trigger(context_name="context")
    def one_slow(context):
        return (yield context.call_activity("slow", context.get_input()))

    @app.orchestration_trigger(context_name="context")
    def approval(context):
        return (yield context.wait_for_external_event("Approval"))

    @app.activity_trigger(input_name="n")
    def work(n: int) -> int:
        return n

    @app.orchestration_trigger(context_name="context")
    def burst(context):
        return (yield context.task_all([context.call_activity("quick", n) for n in range(500)]))

    @app.activity_trigger(input_name="n")
    def quick(n: int) -> int:
        return n

    @app.activity_trigger(input_name="n")
    def fail(n: int) -> int:
        raise ValueError(f"no item {n}")

    @app.activity_trigger(input_name="file")
    def slow(file: str) -> str:
        """Ends when `file` appears: a named pipe, whose opening waits for a writer."""
        with open(file) as pipe:
            return pipe.read()

    @app.service_bus_queue_trigger(arg_name="message", queue_name="q", connection="C")
    def on_order(message: func.ServiceBusMessage) -> None: ...
'''


def make_app(folder: Path) -> Path:
    write_app(folder, APP)
    host = {"hubName": "Shop", "maxConcurentActivityFunctions": 1}
    (folder / "host.json").write_text(json.dumps({"version": "2.0", "extensions": {"durableTask": host}}))
    local = {"IsEncrypted": False, "Values": {"GREETING": "hello from settings"}}
    (folder / "local.settings.json").write_text(json.dumps(local))
    return folder


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return make_app(tmp_path / "app")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    """One host for the tests that only read what it prints."""
    with HostProcess(make_app(tmp_path_factory.mktemp("listen")), "--memory", GREETING="") as started:
        yield started


# -- what it prints ------------------------------------------------------------------------------------------
def test_it_lists_the_functions_and_the_settings_it_ignores(host: HostProcess) -> None:
    text = host.text
    assert f"    begin: [POST] {host.url}/api/begin\n" in text
    assert "    fan: orchestrationTrigger\n" in text
    assert "    on_order: serviceBusTrigger, not polled here\n" in text
    assert text.index("begin:") < text.index("talk:") < text.index("fan:")
    assert "did you mean extensions.durableTask.maxConcurrentActivityFunctions?" in text
    assert "\x1b" not in text


def test_it_says_how_to_run_a_function_whose_trigger_it_does_not_poll(host: HostProcess) -> None:
    note = host.line(
        r"dfhost does not poll these triggers: on_order \(serviceBusTrigger\)\. "
        r"Run one with `dfhost trigger on_order --input TEXT`, or with: (curl .*)$"
    )
    assert subprocess.run(shlex.split(note[1]), check=True, capture_output=True).stdout == b""
    host.line(r" finished +on_order ")


def test_each_call_is_printed_with_its_instance(host: HostProcess) -> None:
    id = host.start_instance("/api/begin", {"orchestrator": "fan", "input": 2})
    host.line(rf"finished +fan +\S+ m?s +{id}")
    calls = [line.split()[1:3] for line in host.lines if id[:8] in line]
    assert calls.count(["started", "work"]) == calls.count(["finished", "work"]) == 2
    assert calls[0] == ["started", "fan"]
    assert calls[-1] == ["finished", "fan"]


def test_a_burst_of_calls_is_folded_into_counts(host: HostProcess) -> None:
    id = host.start_instance("/api/begin", {"orchestrator": "burst"})
    host.line(rf"finished +burst .*{id}")
    lines = [line for line in host.lines if " quick " in line]
    assert len(lines) < 40
    folded = sum(int(found[1]) for line in lines if (found := re.search(r"(\d+) (more )?finished", line)))
    assert folded + sum("  finished  quick" in line for line in lines) == 500


def test_failures_come_with_the_users_traceback_and_are_counted(host: HostProcess) -> None:
    id = host.start_instance("/api/begin", {"orchestrator": "fan_badly", "input": 50})
    host.line(rf"failed +fan_badly .*{id}")
    host.line(
        r"^ +fail(:| \[\d+\] \d+ failed:) ValueError: no item \d+$"
    )  # the second for one of the first tasks
    text = host.text
    assert text.count("raise ValueError") == 1
    assert 'function_app.py", line' in text
    assert text.count("  failed    fail ") == 11  # ten, and the rest in one
    host.line(rf"failed    fail +40 more failed.*; the last: ValueError: no item \d+ \({id[:8]}\)$")


def test_of_failures_without_a_line_the_console_names_the_command_that_lists_them(host: HostProcess) -> None:
    ids = [host.start_instance("/api/begin", {"orchestrator": "fails_alone", "input": 1}) for _ in range(30)]
    summary = host.line(
        r"failed    fails_alone .* failed.*; the last: fail: ValueError: no item 1 \((\w{8})\)$"
    )
    assert summary[1] in [id[:8] for id in ids]
    (command,) = {host.line(r"^ {24}`dfhost (list .*)` lists them\.$")[1]}
    listed = run_dfhost(*shlex.split(command), "--ids", "--url", host.url)
    assert sorted(listed.stdout.split()) == sorted(ids), listed.stderr


def test_output_of_user_code_is_printed_and_it_sees_its_settings(host: HostProcess) -> None:
    assert host.client.request("GET", "/api/talk").plain == (200, "hello from settings")
    host.line(r"^\S+ +a printed line  \(talk\)$")
    host.line(r"info +a logged line  \(talk\)$")
    host.line(r"^a line from below$")
    assert not any("a debug line" in line for line in host.lines)


def test_a_request_that_finds_no_function_is_printed(host: HostProcess) -> None:
    assert host.client.request("GET", "/api/tolk").status == 404
    host.line(r"note +GET /api/tolk was answered 404: did you mean /api/talk\?$")


def test_nothing_that_a_client_names_controls_the_terminal(host: HostProcess) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\x7f\x9b31m\u202egnp"
    client = host.client
    for id in (f"fails{evil}", f"waits{evil}"):
        client.start("fan_badly" if "fails" in id else "approval", 1, id)
    client.until(f"waits{evil}", lambda status: status["runtimeStatus"] == "Running")
    client.send(f"waits{evil}", f"raiseEvent/{quote(f'aproval{evil}')}", 1)
    client.request("POST", f"/api/{quote(evil)}")
    client.request("POST", "/api/begin", {"orchestrator": f"unknown{evil}"})
    client.manage("POST", f"instances/waits{quote(evil)}/terminate?reason={quote(evil)}")
    client.ended(f"fails{evil}")
    host.line(r"failed +fan_badly .*fails\\x1b\]0;owned\\x07\\x1b\[2J\\x7f\\x9b31m\\u202egnp$")
    host.line(r"failed +unknown\\x1b\]0;owned")
    assert [each for each in host.text if not each.isprintable() and each != "\n"] == []


@pytest.mark.long
def test_verbose_prints_more_and_the_environment_wins(app: Path) -> None:
    with HostProcess(app, "--memory", "--verbose", GREETING="from outside") as host:
        assert host.client.request("GET", "/api/talk").plain == (200, "from outside")
        host.line(r"debug +shop: a debug line")
        host.line(r"Taken from the environment, not from local\.settings\.json: GREETING")


@pytest.mark.long
def test_log_levels_of_functions_are_host_jsons(tmp_path: Path) -> None:
    body = """
        import logging

        def log(name):
            for level in ("debug", "info", "error"):
                getattr(logging, level)(f"{name} logs {level}")

        @app.route(methods=["GET"])
        def quiet(req: func.HttpRequest) -> str:
            log("quiet")
            print("quiet prints")
            return "done"

        @app.route(methods=["GET"])
        async def loud(req: func.HttpRequest) -> str:
            log("loud")
            return "done"

        @app.orchestration_trigger(context_name="context")
        def flow(context):
            log("flow")
            yield context.call_activity("renamed", None)

        @app.activity_trigger(input_name="x", activity="renamed")
        def work(x):
            log("work")
    """
    app = write_app(tmp_path / "app", body)
    levels = {"Function.quiet": "Error", "Function.loud.User": "Debug", "Function.work": "None"}
    (app / "host.json").write_text(json.dumps({"version": "2.0", "logging": {"logLevel": levels}}))
    with HostProcess(app, "--memory") as host:
        for name in ("quiet", "loud"):
            assert host.client.request("GET", f"/api/{name}").status == 200
        host.client.output(host.client.start("flow"))
        host.signal()
        assert host.exit_code() == 0
        logged = re.findall(r"(\w+) logs (\w+)", host.text)
        assert set(logged) == {
            ("quiet", "error"),
            *(("loud", level) for level in ("debug", "info", "error")),
            *(("flow", level) for level in ("info", "error")),
        }
        assert "quiet prints" in host.text


@pytest.mark.long
def test_functions_see_the_environment_and_the_path_of_a_real_host(tmp_path: Path) -> None:
    body = """
        import json, os, sys, helper

        @app.route(methods=["GET"])
        def seen(req: func.HttpRequest) -> str:
            return json.dumps([dict(os.environ), sys.path])
    """
    app = write_app(tmp_path / "app", body)
    (app / "helper.py").touch()
    (app / "aiohttp.py").write_text("raise AssertionError('this file would win over the library')")
    packages = app / ".python_packages" / "lib" / "site-packages"
    packages.mkdir(parents=True)
    # Started in the app's folder, which `python -m` puts first.
    with HostProcess("--memory", cwd=app, PYTHON_THREADPOOL_THREAD_COUNT="") as host:
        environ, path = host.client.request("GET", "/api/seen").body
        host.line(r"note +The app's aiohttp\.py is never imported, because /\S+ comes first, as on Azure")
    assert {
        "AZURE_FUNCTIONS_ENVIRONMENT": "Development",
        "FUNCTIONS_APPLICATION_DIRECTORY": str(app),
        "FUNCTIONS_EXTENSION_VERSION": "~4",
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "FUNCTIONS_WORKER_RUNTIME_VERSION": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "PYTHONPATH": str(packages),
        "PYTHON_THREADPOOL_THREAD_COUNT": "1000",
    }.items() <= environ.items()
    assert {"WEBSITE_HOSTNAME", "ASPNETCORE_URLS"} <= environ.keys()
    libraries = [each for each in path if "site-packages" in each]
    assert libraries[0] == path[0] == str(packages)
    assert path.index(str(app)) > path.index(libraries[-1])


@pytest.mark.long
def test_an_app_without_a_bundle_has_no_durable_extension_on_a_real_host(app: Path, tmp_path: Path) -> None:
    with HostProcess(app, "--memory") as host:
        host.line(r"note +host\.json has no extensionBundle, so a real host has no Durable Task extension")


@pytest.mark.long
# -- how it ends ---------------------------------------------------------------------------------------------
def test_the_first_ctrl_c_lets_running_activities_finish(app: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with HostProcess(app, "--memory") as host:
        host.start_instance("/api/begin", {"orchestrator": "one_slow", "input": str(pipe)})
        with open(pipe, "w") as writer:  # opens once the activity reads
            host.signal()
            host.line(r"Waiting for running calls: slow \(1\)\. Press ctrl-C again")
            writer.write("done")
        host.line(r"finished +slow")
        assert host.exit_code() == 0
        assert "Stopped." in host.lines[-1]


@pytest.mark.long
def test_after_the_first_signal_nothing_new_is_accepted(app: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with HostProcess(app, "--memory") as host:
        id = host.start_instance("/api/begin", {"orchestrator": "one_slow", "input": str(pipe)})
        with open(pipe, "w") as writer:
            host.signal(signal.SIGTERM)
            host.line("Waiting for running calls")
            manage = host.client.manage
            assert manage("POST", "orchestrators/approval").status == 503
            assert manage("POST", f"instances/{id}/raiseEvent/go", 1).status == 503
            assert host.client.request("POST", "/api/begin", {"orchestrator": "fan"}).status == 503
            assert host.client.request("POST", "/admin/functions/approval", {"input": ""}).status == 503
            action = {"action": "start", "name": "approval"}
            refused = host.client.request("POST", "/dashboard/api/actions", action)
            assert (refused.status, refused.body) == (
                503,
                {"error": "The host is stopping and takes nothing new."},
            )
            assert host.client.status(id)["runtimeStatus"] == "Running"
            writer.write("done")
        assert host.exit_code() == 0


@pytest.mark.long
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_second_signal_stops_at_once_and_loses_nothing(
    app: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    database = tmp_path / "hub.db"
    with HostProcess(app, "--db", database) as host:
        id = host.start_instance("/api/begin", {"orchestrator": "one_slow", "input": str(pipe)})
        with open(pipe, "w"):
            host.signal(number)
            host.line("Waiting for running calls")
            host.signal(number)
            assert host.exit_code() == code
    with HostProcess(app, "--db", database) as host:
        with open(pipe, "w") as writer:
            writer.write("at last")
        host.line(rf"finished +one_slow .*{id}")
        text = host.text
        goes_on = r"note +Continuing 1 instance of the last run: 1 with work to do\.$"
        assert re.search(rf"Ready on .*\n.*{goes_on}(.*\n)*.*started +slow", text, re.MULTILINE), text
        assert host.client.output(id) == "at last"


@pytest.mark.long
def test_the_task_hub_lies_beside_the_app_and_goes_on(app: Path) -> None:
    with HostProcess(app) as host:
        id = host.start_instance("/api/begin", {"orchestrator": "approval"})
        host.line(rf"started +approval .*{id}")
        host.signal(signal.SIGTERM)
        assert host.exit_code() == 0
    assert (app / ".dfhost" / "Shop.db").is_file()
    assert (app / ".dfhost" / ".gitignore").read_text() == "*\n"
    with HostProcess(app) as host:
        assert host.line(r"note +(Continuing .*)$")[1] == "Continuing 1 instance of the last run: 1 waiting."
        host.client.send(id, "raiseEvent/Approval", {"by": "me"})
        host.line(rf"finished +approval .*{id}")
        assert host.client.output(id) == {"by": "me"}


@pytest.mark.long
def test_two_hosts_on_one_database_are_refused(app: Path) -> None:
    with HostProcess(app) as host:
        done = run_dfhost("start", app, "--port", "0")
        assert done.returncode == 2
        assert "Shop.db is in use by another host" in done.stderr
        assert f" The other host is at {host.client.url}.\n" in done.stderr
        assert done.stderr.count("\n") == 1
        done = run_dfhost("start", app, "--port", host.client.url.rpartition(":")[2])
        assert (
            "Shop.db is in use" in done.stderr and "This one needs a --port of its own, too." in done.stderr
        )
        assert done.stderr.count("\n") == 1


@pytest.mark.long
def test_explain_says_what_an_instance_waits_for(app: Path) -> None:
    with HostProcess(app, "--memory", "--quiet") as host:
        id = host.start_instance("/api/begin", {"orchestrator": "approval"})
        status = f"/runtime/webhooks/durabletask/instances/{id}"
        host.client.until(id, lambda status: status["runtimeStatus"] == "Running")
        done = run_dfhost("explain", id, "--url", host.url)
        assert done.returncode == 0
        assert done.stdout.splitlines()[0] == f"approval {id} is Running."
        assert "event Approval" in done.stdout
        pasted = run_dfhost("explain", f"{host.url}{status}?taskHub=Shop&connection=Storage")
        assert pasted.stdout.splitlines()[0] == f"approval {id} is Running."
        answer = json.loads(run_dfhost("explain", id, "--url", host.url, "--json").stdout)
        assert answer["instanceId"] == id
        assert answer["waitsFor"][0]["kind"] == "event"
        missing = run_dfhost("explain", "nobody", "--url", host.url)
        assert missing.returncode == 4
        assert "has no instance 'nobody'" in missing.stderr
        assert not any("started" in line for line in host.lines)  # --quiet


@pytest.mark.long
def test_a_pipe_that_is_closed_does_not_end_the_host(app: Path) -> None:
    reading, writing = os.pipe()
    with subprocess.Popen(
        dfhost_command("start", app, "--memory", "--port", "0"),
        env=clean_environment(),
        stdout=writing,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(writing)
        with os.fdopen(reading) as lines:
            url = next(found[1] for line in lines if (found := re.search(r"Ready on (http\S+)\.", line)))
        for _ in range(3):
            assert HttpClient(url).request("GET", "/api/hello").status == 200
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=DEADLINE)
        assert process.returncode == 0
        assert errors == b""


def test_a_timer_is_listed_with_the_schedule_of_its_setting_and_its_next_run(tmp_path: Path) -> None:
    app = write_app(
        tmp_path / "app",
        """
        @app.timer_trigger(arg_name="timer", schedule="%YEARLY%")
        def yearly(timer: func.TimerRequest) -> None: ...

        @app.timer_trigger(arg_name="timer", schedule="%MISSING%")
        def never(timer: func.TimerRequest) -> None: ...
        """,
    )
    zones = {"TZ": "HERE-5:30", "WEBSITE_TIME_ZONE": "Europe/Berlin", "YEARLY": "0 30 2 1 1 *"}
    with HostProcess(app, "--memory", **zones) as host:
        # 02:30 in Berlin is 01:30 in UTC, and that is 07:00 here.
        host.line(r"    yearly: timerTrigger \(0 30 2 1 1 \*\), next run \d{4}-01-01 07:00:00$")
        host.line(r"    never: timerTrigger \(%MISSING%\)$")
        page = host.client.request("GET", "/").text
        assert "yearly (0 30 2 1 1 *)" in page and "never (%MISSING%)" in page
        timers = host.client.request("GET", "/dashboard/api/timers").body
        assert timers["never"] == {"schedule": "%MISSING%", "nextRun": None}
        assert timers["yearly"]["schedule"] == "0 30 2 1 1 *"
        assert timers["yearly"]["nextRun"].endswith("-01-01T01:30:00.000000Z")
