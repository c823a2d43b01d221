"""Stubs, failures, delays, repeated deliveries and crashes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dfhost.testing import BrokenFault, Durable, Host, UnmetFault
from tests.support.apps import APPS, loaded_module, write_app


def test_a_stub_returns_a_value_or_calls_a_function(durable: Durable) -> None:
    stub = durable.stub("charge", returns={"price": 1})
    assert durable.start("fan", ["a", "b"]).result() == [{"price": 1}] * 2
    assert (stub.called, stub.calls) == (2, ["a", "b"])
    durable.stub("charge", lambda order: order * 2)
    assert durable.start("fan", ["a", "b"]).result() == ["aa", "bb"]
    durable.unstub("charge")
    assert durable.start("fan", ["a"]).result() == [{"order": "a", "price": 1}]
    durable.stub("charge")
    assert durable.start("fan", ["a"]).result() == [None]


def test_a_stub_may_be_a_coroutine_function(durable: Durable) -> None:
    async def stub(order: str) -> str:
        return f"stub {order}"

    durable.stub("charge_async", stub)
    assert durable.start("pay_async", "a").result() == "stub a"
    durable.unstub("charge_async")
    assert durable.start("pay_async", "a").result() == "async a"


def test_answers_are_given_in_the_order_of_scheduling(durable: Durable) -> None:
    durable.stub("charge", answers=[1, lambda order: order, ValueError("third")])
    run = durable.start("fan", ["a", "b", "c"])
    assert "ValueError: third" in run.failure()
    assert run.calls("charge") == ["a", "b", "c"]
    with pytest.raises(TypeError, match="either"):
        durable.stub("charge", returns=1, answers=[2])


@pytest.mark.durable(auto_advance=True)
def test_a_stub_that_has_no_answer_left_fails_the_test_though_the_app_goes_on(durable: Durable) -> None:
    durable.stub("charge", answers=[ConnectionError("down")])
    with pytest.raises(BrokenFault) as mistake:
        durable.start("pay", "book", id="p").result()
    said = r"the stub of charge \(test_faults.py, line \d+\) has 1 answer, and this is call 2\. Each attempt"
    assert re.match(said, str(mistake.value))
    durable.stub("charge", returns="paid")
    assert durable.run("p").result() == "paid"


@pytest.mark.parametrize("name", ["charge", "fan", "till", "call_http", "client.start_new"])
def test_whatever_is_stubbed_has_to_have_an_answer(durable: Durable, name: str) -> None:
    durable.stub(name, answers=[])
    with pytest.raises(BrokenFault, match=f"the stub of {name} .* has 0 answers, and this is call 1"):
        if name == "client.start_new":  # the app answers 503
            durable.post("/api/approvals", json={"amount": 1})
        for orchestrator, input in (("fan", ["a"]), ("sell", 5), ("fetch", None)):
            durable.start(orchestrator, input)


def test_what_a_stub_raises_is_a_failure_of_the_app(durable: Durable) -> None:
    durable.stub("charge", lambda order: order["id"])
    assert "TypeError: string indices must be integers" in durable.start("fan", ["a"]).failure()
    durable.stub("charge", answers=[AssertionError("no")])
    assert "AssertionError: no" in durable.start("fan", ["a"]).failure()


def test_only_what_exists_can_be_stubbed(durable: Durable) -> None:
    with pytest.raises(
        ValueError,
        match=r"The app has no activity or orchestrator or entity 'chrage'. Did you mean 'charge'\?$",
    ):
        durable.stub("chrage")
    with pytest.raises(ValueError, match=r"pay is no activity: it is an orchestrator"):
        durable.slow("pay", seconds=1)
    with pytest.raises(ValueError, match="start_new"):
        durable.stub("client.start")
    with pytest.raises(ValueError, match=r"Did you mean 'start_new'\?$"):
        durable.stub("client.start_nwe")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nightly", "nightly is no activity or orchestrator or entity: it is a timer function, which runs on its "
         "schedule. durable.trigger runs it once; @pytest.mark.durable(timer_triggers=False) keeps all timer "
         "functions from running."),
        ("now", "now is no activity or orchestrator or entity: it is an HTTP function. durable.request calls it by "
         "its route."),
    ],
)  # fmt: skip
def test_a_function_that_nothing_calls_cannot_be_stubbed(durable: Durable, name: str, sentence: str) -> None:
    with pytest.raises(ValueError) as failure:
        durable.stub(name)
    assert str(failure.value) == sentence
    with pytest.raises(ValueError, match=r"till is no orchestrator: it is an entity\."):
        durable.start("till")


def test_a_class_of_errors_is_raised_with_a_message(durable: Durable) -> None:
    class Refused(Exception):
        def __init__(self) -> None:
            super().__init__("refused")

    for error, said in (
        (ZeroDivisionError, "ZeroDivisionError: it was made to fail"),
        (Refused, "Refused: refused"),
    ):
        durable.fail("charge", times=1, error=error)
        run = durable.start("fan", ["a"])
        assert run.failure().endswith(f"Activity function 'charge' failed: {said}")


def test_a_stub_whose_answer_is_not_json_says_so(durable: Durable) -> None:
    for name in ("charge", "fan"):
        durable.stub(name, lambda given: {"ids": {1}})
        failure = durable.start("families", [["a"]]).failure()
        assert failure.endswith(
            f"the answer of the stub of {name} cannot be written as JSON: it has a value of type set at ['ids']."
        )
    assert "encoder.py" not in durable.report()


@pytest.mark.filterwarnings("ignore::dfhost.testing.UnmetFault")
def test_the_report_names_faults_that_no_call_has_met(durable: Durable) -> None:
    durable.stub("send_mail")
    durable.stub("charge", when=lambda given: given == "x")
    durable.fail("charge", on_call=5)
    durable.fail("charge", on_call=[1, 7])
    durable.redeliver("charge", times=2)
    durable.slow("look", seconds=1)
    durable.start("fan", ["a", "b"]).wait()
    report = durable.report()
    assert report.endswith("""

