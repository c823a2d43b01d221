"""`dfhost run`, as a process: the output on stdout, everything else on stderr, and an exit code to rely on."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps import write_app
from tests.support.host_process import Dfhost, HostProcess, clean_environment, dfhost_command, run_dfhost
from tests.support.waiting import DEADLINE

APP = """
    import logging, os, subprocess

    print("printed at import")

    @app.route(route="begin/{orchestrator}", methods=["POST"])
    @app.durable_client_input(client_name="client")
    async def begin(req: func.HttpRequest, client) -> func.HttpResponse:
        wanted = req.get_json() if req.get_body() else None
        id = await client.start_new(req.route_params["orchestrator"], client_input=wanted)
        return client.create_check_status_response(req, id)

    @app.route(route="echo/{status:int}")
    def echo(req: func.HttpRequest) -> func.HttpResponse:
        seen = {"body": req.get_body().decode(), "query": dict(req.params)}
        seen["headers"] = {name: text for name, text in req.headers.items() if name in ("x-one", "content-type")}
        return func.HttpResponse(json.dumps(seen), status_code=int(req.route_params["status"]))

    @app.orchestration_trigger(context_name="context")
    def fan(context):
        parts = [context.call_activity("work", n) for n in range(context.get_input() or 3)]
        return (yield context.task_all(parts))

    @app.orchestration_trigger(context_name="context")
    def many(context):
        return (yield context.task_all([context.call_activity("quick", "x" * 100) for _ in range(3000)]))

    @app.activity_trigger(input_name="text")
    def quick(text: str) -> str:
        return text

    @app.orchestration_trigger(context_name="context")
    def badly(context):
        return (yield context.call_sub_orchestrator("worse"))

    @app.orchestration_trigger(context_name="context")
    def worse(context):
        return (yield context.call_activity("fail", 1))

    @app.orchestration_trigger(context_name="context")
    def raises(context):
        yield context.call_activity("work", 1)
        raise KeyError("missing")

    @app.orchestration_trigger(context_name="context")
    def asks_another(context):
        return (yield context.call_sub_orchestrator("approval"))

    @app.orchestration_trigger(context_name="context")
    def approval(context):
        return (yield context.wait_for_external_event("Approval"))

    @app.orchestration_trigger(context_name="context")
    def tries_again(context):
        yield context.call_activity_with_retry("fail", df.RetryOptions(3_600_000, 2), "a")

    @app.orchestration_trigger(context_name="context")
    def one_slow(context):
        context.set_custom_status({"total": 8, "completed": 5})
        return (yield context.call_activity("slow", context.get_input()))

    @app.activity_trigger(input_name="n")
    def work(n: int) -> str:
        print("printed by an activity")
        logging.info("logged by an activity")
        os.write(1, b"written to descriptor 1\\n")
        subprocess.run(["echo", "printed by a child"])
        return f"item {n} \\N{SNOWMAN}"

    @app.activity_trigger(input_name="n")
    def fail(n: int) -> int:
        raise ValueError(f"no item {n}")

    @app.activity_trigger(input_name="file")
    def slow(file: str) -> str:
        with open(file) as pipe:
            return pipe.read()

    @app.activity_trigger(input_name="instance")
    @app.durable_client_input(client_name="client")
    async def end(instance: str, client) -> None:
        await client.terminate(instance, "enough")

    @app.orchestration_trigger(context_name="context")
    def ends_itself(context):
        yield context.call_activity("end", context.instance_id)
        yield context.wait_for_external_event("Never")
