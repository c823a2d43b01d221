"""What `dfhost start` prints of an app that waits, is tried again, and dies: the lines as a person sees them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dfhost.cli import main
from tests.support.apps import write_app
from tests.support.host_process import HostProcess

APP = """
    import os
    from datetime import timedelta

    @app.orchestration_trigger(context_name="context")
    def order(context):
        return (yield context.call_sub_orchestrator("approval", None, context.get_input()))

    @app.orchestration_trigger(context_name="context")
    def approval(context):
        due = context.create_timer(context.current_utc_datetime + timedelta(days=3))
        approved = context.wait_for_external_event("approved")
        yield context.task_any([approved, due])
        due.cancel()

    @app.orchestration_trigger(context_name="context")
    def calls(context):
        name, attempts = context.get_input()
        yield context.call_activity_with_retry(name, df.RetryOptions(100, attempts), "svc")

    @app.orchestration_trigger(context_name="context")
    def calls_child(context):
        options = df.RetryOptions(100, 2)
        yield context.call_sub_orchestrator_with_retry("calls", options, ["flaky", 1], "child-of-11")

    @app.orchestration_trigger(context_name="context")
    def fails(context):
        yield context.call_activity("flaky", "svc")

    @app.orchestration_trigger(context_name="context")
    def fails_below(context):
        yield context.call_sub_orchestrator("fails", None, "child-of-15")

    @app.activity_trigger(input_name="service")
    def flaky(service):
        raise ConnectionError("no answer from " + service)

    @app.activity_trigger(input_name="how")
    def dies(how):
        os._exit(3)

    @app.route(methods=["GET"])
    @app.retry(strategy="fixed_delay", max_retry_count="1", delay_interval="00:00:00")
    def again(req: func.HttpRequest) -> str:
        raise ValueError("no")
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    app: Path = write_app(tmp_path_factory.mktemp("console") / "app", APP)
    with HostProcess(app, "--memory") as host:
        yield host


def test_a_wait_and_the_events_that_come(host: HostProcess) -> None:
    host.client.start("approval", None, "order-7")
    host.line(r" waiting   approval +order-7  for event approved or a timer in 3 d$")
    host.client.send("order-7", "raiseEvent/aproved", 1)
    host.line(r" received  approval +order-7  event aproved, which nothing waits for yet$")
    host.line(r" note +The event 'aproved' has come to approval order-7, which waits for 'approved'")
    host.client.send("order-7", "raiseEvent/approved", 1)
    host.line(r" received  approval +order-7  event approved$")
    host.line(r" finished  approval .* order-7$")


def test_an_event_that_a_child_waits_for(host: HostProcess) -> None:
    host.client.start("order", "approval-3", "order-3")
    host.line(r" waiting   approval +approval-3 ")
    host.client.send("order-3", "raiseEvent/approved", 1)
    host.line(r" received  order +order-3  event approved$")
    host.line(
        r" note +The event 'approved' has come to order order-3, which does not wait for it\. "
        r"Its sub-orchestration approval-3 does: `dfhost raise approval-3 approved`\.$"
    )
    host.client.send("approval-3", "raiseEvent/approved", 1)
    host.line(r" finished  order .* order-3$")


def test_an_orchestration_that_is_terminated(host: HostProcess) -> None:
    host.client.start("approval", None, "order-12")
    host.line(r" waiting   approval +order-12 ")
    host.client.send("order-12", "terminate")
    host.line(r" ended     approval +\d.* order-12  terminated$")
    host.client.start("approval", None, "order-13")
    host.line(r" waiting   approval +order-13 ")
    host.client.send("order-13", "terminate?reason=sold%20out")
    host.line(r" ended     approval +\d.* order-13  terminated: sold out$")


def test_an_orchestration_that_is_suspended_and_resumed(host: HostProcess) -> None:
    host.client.start("approval", None, "order-14")
    host.line(r" waiting   approval +order-14 ")
    host.client.send("order-14", "suspend?reason=the%20shop%20is%20closed")
    host.line(r"  suspended approval +order-14  the shop is closed$")
    host.client.send("order-14", "resume")
    host.line(r"  resumed   approval +order-14$")


def test_an_orchestration_that_is_rewound_and_the_child_that_failed(host: HostProcess) -> None:
    host.client.start("fails_below", None, "order-15")
    host.line(r" failed    fails_below .* order-15$")
    host.client.send("order-15", "rewind?reason=prices%20are%20back")
    host.line(r"  rewound   fails_below +order-15  prices are back$")
    host.line(r"  rewound   fails +child-of-15  prices are back$")
    host.line(r" failed    fails_below .* order-15$")