Faults that no call has met:
  stub("charge", when=…): charge was called 2 times.
  fail("charge", on_call=5): charge was called 2 times.
  slow("look"): look was called 0 times.""")


def test_a_host_of_its_own_warns_of_faults_that_no_call_has_met() -> None:
    with pytest.warns(UnmetFault) as warned, Host(APPS / "testing") as durable:
        durable.stub("send_mail")
        durable.stub("look", when=lambda given: False)
        durable.fail("charge", on_call=2)
        durable.stub("charge", when=lambda given: False)
        durable.start("fan", ["a"])
    places = [f"{Path(each.filename).name}, line {each.lineno}" for each in warned]
    assert [str(each.message) for each in warned] == [
        f'No call has met stub("charge", when=…) ({places[0]}): charge was called once.',
        f'No call has met fail("charge", on_call=2) ({places[1]}): charge was called once.',
    ]


def test_failures_by_count_and_by_number(durable: Durable) -> None:
    durable.fail("charge", on_call=2, error=ConnectionError("down"))
    run = durable.start("fan", ["a", "b", "c"])
    assert "ConnectionError: down" in run.failure()
    assert durable.start("fan", ["a", "b", "c"]).wait() == "Completed"
    durable.fail("charge", on_call=[7, 9])
    assert "it was made to fail" in durable.start("fan", ["a"]).failure()
    assert durable.start("fan", ["b"]).wait() == "Completed"
    assert durable.start("fan", ["c"]).wait() == "Failed"


@pytest.mark.parametrize(("failing", "status"), [([], "Completed"), ([1], "Failed")])
def test_no_number_is_no_call(durable: Durable, failing: list[int], status: str) -> None:
    durable.fail("charge", on_call=failing)
    assert durable.start("fan", ["a"]).wait() == status


def test_sub_orchestrators_are_stubbed_and_fail(durable: Durable) -> None:
    durable.stub("pay", returns="a receipt")
    run = durable.start("order", "book")
    assert (run.result(), run.calls("pay"), run.calls("charge")) == ({"paid": "a receipt"}, ["book"], [])
    durable.unstub("pay")
    durable.fail("pay", error=PermissionError("no"), times=1)
    assert "no" in durable.start("order", "book").failure()
    assert durable.start("order", "book").wait() == "Completed"


def test_a_stub_that_fails_is_asked_again_after_a_rewind(durable: Durable) -> None:
    stub = durable.stub("pay", answers=[ConnectionError("down"), "a receipt"])
    run = durable.start("order", "book")
    assert "down" in run.failure()
    assert run.rewind().result() == {"paid": "a receipt"}
    assert (stub.called, run.calls("pay")) == (2, ["book"])


def test_a_stub_may_steer_what_it_is_part_of(durable: Durable) -> None:
    def look(_: object) -> str:
        durable.start("approval", {"amount": 1}, id="other").raise_event("approved", "yes")
        return str(durable.run("other").result())

    durable.stub("look", look)
    run = durable.start("monitor")
    assert run.calls("look") == [None]
    assert durable.run("other").output == "yes"


def test_entities_are_stubbed_and_fail(durable: Durable) -> None:
    durable.fail("till", on_call=1, error=ValueError("stuck"))
    assert "stuck" in durable.start("sell", 5).failure()
    assert durable.start("sell", 5).result() == 5
    stub = durable.stub("till", lambda operation, amount: 100 if operation == "get" else None)
    assert durable.start("sell", 7).result() == 100
    assert stub.calls == [("add", 7), ("get", None)]
    assert durable.entity("till", "main").state == 5


def test_call_http_is_stubbed(durable: Durable) -> None:
    stub = durable.stub(
        "call_http", lambda request: {"statusCode": 200, "headers": {}, "content": request["uri"]}
    )
    assert durable.start("fetch").result() == [200, "http://weather.invalid/today"]
    assert stub.calls[0]["method"] == "GET"
    assert durable.runs[0].calls("call_http") == stub.calls
    durable.stub("call_http", returns=TimeoutError("too slow"))
    assert "too slow" in durable.start("fetch").failure()


def test_methods_of_the_client_are_stubbed(durable: Durable) -> None:
    stub = durable.stub("client.start_new", answers=[RuntimeError("no storage"), "an-id"])
    first, second = (durable.post("/api/approvals", json={"amount": 1}) for _ in range(2))
    assert (first.status, first.text) == (503, "cannot start: no storage")
    assert second.json()["id"] == "an-id"
    assert stub.calls[0] == ("approval", {"amount": 1})
    durable.unstub("client.start_new")
    assert durable.post("/api/approvals", json={"amount": 1}).run.status == "Running"


def test_an_activity_is_delivered_twice(durable: Durable) -> None:
    charged = loaded_module().charged
    charged.clear()
    durable.redeliver("charge", times=1)
    run = durable.start("fan", ["a", "b"])
    assert [each["order"] for each in run.result()] == ["a", "b"]
    assert sorted(charged) == ["a", "a", "b"]
    assert sorted(run.calls("charge")) == ["a", "a", "b"]


def test_the_apps_modules_can_be_patched(durable: Durable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("function_app.price_of", lambda order: 77)
    assert durable.start("pay", "book").result()["price"] == 77


def test_a_crash_loses_nothing_that_was_committed(durable: Durable) -> None:
    run = durable.start("approval", {"amount": 1})
    durable.start("sell", 5)
    durable.crash()
    run.waits_for(event="approved")
    durable.crash()
    assert run.raise_event("approved", "yes").result() == "yes"
    assert run.calls("send_mail") == [{"to": "boss", "amount": 1}]
    assert durable.entity("till", "main").state == 5


@pytest.mark.parametrize("commits", range(1, 9))
def test_a_crash_after_any_commit(durable: Durable, commits: int) -> None:
    run = durable.start("approval", {"amount": 1}, id="x")
    durable.crash(after_commits=commits)
    durable.start("sell", 5, id="y")
    durable.start("fan", ["a", "b"], id="z")
    assert run.raise_event("approved", "yes").result() == "yes"
    assert durable.run("y").result() == 5
    assert [each["order"] for each in durable.run("z").result()] == ["a", "b"]
    assert durable.entity("till", "main").state == 5


def test_an_activity_runs_again_if_the_host_crashes_meanwhile(durable: Durable) -> None:
    durable.slow("charge", minutes=1)
    run = durable.start("fan", ["a"])
    durable.crash()
    durable.advance(minutes=1)
    assert run.result() == [{"order": "a", "price": 1}]
    assert run.calls("charge") == ["a", "a"]


def test_after_a_crash_a_waiting_orchestrator_runs_only_when_its_event_comes(tmp_path: Path) -> None:
    app = """
    replays = []

    @app.orchestration_trigger(context_name="context")
    def waits(context):
        replays.append(context.instance_id)
        yield context.wait_for_external_event("go")
    """
    with Host(write_app(tmp_path, app)) as durable:
        run = durable.start("waits", id="order-1")
        durable.crash()
        durable.advance(days=1)
        assert loaded_module().replays == ["order-1"]
        run.raise_event("go").result()
        assert loaded_module().replays == ["order-1"] * 2


# -- chosen by the input -------------------------------------------------------------------------------------
def test_a_failure_that_is_chosen_by_the_input(durable: Durable) -> None:
    durable.fail("charge", when=lambda given: given == "b", error="declined")
    assert "charge' failed: RuntimeError: declined" in durable.start("fan", ["a", "b", "c"]).failure()
    assert len(durable.start("fan", ["a", "c"]).result()) == 2


def test_times_count_only_the_calls_that_are_chosen(durable: Durable) -> None:
    durable.fail("charge", when=lambda given: given == "b", times=1)
    assert len(durable.start("fan", ["a", "c"]).result()) == 2
    assert durable.start("fan", ["b"]).wait() == "Failed"
    assert len(durable.start("fan", ["b"]).result()) == 1


def test_a_stub_that_is_chosen_by_the_input(durable: Durable) -> None:
    big = durable.stub("charge", returns="big", when=lambda given: len(given) > 3)
    biggest = durable.stub("charge", returns="biggest", when=lambda given: len(given) > 5)
    assert durable.start("fan", ["a", "four", "longer"]).result()[1:] == ["big", "biggest"]
    assert (big.calls, biggest.calls) == (["four"], ["longer"])
    durable.stub("charge", returns="any")
    assert durable.start("fan", ["a", "four"]).result() == ["any", "any"]


def test_an_operation_that_is_chosen_by_its_name_and_input(durable: Durable) -> None:
    durable.fail("till", when=lambda operation, given: (operation, given) == ("add", 2))
    till = durable.entity("till", "main")
    for number in (1, 2, 4):
        till.signal("add", number)
    assert till.state == 5


def test_a_delay_that_is_chosen_by_the_input(durable: Durable) -> None:
    durable.slow("charge", minutes=10, when=lambda given: given == "b")
    assert durable.start("fan", ["a"]).ended
    run = durable.start("fan", ["b"])
    assert not run.ended
    durable.advance(minutes=10)
    assert run.ended


def test_a_choice_that_raises_fails_the_test_and_the_call(durable: Durable) -> None:
    durable.fail("charge", when=lambda given: given["item"] == 1)
    with pytest.raises(BrokenFault) as mistake:
        durable.start("fan", ["a"], id="f")
    said = r"`when` of charge \(test_faults.py, line \d+\), called with 'a', raised TypeError: string indices must be"
    assert re.match(said, str(mistake.value))
    assert isinstance(mistake.value.__cause__, TypeError), "with the line of the `when`"
    assert re.search(said, durable.run("f").failure())
    assert "no call has met" not in durable.report()


def test_each_mistake_is_told_once_at_the_next_call_of_the_test(durable: Durable) -> None:
    durable.fail("charge", when=lambda given: 1 / 0)
    durable.slow("look", seconds=1, when=lambda given: given["too"] == "boss")

    def look_and_charge(mail: object) -> None:
        durable.start("monitor")
        durable.start("fan", ["a", "b"])

    durable.stub("send_mail", look_and_charge)
    with pytest.raises(BrokenFault) as mistake:
        durable.post("/api/approvals", json={"amount": 1})
    assert re.findall(r"`when` of (\w+)", str(mistake.value)) == ["look", "charge"]
    durable.check()


def test_a_request_that_is_not_stubbed_for_a_mistake_is_not_sent(durable: Durable) -> None:
    durable.stub("call_http", when=lambda request: request["url"])
    with pytest.raises(BrokenFault, match="raised KeyError: 'url'"):
        durable.start("fetch", id="f")
    assert "raised KeyError: 'url'" in durable.run("f").failure()
