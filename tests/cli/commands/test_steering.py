"""The verbs that change something: what they print, what the host then does, and their exit codes."""

from __future__ import annotations

import json
import re
import socket
import threading
from datetime import datetime
from pathlib import Path

import pytest

from tests.cli.commands.conftest import Commands
from tests.support.apps import write_app
from tests.support.host_process import HostProcess
from tests.support.waiting import until


# -- start-instance ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("given", [{"a": [1]}, ["x"], "text", 5, None])
def test_the_input_arrives_as_from_the_sdks_client(dfhost: Commands, given: object) -> None:
    words = [] if given is None else ["--input", json.dumps(given)]
    assert json.loads(dfhost.done("start-instance", "echo", "--wait", *words)) == given


def test_it_prints_the_id_and_nothing_else(dfhost: Commands) -> None:
    assert re.fullmatch(r"[0-9a-f]{32}\n", dfhost.done("start-instance", "echo"))
    assert dfhost.done("start-instance", "echo", "--id", "mine") == "mine\n"
    assert dfhost("start-instance", "echo", "--json").json["statusQueryGetUri"].startswith("http://")


def test_waiting_for_the_end(dfhost: Commands) -> None:
    failed = dfhost("start-instance", "raises", "--wait")
    assert failed.code == 1 and failed.out == "" and "failed: KeyError: 'missing'" in failed.err
    assert dfhost("start-instance", "raises", "--wait", "--json").json["runtimeStatus"] == "Failed"
    late = dfhost("start-instance", "approval", "--wait", "--timeout", "0.1")
    assert late.code == 1 and "It goes on." in late.err


def test_a_misspelt_orchestrator_is_not_started(dfhost: Commands) -> None:
    said = dfhost("start-instance", "import_order")
    assert said.code == 2 and "Did you mean 'import_orders'?" in said.err
    assert re.search(r"It has approval, calls_\w+, .*, echo, ", dfhost("start-instance", "zzz").err)


def test_an_id_that_is_taken(dfhost: Commands) -> None:
    id = dfhost.waiting()
    said = dfhost("start-instance", "approval", "--id", id)
    assert said.code == 5 and "already exists" in said.err
    assert dfhost("terminate", id).code == 0
    said = dfhost("start-instance", "echo", "--id", id, "--wait")
    assert said == (0, "null\n", f"Replaced approval {id}, which had been terminated.\n")
    said = dfhost("start-instance", "echo", "--id", id)
    assert said == (0, f"{id}\n", f"Replaced echo {id}, which had completed.\n")


@pytest.mark.parametrize("text", ["{", "@/nowhere/x.json", "plain"])
def test_an_input_that_is_no_json(dfhost: Commands, text: str) -> None:
    said = dfhost("start-instance", "echo", "--input", text)
    assert said.code == 2 and said.err.startswith("dfhost: --input ")


