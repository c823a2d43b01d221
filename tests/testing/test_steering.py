"""Starting, waiting, steering and looking, through the fixture alone."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from dfhost.errors import HostError
from dfhost.testing import Durable, Host, RunEnded, RunFailed, StillWaiting
from dfhost.testing.waits import missing_wait
from dfhost.timeline.model import ENTITY_CALL
from tests.support.apps import APPS, write_app

START = datetime(2030, 1, 1, tzinfo=timezone.utc)


def test_the_first_test_of_the_page(durable: Durable) -> None:
    durable.stub("send_mail", returns="sent")
    run = durable.start("approval", {"amount": 900})
    run.waits_for(event="approved", timer=timedelta(days=3))
    durable.advance(days=3)
    assert run.result() == "escalated"
    assert run.calls("send_mail") == [{"to": "boss", "amount": 900}]


async def test_a_test_may_be_async(durable: Durable) -> None:
    run = durable.start("approval", {"amount": 900})
    assert run.raise_event("approved", "by the boss").result() == "by the boss"


def test_a_wait_that_cannot_end_fails_at_once_and_says_why(durable: Durable) -> None:
    run = durable.start("approval", {"amount": 900}, id="a-1")
    with pytest.raises(StillWaiting) as failure:
        run.result()
    text = str(failure.value)
    assert text.startswith("approval a-1 has not ended. It waits for event approved or a timer due in 3 d (")
    assert 'run.raise_event("approved")' in text
    assert "durable.advance(days=3)" in text
    assert "auto_advance" not in text, "it would pass over the event"


def test_a_wait_for_the_next_of_many_times_says_how_the_clock_moves_by_itself(durable: Durable) -> None:
    durable.stub("look", answers=["nothing yet", "nothing yet", "done"])
    run = durable.start("monitor")
    advice = (
        "\n  durable.advance(hours=1) moves the clock to the next time that it waits for."
        "\n  durable.auto_advance = True moves it on while the test waits, as often as needed."
    )
    for wait in (run.result, lambda: run.until(lambda run: run.ended)):
        with pytest.raises(StillWaiting) as failure:
            wait()
        assert str(failure.value).endswith(advice)
    with pytest.raises(StillWaiting) as failure:  # the clock does not move for it
        run.waits_for(event="go")
    assert "auto_advance" not in str(failure.value)
    durable.auto_advance = True
    assert run.result() == "done"


def test_a_wait_for_a_child_says_what_the_child_waits_for(durable: Durable) -> None:
    approval = ["approval", {"amount": 900}, "child"]
    run = durable.start("asks", ["asks", approval, "between"], id="parent")
    with pytest.raises(StillWaiting) as failure:
        run.result()
    first, *below = str(failure.value).splitlines()
    assert first == "asks parent has not ended. It waits for sub-orchestration asks between (Running)."
    assert below[:2] == [
        "  asks between: It waits for sub-orchestration approval child (Running).",
        "    approval child: It waits for event approved or a timer due in 3 d (2030-01-04T00:00:00Z).",
    ]
    assert '  durable.run("child").raise_event("approved") raises the event.' in below
    durable.slow("charge", minutes=1)
    run = durable.start("asks", ["fan", ["a"], "fan-1"])
    with pytest.raises(StillWaiting, match=r"\n  fan fan-1: It waits for activity charge \(running\)\."):
        run.result()


def test_how_long_a_timer_still_takes(durable: Durable) -> None:
    run = durable.start("approval", {"amount": 900})
    passed = timedelta()
    for at, left in (
        (timedelta(hours=1), "in 2 d 23 h"),
        (timedelta(days=2), "in 1 d"),
        (timedelta(days=2, hours=1, minutes=2), "in 22 h 58 min"),
        (timedelta(days=2, hours=23, minutes=55), "in 5 min"),
        (timedelta(days=2, hours=23, minutes=59, seconds=48), "in 12 s"),
    ):
        durable.advance(seconds=(at - passed).total_seconds())
        passed = at
        assert run.explanation == f"It waits for event approved or a timer due {left} (2030-01-04T00:00:00Z)."


def test_what_a_run_does_not_wait_for(durable: Durable) -> None:
    run = durable.start("approval", {"amount": 900})
    with pytest.raises(StillWaiting, match="does not wait for the event refused"):
        run.waits_for(event="refused")
    with pytest.raises(StillWaiting, match=r"a timer that is due in 2 days \(there is one in 3 days\)"):
        run.waits_for(timer=timedelta(days=2))
    durable.advance(days=1)
    run.waits_for(timer=timedelta(days=2)).waits_for(
        timer=datetime(2030, 1, 4, tzinfo=timezone.utc), event="approved"
    )
    run.raise_event("approved")
    with pytest.raises(RunEnded, match="waits for nothing"):
        run.waits_for(event="approved")


def test_the_name_of_an_awaited_event_is_compared_as_the_sdk_compares_it(durable: Durable) -> None:
    run = durable.start("approval", {"amount": 900})
    with pytest.raises(StillWaiting) as failure:
        run.waits_for(event="Approved")
    first = str(failure.value).splitlines()[0]
    assert "does not wait for the event Approved, but for approved (case counts). It waits for event" in first
    # The names of functions ignore case.
    durable.slow("charge", minutes=1)
    durable.start("fan", ["a"]).waits_for(activity="CHARGE")


def test_the_name_of_an_awaited_operation_is_compared_as_it_is() -> None:
    call = {"kind": ENTITY_CALL, "name": "add", "state": "running", "awaited": True}
    assert missing_wait({"waitsFor": [call]}, {ENTITY_CALL: "add"}) == ""
    wrong = missing_wait({"waitsFor": [call]}, {ENTITY_CALL: "Add"})
    assert wrong == "the entity operation Add, but for add (case counts)"


def test_an_event_that_a_child_waits_for(durable: Durable) -> None:
    run = durable.start("asks", ["approval", {"amount": 900}, "approval-3"])
    with pytest.raises(StillWaiting, match="does not wait for the event approved") as failure:
        run.waits_for(event="approved")
    assert '\n  durable.run("approval-3").raise_event("approved") raises the event.' in str(failure.value)


def test_a_failed_run_is_a_failed_test_unless_it_is_expected(durable: Durable) -> None:
    durable.fail("charge", error=ConnectionError("down"))
    run = durable.start("fan", ["a"])
    with pytest.raises(RunFailed, match=r"fan .* has ended as Failed: .*ConnectionError: down") as failure:
        run.result()
    assert failure.value.status == "Failed" and "down" in failure.value.reason
    assert "ConnectionError: down" in run.failure()
    said = "Orchestrator function 'fan' failed: Activity function 'charge' failed: ConnectionError: down"
    assert run.failure() == said
    assert str(failure.value) == f"fan {run.id} has ended as Failed: {said}"
    assert "RemoteMessage" in failure.value.reason and failure.value.reason == run.output
    assert run.wait() == "Failed"
    durable.unstub("charge")
    with pytest.raises(RunEnded, match="has not failed, it has ended as Completed"):
        durable.start("fan", ["a"]).failure()


def test_a_failed_run_is_explained_where_azure_says_little(tmp_path: Path) -> None:
    body = """
        @app.orchestration_trigger(context_name="context")
        def parent(context):
            yield context.call_sub_orchestrator("child", None, "child-1")

        @app.orchestration_trigger(context_name="context")
        def child(context):
            yield context.call_activity("look", 1)
            return {"since": context.current_utc_datetime}

        @app.activity_trigger(input_name="n")
        def look(n: int) -> int:
            return n
    """
    with Host(write_app(tmp_path, body)) as durable, pytest.raises(RunFailed) as failure:
        durable.start("parent").result()
    _, cause, *_ = str(failure.value).splitlines()
    assert cause.startswith(
        "  child child-1: TypeError: Object of type datetime is not JSON serializable (the "
    )


def test_objects_of_the_apps_classes_are_shown_by_their_class(tmp_path: Path) -> None:
    body = """
        import json

        class Order:
            def __init__(self, id):
                self.id = id

            @staticmethod
            def to_json(order):
                return json.dumps({"id": order.id})

            @staticmethod
            def from_json(text):
                return Order(json.loads(text)["id"])

        @app.orchestration_trigger(context_name="context")
        def takes(context):
            order = yield context.call_activity("reserve", Order("o-1"))
            yield context.wait_for_external_event("go")

        @app.activity_trigger(input_name="order")
        def reserve(order: Order) -> Order:
            return Order("o-2")
    """
    with Host(write_app(tmp_path, body)) as durable:
        durable.start("takes")
        assert 'reserve Order {"id": "o-1"}  completed  -> Order {"id": "o-2"}' in durable.report()


def test_steering(durable: Durable) -> None:
    run = durable.start("approval", {"amount": 1})
    assert run.suspend("a pause").status == "Suspended"
    durable.advance(days=4)
    assert run.status == "Suspended"
    assert run.resume().result() == "escalated"
    other = durable.start("approval", {"amount": 2})
    other.terminate("no longer needed")
    assert (other.status, other.output, other.ended) == ("Terminated", "no longer needed", True)
    with pytest.raises(RunFailed, match="Terminated"):
        other.result()
    with pytest.raises(RunEnded, match="has ended as Terminated"):
        other.raise_event("approved")
    again = other.restart()
    assert again != other and again.input == {"amount": 2}
    other.purge()
    with pytest.raises(AssertionError, match="There is no instance"):
        _ = other.status


def test_a_failed_run_can_be_rewound(durable: Durable) -> None:
    durable.fail("charge", times=1)
    run = durable.start("fan", ["a"])
    assert run.status == "Failed"
    assert run.rewind().result() == [{"order": "a", "price": 1}]


def test_looking(durable: Durable) -> None:
    run = durable.start("pay", "book", id="p-1")
    assert (run.id, run.name, run.status, run.input) == ("p-1", "pay", "Completed", "book")
    assert (run.output, run.custom_status) == ({"order": "book", "price": 4}, "paid")
    assert [event["EventType"] for event in run.history] == [
        "ExecutionStarted",
        "TaskCompleted",
        "ExecutionCompleted",
    ]
    assert run.explanation == "It ended at 2030-01-01T00:00:00Z."
    assert durable.runs == [run] and durable.run("p-1") == run
    assert repr(run) == "<Run p-1>"


def test_runs_are_listed_in_the_order_in_which_they_began(durable: Durable) -> None:
    ids = [durable.start("pay", str(number), id=f"{-number % 7}-{number}").id for number in range(30)]
    assert [run.id for run in durable.runs] == ids


def test_until(durable: Durable) -> None:
    durable.fail("charge", times=2)
    run = durable.start("pay", "book")
    run.until(lambda run: run.custom_status == "charging")
    with pytest.raises(StillWaiting, match=r"The condition does not hold.*another attempt of charge"):
        run.until(lambda run: run.custom_status == "paid")
    durable.auto_advance = True
    run.until(lambda run: run.custom_status == "paid")
    assert durable.now == START + timedelta(minutes=2)
    with pytest.raises(RunEnded, match=r"The condition does not hold, and pay .* has ended as Completed"):
        run.until(lambda run: run.custom_status == "refused")


def test_children(durable: Durable) -> None:
    run = durable.start("order", "book")
    (child,) = run.children
    assert (child.name, child.result()) == ("pay", {"order": "book", "price": 4})
    assert run.result() == {"paid": child.output}
    assert run.calls("pay") == ["book"] and child.calls("charge") == ["book"]


def test_children_are_listed_in_the_order_in_which_they_were_called(durable: Durable) -> None:
    durable.slow("charge", minutes=1, on_call=[1, 3])
    run = durable.start("families", [["a"], ["b"], ["c"]])
    assert [child.status for child in run.children] == ["Running", "Completed", "Running"]
    assert [child.input for child in run.children] == [["a"], ["b"], ["c"]]


def test_calls_are_numbered_as_they_were_scheduled(durable: Durable) -> None:
    orders = [str(number) for number in range(300)]
    durable.fail("charge", on_call=[200, 250])
    run = durable.start("fan", orders)
    assert run.calls("charge") == orders
    failed = [line for line in durable.report().splitlines() if " failed  " in line]
    assert ["charge [199]" in failed[0], "charge [249]" in failed[1], len(failed)] == [True, True, 2]
    durable.fail("charge", on_call=400)
    nested = durable.start("families", [orders[:20], orders[20:40], orders[40:110]])
    assert durable.calls("charge")[300:400] == orders[:100]
    assert nested.calls("fan") == [orders[:20], orders[20:40], orders[40:110]]


def test_events_that_come_early_or_twice(durable: Durable) -> None:
    durable.slow("send_mail", minutes=1)
    early = durable.start("approval", {"amount": 1})
    early.waits_for(activity="send_mail")
    early.raise_event("approved", "early").raise_event("approved", "twice")
    assert early.status == "Running"
    durable.advance(minutes=1)
    assert early.result() == "twice"  # the SDK hands out the last of several early ones


def test_the_sdks_hints_about_its_own_calls_stay_out_of_the_log(
    durable: Durable, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    sdk = sys.modules["azure.functions._durable_functions"]
    monkeypatch.setattr(sdk, "_no_expected_type_notice_emitted", False)  # it comes once in a process
    durable.start("talks", "Ann").result()
    assert sdk._no_expected_type_notice_emitted
    assert "started Ann" in caplog.text and "df_loads" not in caplog.text


MONITOR = """
    @app.orchestration_trigger(context_name="context")
    def orders(context):
        first = yield context.call_sub_orchestrator("watches", {"polls": 0})
        return [first, (yield context.call_sub_orchestrator("watches", {"polls": 2}))]

    @app.orchestration_trigger(context_name="context")
    def watches(context):
        polls = context.get_input()["polls"]
        yield context.create_timer(context.current_utc_datetime + timedelta(seconds=10))
        if polls == 2:
            return "delivered"
        context.continue_as_new({"polls": polls + 1})