def test_attempts_of_an_activity(host: HostProcess) -> None:
    host.client.start("calls", ["flaky", 3], "order-8")
    host.line(r' retrying  flaky .* order-8  "svc", attempt 1 of 3 failed, next in 100 ms$')
    host.line(r' retrying  flaky .* order-8  "svc", attempt 2 of 3 failed, next in 100 ms$')
    host.line(r' failed    flaky .* order-8  "svc", attempt 3 of 3$')


def test_attempts_of_a_sub_orchestration(host: HostProcess) -> None:
    host.client.start("calls_child", None, "order-11")
    host.line(r" retrying  calls .* child-of-11  attempt 1 of 2 failed, next in 100 ms$")
    host.line(r" failed    calls .* child-of-11  attempt 2 of 2$")
    host.line(r" failed    calls_child .* order-11$")


def test_attempts_of_a_function_with_a_retry_policy(host: HostProcess) -> None:
    assert host.client.request("GET", "/api/again").status == 500
    host.line(r" retrying  again .* GET /api/again, attempt 1 of 2 failed, next at once$")
    host.line(r" failed    again .* GET /api/again, attempt 2 of 2$")


def test_an_activity_whose_worker_dies(host: HostProcess) -> None:
    host.client.start("calls", ["dies", 1], "order-9")
    host.line(r' failed    dies .* order-9  "svc"$')
    host.line(r"^ +the worker process ended \(exit code 3\) while it ran$")
    output = host.client.ended("order-9")["output"]
    assert "exited with code 3 (0x3)" in output
    host.line(r'^ +dies "svc" failed: the worker process ended \(exit code 3\) while it ran$')
    assert not re.search(r"exited with code", host.text)


def test_a_misspelt_function_is_answered_with_what_was_meant_and_few_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = "".join(
        f"""
    @app.orchestration_trigger(context_name="context")
    def other_{number}(context):
        yield
"""
        for number in range(30)
    )
    source = """
    @app.orchestration_trigger(context_name="context")
    def import_orders(context):
        yield

    @app.orchestration_trigger(context_name="context")
    def calls_misspelt(context):
        yield context.call_sub_orchestrator("import_order", None, "below")
"""
    sentence = (
        "The function 'import_order' doesn't exist, is disabled, or is not an orchestrator function. Additional "
        "info: The following are the known orchestrator functions: "
    )
    names = "'import_orders', 'calls_misspelt', 'other_0', 'other_1', 'other_2'"
    short = f"{sentence}{names} and 27 more."
    meant = "Did you mean 'import_orders'?"
    with HostProcess(write_app(tmp_path, source + others), "--memory") as host:
        host.client.start("import_order", None, "top")
        host.line(f"^ +{re.escape(f'{meant} {short}')}$")
        host.client.start("calls_misspelt", None, "calls")
        host.line(rf"^ +The app has no orchestrator 'import_order'\. {re.escape(meant)}$")
        host.line(f"^ +Its output is: .*[^?] {re.escape(short)}$")
        assert "other_29'" not in host.text
        # The extension's own words stay in the output.
        output = host.client.ended("top")["output"]
        assert f"{sentence}'import_orders', " in output and output.endswith("'other_29'.")
        for command, said in (("show", f"{meant} {short}"), ("list", f"{meant} {sentence[:80]}")):
            arguments = ["top"] if command == "show" else ["--prefix", "top"]
            assert main([command, *arguments, "--url", host.url]) == 0
            assert said in capsys.readouterr().out
        assert main(["show", "top", "--full", "--url", host.url]) == 0
        assert "'other_29'." in capsys.readouterr().out


CHARGES = """
    import os
    import time

    @app.orchestration_trigger(context_name="context")
    def pays(context):
        return (yield context.call_activity("charge", context.get_input()))

    @app.activity_trigger(input_name="order")
    def charge(order: str) -> str:
        while not os.path.exists(os.environ["DOOR"]):
            time.sleep(0.01)
        return "charged"
"""


@pytest.mark.parametrize("mode", [[], ["--in-process"]])
def test_an_activity_that_runs_again_after_a_kill(tmp_path: Path, mode: list[str]) -> None:
    door = tmp_path / "open"

    def started() -> HostProcess:
        app = tmp_path / "app"
        return HostProcess(app, "--db", tmp_path / "hub.db", *mode, DOOR=str(door))

    write_app(tmp_path / "app", CHARGES)
    with started() as host:
        host.client.start("pays", "book", "k-1")
        host.line(r'  started +charge +k-1  "book"$')
        host.kill()
    with started() as host:
        again = "perhaps again: the last host ended before its result was stored"
        host.line(rf'  started +charge +k-1  "book", {again}$')
        host.client.start("pays", "cake", "k-2")
        host.line(r'  started +charge +k-2  "cake"$')
        door.touch()
        assert [host.client.output(each) for each in ("k-1", "k-2")] == ["charged"] * 2
        host.signal()
        assert host.exit_code() == 0