"""
HEAD = (
    "import json\nimport azure.durable_functions as df\nimport azure.functions as func\n\napp = df.DFApp()\n"
)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_app(tmp_path_factory.mktemp("app"), APP, head=HEAD)
    (folder / "host.json").write_text('{"version": "2.0"}')
    return folder


def run(app: Path, *arguments: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
    return run_dfhost("run", *arguments, "--app", app, **more)


@pytest.fixture
def run_here(app: Path, dfhost_here: Dfhost) -> Dfhost:
    """`run` without a process of its own, but with a worker process."""
    return lambda *arguments: dfhost_here("run", *arguments, "--app", app)


@pytest.fixture
def run_in_process(run_here: Dfhost) -> Dfhost:
    """`run` without any process, where the test speaks of what the host says and not of what the app prints."""
    return lambda *arguments: run_here(*arguments, "--in-process")


def test_the_output_alone_is_on_stdout(app: Path) -> None:
    done = run(app, "POST", "/api/begin/fan", "--data", "2")
    assert done.returncode == 0
    assert done.stdout == '[\n  "item 0 \N{SNOWMAN}",\n  "item 1 \N{SNOWMAN}"\n]\n'
    for said in ("printed at import", "printed by an activity", "info      logged by an activity"):
        assert said in done.stderr
    assert done.stderr.count("written to descriptor 1") == done.stderr.count("printed by a child") == 2
    assert re.search(r"fan [0-9a-f]{32} completed after .*; 2 activities ran$", done.stderr, re.MULTILINE)
    assert "\x1b" not in done.stderr
    assert not (app / ".dfhost").exists()


def test_an_orchestrator_by_its_name_with_an_input(run_in_process: Dfhost) -> None:
    done = run_in_process("fan", "--input", "2")
    assert done.returncode == 0 and json.loads(done.stdout) == [f"item {n} \N{SNOWMAN}" for n in range(2)]
    assert run_in_process("raises").returncode == 1
    misspelt = run_in_process("fans")
    assert misspelt.returncode == 2 and "no orchestrator 'fans'. Did you mean 'fan'?" in misspelt.stderr


def test_mistakes_in_the_code_are_named(tmp_path: Path, dfhost_here: Dfhost) -> None:
    folder = write_app(
        tmp_path,
        """
        @app.orchestration_trigger(context_name="context")
        def forgets(context):
            context.call_activity("work", 1)
            return "done"
            yield

        @app.orchestration_trigger(context_name="context", orchestration="careful")
        def does_not_forget(context):
            return (yield context.call_sub_orchestrator(context.get_input()))

        @app.orchestration_trigger(context_name="context")
        def fine(context):
            return "fine"
            yield
        """,
    )
    done = dfhost_here("run", "forgets", "--app", folder, "--in-process")
    assert (done.returncode, done.stdout) == (0, '"done"\n')
    said = (
        r"note +forgets \(function_app\.py, line \d+\): context\.call_activity without yield starts nothing"
    )
    assert len(re.findall(said, done.stderr)) == 1
    # Only those of the functions that a run calls.
    for child, times in (("forgets", 1), ("fine", 0)):
        done = dfhost_here("run", "careful", "--input", json.dumps(child), "--app", folder)
        assert done.returncode == 0 and len(re.findall(said, done.stderr)) == times
    assert (
        "without yield"
        not in dfhost_here("run", "forgets", "--app", folder, "--quiet", "--in-process").stderr
    )


def test_quiet_prints_nothing_about_success(run_here: Dfhost) -> None:
    done = run_here("POST", "api/begin/fan", "--quiet")
    assert json.loads(done.stdout) == [f"item {n} \N{SNOWMAN}" for n in range(3)]
    assert "completed" not in done.stderr
    assert "logged by an activity" not in done.stderr
    assert "printed by an activity" in done.stderr


def test_verbose_prints_every_call(run_in_process: Dfhost) -> None:
    done = run_in_process("POST", "/api/begin/fan", "--verbose")
    assert len(re.findall(r"  finished  work", done.stderr)) == 3
    assert len(json.loads(done.stdout)) == 3


def test_a_failure_is_printed_once_in_words_with_the_users_traceback(run_here: Dfhost) -> None:
    done = run_here("POST", "/api/begin/badly")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("raise ValueError") == 1
    assert "worse > fail: ValueError: no item 1" in done.stderr
    assert "$type" not in done.stderr
    assert re.search(r"error +badly [0-9a-f]{32} failed after .*; 1 activity ran$", done.stderr, re.MULTILINE)


def test_an_orchestrators_own_failure(run_in_process: Dfhost) -> None:
    done = run_in_process("POST", "/api/begin/raises", "--quiet")
    assert (done.returncode, done.stdout) == (1, "")
    assert "'missing'" in done.stderr


def test_an_unknown_orchestrator(run_in_process: Dfhost) -> None:
    done = run_in_process("POST", "/api/begin/nobody")
    assert (done.returncode, done.stdout) == (1, "")
    assert "'fan'" in done.stderr  # what there is


def test_a_terminated_run_is_no_success(run_in_process: Dfhost) -> None:
    done = run_in_process("POST", "/api/begin/ends_itself")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.search(r"ends_itself \S+ terminated after", done.stderr)
    assert "enough" in done.stderr


def test_a_timeout_names_what_the_instance_waits_for(run_in_process: Dfhost) -> None:
    done = run_in_process("POST", "/api/begin/approval", "--timeout", "0.5")
    assert (done.returncode, done.stdout) == (1, "")
    (said,) = [line for line in done.stderr.splitlines() if "Gave up" in line]
    assert re.search(r"Gave up after \S+ m?s: approval [0-9a-f]{32} is Running", said)
    assert "Approval" in said


def test_a_timeout_names_what_the_only_child_waits_for(run_in_process: Dfhost) -> None:
    done = run_in_process("POST", "/api/begin/asks_another", "--timeout", "0.5")
    (said,) = [line for line in done.stderr.splitlines() if "Gave up" in line]
    assert re.search(r" is Running, .*\. approval [0-9a-f]{8}:0: It waits for event Approval", said)


def test_a_call_that_is_to_be_tried_again_is_not_done(run_in_process: Dfhost) -> None:
    said = run_in_process("tries_again", "--timeout", "2").stderr
    assert re.search(r"is Running, 0 of 1 task done\. It waits for another attempt of fail in ", said), said


@pytest.mark.long
def test_an_unfinished_instance_goes_on_with_the_same_database(app: Path, tmp_path: Path) -> None:
    database = tmp_path / "kept.db"
    done = run(app, "POST", "/api/begin/approval", "--timeout", "0.5", "--db", database)
    assert done.returncode == 1
    assert "It continues when the app is next started with this database." in done.stderr
    found = re.search(r"approval ([0-9a-f]{32}) is", done.stderr)
    assert found
    with HostProcess(app, "--db", database) as host:
        path = f"/runtime/webhooks/durabletask/instances/{found[1]}"
        host.client.request("POST", f"{path}/raiseEvent/Approval", True)
        host.line(rf"finished +approval .*{found[1]}")


def test_a_response_that_starts_nothing_is_printed_as_it_is(run_in_process: Dfhost) -> None:
    headers = ["--header", "X-One: a:b", "-H", "Content-Type: text/plain"]
    done = run_in_process("PUT", "/api/echo/200?a=b%20c", "--data", "not json", *headers)
    assert done.returncode == 0
    assert json.loads(done.stdout) == {
        "body": "not json",
        "query": {"a": "b c"},
        "headers": {"x-one": "a:b", "content-type": "text/plain"},
    }


def test_a_response_that_is_no_success_is_printed_too(run_in_process: Dfhost) -> None:
    done = run_in_process("GET", "/api/echo/404")
    assert done.returncode == 1
    assert json.loads(done.stdout)["body"] == ""
    assert "HTTP 404 Not Found" in done.stderr


@pytest.mark.long
@pytest.mark.parametrize("from_file", [True, False])
def test_the_body_may_come_from_a_file_or_stdin(
    app: Path, run_here: Dfhost, tmp_path: Path, from_file: bool
) -> None:
    request = ("POST", "/api/echo/201", "--data")
    if from_file:
        (tmp_path / "body.json").write_text('{"a": 1}')
        done = run_here(*request, f"@{tmp_path / 'body.json'}")
    else:
        done = run(app, *request, "@-", input=b'{"a": 1}')
    assert done.returncode == 0
    seen = json.loads(done.stdout)
    assert seen["body"] == '{"a": 1}'
    assert seen["headers"]["content-type"] == "application/json"


@pytest.mark.long
def test_a_closed_stdout_is_no_traceback(app: Path) -> None:
    with subprocess.Popen(
        dfhost_command("run", "POST", "/api/begin/fan", "--data", "3", "--app", app, "--quiet"),
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout
        process.stdout.close()
        _, errors = process.communicate(timeout=DEADLINE)
        assert process.returncode == 0
        assert b"Traceback" not in errors


@pytest.mark.long
def test_on_a_terminal_there_is_a_bar(app: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    leader, follower = pty.openpty()
    with subprocess.Popen(
        dfhost_command("run", "POST", "/api/begin/one_slow", "--data", json.dumps(str(pipe)), "--app", app),
        env=clean_environment(TERM="xterm", COLUMNS="100", LINES="30"),
        stdout=subprocess.PIPE,
        stderr=follower,
    ) as process:
        os.close(follower)
        shown = ""
        with open(pipe, "w") as writer:
            while "5/8" not in shown:
                shown += os.read(leader, 10_000).decode()
            writer.write("done")
        assert process.stdout
        assert json.loads(process.stdout.read()) == "done"
        assert process.wait(DEADLINE) == 0
    while "completed" not in shown:
        shown += os.read(leader, 10_000).decode()
    os.close(leader)
    assert "\x1b[" in shown


@pytest.mark.long
def test_a_disk_that_is_full_ends_the_run_with_a_sentence(app: Path, tmp_path: Path) -> None:
    # A limit on the size of files stands in for a full disk.
    limit = ["sh", "-c", 'ulimit -f 300 && exec "$@"', "sh"]
    arguments = ("run", "POST", "/api/begin/many", "--app", app, "--db", tmp_path / "x.db", "--timeout", "50")
    done = run_dfhost(*arguments, prefix=limit)
    assert (done.returncode, done.stdout) == (2, "")
    last = done.stderr.splitlines()[-1]
    assert last.startswith("dfhost: ") and str(tmp_path / "x.db") in last
    assert "Traceback" not in done.stderr


@pytest.mark.long
@pytest.mark.parametrize(("replay", "starts"), [("always", range(41, 42)), ("auto", range(2, 41))])
def test_how_often_a_long_history_is_replayed(replay: str, starts: range, tmp_path: Path) -> None:
    """Forty steps; the output is how many times the orchestrator's code had been started when it came to its end."""
    app = write_app(
        tmp_path,
        """
        starts = []

        @app.route(route="begin", methods=["POST"])
        @app.durable_client_input(client_name="client")
        async def begin(req: func.HttpRequest, client) -> func.HttpResponse:
            return client.create_check_status_response(req, await client.start_new("steps"))

        @app.orchestration_trigger(context_name="context")
        def steps(context):
            starts.append(1)
            for n in range(40):
                yield context.call_activity("quick", n)
            return len(starts)

        @app.activity_trigger(input_name="n")
        def quick(n: int) -> int:
            return n
        """,
    )
    done = run_dfhost("run", "POST", "/api/begin", "--app", app, "--replay", replay)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) in starts