"""


def test_a_sub_orchestration_that_continues_as_new_is_one_call(tmp_path: Path) -> None:
    app = write_app(tmp_path, f"    from datetime import timedelta\n{MONITOR}")
    with Host(app) as durable:
        durable.fail("watches", on_call=2)
        run = durable.start("orders", id="order-1")
        durable.advance(seconds=15)
        durable.crash()
        durable.advance(seconds=15)
        assert run.status == "Failed", "its second call is the one that was made to fail"
        assert run.calls("watches") == [{"polls": 0}, {"polls": 2}]
        assert durable.calls("orders") == [None]
        assert 'watches {"polls": 0}  completed' in durable.report()


def test_mistakes_in_a_test_are_told_at_once(durable: Durable) -> None:
    with pytest.raises(
        ValueError,
        match=r"The app has no orchestrator 'aproval'. Did you mean 'approval'\?$",
    ):
        durable.start("aproval")
    durable.start("approval", {"amount": 1}, id="x")
    with pytest.raises(AssertionError, match="refused POST orchestrators/approval/x: 409"):
        durable.start("approval", {"amount": 1}, id="x")
    with pytest.raises(AssertionError, match="There is no instance nobody"):
        _ = durable.run("nobody").status


def test_logs_belong_to_their_run_and_replays_are_left_out(durable: Durable) -> None:
    one, two = durable.start("talks", "Ann"), durable.start("talks", "Bob")
    assert one.logs == ["INFO started Ann", "INFO mail to Ann", "WARNING ended"]
    assert two.logs == ["INFO started Bob", "INFO mail to Bob", "WARNING ended"]
    assert durable.logs == one.logs + two.logs


def test_one_host_at_a_time(durable: Durable) -> None:
    with pytest.raises(HostError, match="One host under test at a time"), Host(APPS / "testing"):
        pass
    assert durable.start("pay", "book").status == "Completed"


VERSIONED = """
    @app.orchestration_trigger(context_name="context")
    def ship(context):
        if context.version == "1.0":
            return (yield context.call_activity("by_truck", 1))
        return (yield context.call_activity("by_train", 1))

    @app.activity_trigger(input_name="n")
    def by_truck(n: int) -> str:
        return "truck"

    @app.activity_trigger(input_name="n")
    def by_train(n: int) -> str:
        return "train"
"""


def test_versions_live_side_by_side(tmp_path: Path) -> None:
    folder = write_app(tmp_path, VERSIONED)
    settings = {"version": "2.0", "extensions": {"durableTask": {"defaultVersion": "2.0"}}}
    (folder / "host.json").write_text(json.dumps(settings))
    with Host(folder) as durable:
        assert durable.start("ship", version="1.0").result() == "truck"
        assert durable.start("ship").result() == durable.start("ship", version="2.0").result() == "train"
        with pytest.raises(RunFailed, match=r"3\.0"):
            durable.start("ship", version="3.0").result()
