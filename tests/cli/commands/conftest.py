"""One host for all tests of the commands, and the commands against it, in the test's own process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from dfhost.cli import main
from tests.support.apps import write_app
from tests.support.host_process import HostProcess
from tests.support.http_client import HttpClient
from tests.support.waiting import until

APP = """
    import os
    import time
    from datetime import timedelta

    @app.orchestration_trigger(context_name="context")
    def echo(context):
        return (yield context.call_activity("repeat", context.get_input()))

    @app.orchestration_trigger(context_name="context")
    def approval(context):
        context.set_custom_status({"asked": "Ada"})
        return (yield context.wait_for_external_event("Approval"))

    @app.orchestration_trigger(context_name="context")
    def order(context):
        return (yield context.call_sub_orchestrator("approval", None, context.get_input()))

    @app.orchestration_trigger(context_name="context")
    def import_orders(context):
        retry = df.RetryOptions(first_retry_interval_in_milliseconds=1, max_number_of_attempts=2)
        items = context.get_input()
        return (yield context.task_all(
            [context.call_activity_with_retry("process_item", retry, item) for item in items]))

    @app.orchestration_trigger(context_name="context")
    def import_all(context):
        return (yield context.call_sub_orchestrator("import_orders", context.get_input(), "child-of-all"))

    @app.orchestration_trigger(context_name="context")
    def calls_generated_child(context):
        return (yield context.call_sub_orchestrator("import_orders", context.get_input()))

    @app.orchestration_trigger(context_name="context")
    def calls_failing_child(context):
        return (yield context.call_sub_orchestrator("reads_file", context.get_input(), "rewound-child"))

    @app.orchestration_trigger(context_name="context")
    def reads_file(context):
        return (yield context.call_activity("needs_file", context.get_input()))

    @app.activity_trigger(input_name="path")
    def needs_file(path: str) -> str:
        return open(path).read()

    @app.orchestration_trigger(context_name="context")
    def runs_two(context):
        ids = context.get_input()
        yield context.task_all([context.call_sub_orchestrator("runs_echo", None, id) for id in ids])
        return f"[{context.instance_id}]"

    @app.orchestration_trigger(context_name="context")
    def runs_echo(context):
        return (yield context.call_sub_orchestrator("echo", None, f"{context.instance_id}:below"))

    @app.orchestration_trigger(context_name="context")
    def reminded(context):
        reminder = context.create_timer(context.current_utc_datetime + timedelta(seconds=50))
        yield context.task_any([context.wait_for_external_event("Approval"), reminder])
        reminder.cancel()

    @app.orchestration_trigger(context_name="context")
    def raises(context):
        raise KeyError("missing")
        yield

    @app.orchestration_trigger(context_name="context")
    def validates_order(context):
        return (yield context.call_activity("validate", context.get_input()))

    @app.activity_trigger(input_name="order")
    def validate(order: dict) -> None:
        raise ValueError("1 validation error for Order\\nid\\n  Field required [type=missing]")

    @app.orchestration_trigger(context_name="context")
    def validates(context):
        raise ValueError("1 validation error for Order\\nby\\n  Value error, nobody approved")
        yield

    @app.orchestration_trigger(context_name="context")
    def validates_below(context):
        return (yield context.call_sub_orchestrator("validates"))

    @app.orchestration_trigger(context_name="context")
    def yields_list(context):
        return (yield [context.call_activity("process_item", item) for item in "ab"])

    @app.orchestration_trigger(context_name="context")
    def yields_list_below(context):
        return (yield context.call_sub_orchestrator("yields_list"))

    @app.orchestration_trigger(context_name="context")
    def renews(context):
        count = context.get_input()
        yield context.call_activity("repeat", str(count))
        if count > 0:
            context.continue_as_new(count - 1)
        elif count == 0:
            yield context.wait_for_external_event("Approval")

    @app.orchestration_trigger(context_name="context")
    def times_badly(context):
        yield context.create_timer("tomorrow")

    @app.orchestration_trigger(context_name="context")
    def never_yields(context):
        path = context.get_input()
        first, _ = context.call_activity("repeat", "hello"), context.call_activity("waits_for_file", path)
        yield context.task_any([first, _])
        while not os.path.exists(path):
            time.sleep(0.01)

    @app.activity_trigger(input_name="path")
    def waits_for_file(path: str) -> None:
        while not os.path.exists(path):
            time.sleep(0.01)

    @app.activity_trigger(input_name="given")
    def repeat(given: str) -> str:
        return given

    @app.activity_trigger(input_name="item")
    def process_item(item: str) -> str:
        if item.startswith("bad"):
            raise ValueError(f"no such order: {item}")
        return item.upper()

    @app.queue_trigger(arg_name="message", queue_name="orders", connection="Storage")
    def on_order(message: func.QueueMessage) -> None:
        order = message.get_json()
        while not os.path.exists(order.get("after", "/")):
            time.sleep(0.01)
        with open(order["file"], "w") as file:
            file.write(order["text"])

    @app.entity_trigger(context_name="context")
    def counter(context):
        state = context.get_state(lambda: 0)
        if context.operation_name == "add":
            state += context.get_input()
        while context.operation_name == "hang" and not os.path.exists(context.get_input()):
            time.sleep(0.01)
        context.set_state(state)
"""


class Said(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Commands:
    """`dfhost VERB …` against one host; `http` is that host's client."""

    def __init__(self, url: str, capfd: pytest.CaptureFixture[str]) -> None:
        self.url = url
        self.http = HttpClient(url)
        self._capfd = capfd

    def __call__(self, verb: str, *arguments: str) -> Said:
        return self.plain(verb, *arguments, "--url", self.url)

    def plain(self, *arguments: str) -> Said:
        """Without saying which host."""
        self._capfd.readouterr()
        try:
            code = main(arguments)
        except SystemExit as left:
            assert isinstance(left.code, int)
            code = left.code
        printed = self._capfd.readouterr()
        return Said(code, printed.out, printed.err)

    def done(self, verb: str, *arguments: str) -> str:
        """What a command prints that must succeed."""
        said = self(verb, *arguments)
        assert said.code == 0, said
        return said.out

    def ended(self, orchestrator: str, input: Any = None, instance_id: str = "") -> str:
        """The id of a new instance that has ended."""
        started = self.http.start(orchestrator, input, instance_id)
        self.http.ended(started)
        return started

    def waiting(self, instance_id: str = "") -> str:
        """The id of an instance that waits for the event Approval."""
        started = self.http.start("approval", None, instance_id)
        self.http.until(started, lambda status: status["customStatus"] is not None)
        until(
            lambda: self.http.manage("GET", f"instances/{started}?explain=true").body,
            lambda shown: shown["waitsFor"],
        )
        return started


@pytest.fixture(scope="session")
def app_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    folder = write_app(tmp_path_factory.mktemp("commands"), APP)
    (folder / "host.json").write_text('{"version": "2.0"}')
    with HostProcess(folder, "--in-process") as host:
        yield host


@pytest.fixture
def dfhost(app_host: HostProcess, capfd: pytest.CaptureFixture[str]) -> Commands:
    return Commands(app_host.url, capfd)