def test_the_input_of_a_file(dfhost: Commands, tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text('["from a file"]')
    assert json.loads(dfhost.done("start-instance", "echo", "--input", f"@{tmp_path}/in.json", "--wait")) == [
        "from a file"
    ]


def test_a_text_that_is_no_json_is_shown_as_json(dfhost: Commands) -> None:
    for verb in (("raise", "x", "E"), ("signal", "@counter@a", "add"), ("start-instance", "echo")):
        for option in ("--data", "--input"):
            said = dfhost(*verb, option, "yes")
            assert said.code == 2
            assert re.fullmatch(
                r"dfhost: --(data|input) 'yes' is not JSON; a text is written '\"yes\"'\.\n", said.err
            )
    assert "{by: Ada} is not JSON: Expecting" in dfhost("raise", "x", "E", "--data", "{by: Ada}").err
    assert "is empty, which is not JSON" in dfhost("raise", "x", "E", "--data", "").err


# -- raise -------------------------------------------------------------------------------------------------------
def test_an_event_reaches_the_instance_that_waits(dfhost: Commands) -> None:
    id = dfhost.waiting()
    assert dfhost.done("raise", id, "Approval", "--data", '{"by": "Ada"}') == f"Raised Approval for {id}.\n"
    assert dfhost.http.output(id) == {"by": "Ada"}


def test_an_event_that_a_child_waits_for(dfhost: Commands) -> None:
    parent = dfhost.http.start("order", "approval of-3", "order-3")
    said = until(
        lambda: dfhost("raise", parent, "Approval"),
        lambda said: "its sub-orchestration" in said.err,
    )
    assert (said.code, said.err) == (
        2,
        "dfhost: order-3 does not wait for 'Approval', but its sub-orchestration approval of-3 does: `dfhost raise "
        "'approval of-3' Approval`. Nothing was raised; --force does it anyway.\n",
    )
    assert dfhost.done("raise", parent, "Approval", "--force") == "Raised Approval for order-3.\n"
    assert "yet.\n" in dfhost.done("raise", parent, "Refund")
    assert dfhost.done("raise", "approval of-3", "Approval", "--data", "1").endswith(
        "Approval for approval of-3.\n"
    )
    assert dfhost.http.output(parent) == 1


def test_without_data_an_event_is_null(dfhost: Commands) -> None:
    id = dfhost.waiting()
    assert dfhost("raise", id[:10], "Approval", "--json").json == {"instanceId": id, "event": "Approval"}
    assert dfhost.http.output(id) is None


@pytest.mark.parametrize("name", ["Aproval", "approval"])
def test_a_name_that_is_nearly_awaited_is_refused(dfhost: Commands, name: str) -> None:
    id = dfhost.waiting()
    said = dfhost("raise", id, name)
    assert said.code == 2 and f"{id} waits for 'Approval', not for '{name}'. Nothing was raised" in said.err
    raised = dfhost.done("raise", id, "Invoice")
    assert raised == f"Raised Invoice for {id}, which does not wait for it yet, but for Approval.\n"
    assert "Raised" in dfhost.done("raise", id, name, "--force")


def test_an_event_for_an_instance_that_has_ended(dfhost: Commands) -> None:
    id = dfhost.ended("echo", 1)
    since = datetime.fromisoformat(dfhost.http.status(id)["lastUpdatedTime"][:19] + "+00:00").astimezone()
    sentence = f"dfhost: echo {id} has ended already: it is Completed since {str(since)[:19]}.\n"
    for command in (["raise", id, "Approval"], ["terminate", id]):
        assert dfhost(*command) == (5, "", sentence)


# -- trigger --------------------------------------------------------------------------------------------------------
def test_trigger(dfhost: Commands, tmp_path: Path) -> None:
    order = {"file": str(tmp_path / "order.txt"), "text": "two loaves"}
    said = dfhost.done("trigger", "on_order", "--input", json.dumps(order))
    assert said == "on_order has succeeded.\n"
    assert (tmp_path / "order.txt").read_text() == "two loaves"
    (tmp_path / "order.json").write_text(json.dumps(order | {"file": str(tmp_path / "second.txt")}))
    given = dfhost("trigger", "on_order", "--input", f"@{tmp_path}/order.json", "--json").json
    sent = {"function": "on_order", "input": (tmp_path / "order.json").read_text()}
    assert given == sent | {"succeeded": True} and (tmp_path / "second.txt").exists()


def test_trigger_says_how_the_call_failed(dfhost: Commands) -> None:
    said = dfhost("trigger", "on_order", "--input", '{"file": "/"}')
    assert said.code == 1 and said.out == ""
    first, *frames = said.err.splitlines()
    assert first.startswith("on_order failed: IsADirectoryError:")
    assert [frame.split(", in ")[1] for frame in frames if ", in " in frame] == ["on_order"]
    as_json = dfhost("trigger", "on_order", "--input", '{"file": "/"}', "--json")
    assert as_json.code == 1 and as_json.json["succeeded"] is False
    assert first.endswith(as_json.json["error"]) and "in on_order" in as_json.json["stack"]


def test_trigger_waits_no_longer_than_it_was_told(dfhost: Commands, tmp_path: Path) -> None:
    gate, order = tmp_path / "gate", {"file": str(tmp_path / "order.txt"), "text": "x"}
    sent = json.dumps(order | {"after": str(gate)})
    late = dfhost("trigger", "on_order", "--input", sent, "--timeout", "0.5")
    assert (late.code, late.out) == (1, "")
    assert (
        late.err == "dfhost: on_order has not ended after 1.0 s. It goes on; the host's log shows its end.\n"
    )
    begun = dfhost.done("trigger", "on_order", "--input", sent, "--no-wait")
    assert begun == "on_order runs. The host's log shows its end.\n"
    assert dfhost("trigger", "on_order", "--input", sent, "--no-wait", "--json").json["succeeded"] is None
    gate.touch()
    until((tmp_path / "order.txt").exists, bool)
    assert dfhost("trigger", "on_order", "--timeout", "1", "--no-wait").code == 2


def test_the_host_of_a_trigger_ends(dfhost: Commands) -> None:
    """A server that takes the request and closes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            listing, _ = server.accept()
            with listing:
                listing.recv(65536)
                listing.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            call, _ = server.accept()
            with call:
                call.recv(65536)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        said = dfhost.plain("trigger", "on_order", "--url", url)
        thread.join(10)
    assert said == (6, "", f"dfhost: The host at {url} has ended without an answer.\n")


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["trigger", "on_oder"], "The app has no function 'on_oder'. Did you mean 'on_order'?"),
        (
            ["trigger", "approval"],
            "'approval' is an orchestrator: `dfhost start-instance approval` starts it.",
        ),
        (
            ["trigger", "counter"],
            "'counter' is an entity: `dfhost signal @counter@KEY OPERATION` signals one.",
        ),
        (
            ["start-instance", "on_order"],
            "The app has no orchestrator 'on_order'. It is a function with a queueTrigger: while `dfhost start` "
            "runs, `dfhost trigger on_order` runs it.",
        ),
        (
            ["start-instance", "repeat"],
            "The app has no orchestrator 'repeat'. It is an activity: orchestrators call it.",
        ),
    ],
)
def test_a_function_of_another_kind(dfhost: Commands, command: list[str], sentence: str) -> None:
    assert dfhost(*command) == (2, "", f"dfhost: {sentence}\n")


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["start-instance", "echo", "--id", "a/b"], "'a/b' contains a '/'"),
        (["start-instance", "echo", "--id", "a%2Fb"], "'a%2Fb' contains a '/'"),
        (["start-instance", "echo", "--id", ".."], "'..' is a step in a path"),
        (["show", "a/b"], "'a/b' contains a '/'"),
        (["terminate", "."], "'.' is a step in a path"),
        (["raise", "WAITS", "Paid/late"], "'Paid/late' contains a '/'"),
        (["signal", "@counter@a/b", "add"], "'a/b' contains a '/'"),
    ],
)
def test_names_that_no_request_can_have(dfhost: Commands, command: list[str], sentence: str) -> None:
    waits = dfhost.waiting()
    said = dfhost(*(waits if word == "WAITS" else word for word in command))
    assert said == (2, "", f"dfhost: {sentence}, so no request can name it, neither here nor on Azure.\n")


# -- suspend, resume, terminate, rewind, restart -----------------------------------------------------------------
def test_suspend_and_resume(dfhost: Commands) -> None:
    id = dfhost.waiting()
    assert dfhost.done("suspend", id, "--reason", "lunch") == f"{id} is suspended.\n"
    dfhost.http.until(id, lambda status: status["runtimeStatus"] == "Suspended")
    again = dfhost("suspend", id)
    assert again.code == 5 and "Cannot suspend" in again.err
    dfhost.done("resume", id)
    dfhost.http.until(id, lambda status: status["runtimeStatus"] == "Running")
    assert dfhost("resume", id).code == 5


@pytest.mark.long
def test_a_suspension_that_has_failed_the_instance(dfhost: Commands, tmp_path: Path) -> None:
    """Its episode replays, since the code was loaded again; and the code no longer fits."""
    source = """
        @app.orchestration_trigger(context_name="context")
        def pays(context):
            yield context.call_activity("mail", 1)
            yield context.wait_for_external_event("Paid")

        @app.activity_trigger(input_name="given")
        def mail(given: int) -> int:
            return given

        @app.activity_trigger(input_name="given")
        def call(given: int) -> int:
            return given
    """
    with HostProcess(write_app(tmp_path, source), "--memory") as host:
        host.client.start("pays", None, "w1")
        host.line("waiting +pays")
        write_app(tmp_path, source.replace('call_activity("mail"', 'call_activity("call"'))
        host.line("The app is loaded")
        said = dfhost.plain("suspend", "w1", "--url", host.url)
        assert (said.code, said.out) == (1, "")
        assert said.err.startswith(
            "dfhost: w1 has failed instead: Its history has activity 'mail' (sequence number 0); the code now asks "
        )


@pytest.mark.long
def test_code_that_never_yields_is_not_called_suspended(dfhost: Commands, tmp_path: Path) -> None:
    started = dfhost.http.start("never_yields", str(tmp_path / "file"))
    try:
        until(lambda: dfhost.done("explain", started), lambda shown: "Its code has been running" in shown)
        said = dfhost.done("suspend", started)
    finally:
        (tmp_path / "file").touch()
    assert said == f"{started} is still Running; the request counts from its next episode on.\n"


def test_terminate_names_the_child_that_goes_on(dfhost: Commands) -> None:
    parent = dfhost.http.start("order", "approval of-9", "order-9")
    until(lambda: dfhost.http.manage("GET", "instances/approval%20of-9").status, lambda status: status != 404)
    said = dfhost.done("terminate", parent)
    assert said == "order-9 is terminated. Its sub-orchestration approval of-9 goes on.\n"
    assert dfhost.done("terminate", "approval of-9") == "approval of-9 is terminated.\n"


def test_terminate_several_at_once(dfhost: Commands) -> None:
    one, two = dfhost.waiting(), dfhost.waiting()
    said = dfhost("terminate", one, "nobody", two, "--reason", "enough", "--json")
    assert [each["instanceId"] for each in said.json] == [one, two]
    assert said.code == 4 and "no instance 'nobody'" in said.err
    assert dfhost.http.status(two)["runtimeStatus"] == "Terminated"
    assert dfhost.http.status(two)["output"] == "enough"
    assert dfhost("terminate", one).code == 5


@pytest.mark.parametrize("verb", ["terminate", "suspend", "resume", "rewind", "restart", "raise"])
def test_an_entity_is_not_steered(dfhost: Commands, verb: str) -> None:
    entity = f"@counter@{verb}"
    dfhost.done("signal", entity, "add", "--input", "1")
    dfhost.http.until(entity, lambda status: status["customStatus"])
    said = dfhost(verb, f"@Counter@{verb}", *(["go"] if verb == "raise" else []))
    assert (said.code, said.out) == (2, "")
    assert said.err == (
        f"dfhost: {entity} is an entity: only `dfhost signal` and `dfhost purge` are for entities.\n"
    )


def test_rewind(dfhost: Commands, tmp_path: Path) -> None:
    failed = dfhost.ended("calls_failing_child", str(tmp_path / "late.txt"))
    (tmp_path / "late.txt").write_text("here now")
    assert dfhost.done("rewind", failed) == f"{failed} is rewound.\n"
    assert dfhost.http.output(failed) == "here now"
    said = dfhost("rewind", dfhost.ended("echo", 1))
    assert said.code == 5 and "only orchestrations in the" in said.err


def test_a_rewind_after_retries_is_refused_before_it_fails(dfhost: Commands) -> None:
    failed = dfhost.ended("import_orders", ["good", "bad"])
    said = dfhost("rewind", failed)
    assert said.code == 5 and said.out == ""
    assert 'process_item [1] "bad" was retried: after a rewind the instance fails as non-det' in said.err
    assert f"Nothing was done: use `dfhost restart {failed}`; --force" in said.err
    assert "no such order: bad" in dfhost.http.status(failed)["output"]  # it was left as it was
    in_child = dfhost("rewind", dfhost.ended("calls_generated_child", ["bad"]))
    assert in_child.code == 5 and 'process_item "bad" was retried' in in_child.err
    assert dfhost.done("rewind", failed, "--force") == f"{failed} is rewound.\n"
    dfhost.http.ended(failed)
    assert "Non-Deterministic" in dfhost.http.status(failed)["output"]


def test_restart(dfhost: Commands) -> None:
    first = dfhost.ended("echo", "again", "first-run")
    second = dfhost.done("restart", first).strip()
    assert second != first and dfhost.http.output(second) == "again"
    assert dfhost.done("restart", first, "--same-id").strip() == first
    assert dfhost("restart", dfhost.waiting(), "--same-id").code == 5


# -- signal ------------------------------------------------------------------------------------------------------
def test_signal(dfhost: Commands) -> None:
    assert dfhost.done("signal", "@Counter@a", "add", "--input", "2") == "Signalled add to @counter@a.\n"
    assert dfhost("signal", "counter@a", "add", "--input", "3", "--json").json["instanceId"] == "@counter@a"
    dfhost.http.until("@counter@a", lambda status: "5" in str(status["input"]))
    again = dfhost("signal", "@counter@a", "add", "--input", "1")
    assert (again.code, again.err) == (0, "")
    other = dfhost("signal", "@COUNTER@A", "add", "--input", "1")
    assert other.out == "Signalled add to @counter@A.\n"
    assert other.err == "@counter@A is a new entity. In keys case counts: @counter@a is another one.\n"
    unknown = dfhost("signal", "@conter@a", "add")
    assert unknown.code == 2 and "no entity 'conter'. Did you mean 'counter'?" in unknown.err
    assert "write @NAME@KEY" in dfhost("signal", "counter", "add").err


# -- ids ---------------------------------------------------------------------------------------------------------
def test_the_beginning_of_a_generated_id_suffices(dfhost: Commands) -> None:
    id = dfhost.waiting()
    assert dfhost.done("terminate", id[:8]) == f"{id} is terminated.\n"


def test_the_short_form_of_a_childs_id(dfhost: Commands) -> None:
    parent = dfhost.ended("calls_generated_child", ["good"])
    (child,) = (
        event["InstanceId"] for event in dfhost("history", parent, "--json").json if "InstanceId" in event
    )
    short = re.sub(r"^(.{8}).*(:\d+)$", r"\1\2", child)
    assert short in dfhost.done("list", "--name", "import_orders", "--all")
    assert child in dfhost.done("show", short)
    assert dfhost.done("purge", short, "--yes") == f"Purged import_orders {child}.\n"


def test_the_beginning_of_a_chosen_id_suffices_to_look_and_not_to_act(dfhost: Commands) -> None:
    dfhost.waiting("order-17")
    assert "order-17" in dfhost.done("show", "order-1")
    said = dfhost("terminate", "order-1")
    assert said.code == 4 and "Did you mean 'order-17'?" in said.err
    assert dfhost.http.status("order-17")["runtimeStatus"] == "Running"


def test_a_beginning_of_several_ids(dfhost: Commands) -> None:
    dfhost.waiting("twin-a")
    dfhost.waiting("twin-b")
    said = dfhost("show", "twin")
    assert said.code == 4 and "'twin' is the beginning of several ids: twin-a, twin-b." in said.err


def test_a_misspelt_id(dfhost: Commands) -> None:
    dfhost.waiting("invoice-2026")
    assert "Did you mean 'invoice-2026'?" in dfhost("terminate", "invoce-2026").err
    assert dfhost("show", "qqqqqqqqqq").code == 4
    dfhost.ended("import_orders", ["good"])
    assert (
        "Instances of import_orders? See `dfhost list --name import_orders`."
        in dfhost("show", "import_order").err
    )
