"""`durable.queue`: messages for an app's queue functions, and what its functions have written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dfhost.testing import Durable, Host
from tests.support.apps import write_app


@pytest.fixture
def durable_app(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("INBOX", "inbox")
    return str(Path(__file__).parents[1] / "apps" / "queues")


def test_a_message_has_been_worked_on_when_it_is_put(durable: Durable) -> None:
    assert repr(durable.queue("steps").put("a").put("b")) == "<Queue steps>"
    assert durable.queue("out").messages == ["queue a", "queue b"]
    durable.queue("out").clear()
    assert durable.queue("out").messages == []


def test_any_value_but_a_text_is_put_as_json(durable: Durable) -> None:
    queue = durable.queue("elsewhere").put({"id": 7, "name": "é"}).put([1, "a"]).put("[1").put(None)
    assert json.loads(queue.messages[0]) == {"id": 7, "name": "é"}
    assert queue.messages[1:] == ['[1, "a"]', "[1", "null"]


def test_every_message_is_listed(durable: Durable) -> None:
    for number in range(120):
        durable.queue("elsewhere").put(str(number))
    assert durable.queue("Elsewhere").messages == [str(number) for number in range(120)]


def test_what_is_refused_fails_the_test_with_the_reason(durable: Durable) -> None:
    with pytest.raises(AssertionError, match="'no_name' cannot be the name of a queue"):
        durable.queue("no_name").put("a")
    with pytest.raises(AssertionError, match="cannot be the name of a queue"):
        assert durable.queue("a/b").messages
    with pytest.raises(AssertionError, match="too long for queue elsewhere"):
        durable.queue("elsewhere").put("x" * 50_000)


def test_a_queue_function_has_no_stub(durable: Durable) -> None:
    with pytest.raises(ValueError, match=r"on_order is no .*: it is a queue function") as refused:
        durable.stub("on_order", returns=1)
    assert str(refused.value).endswith("durable.queue(…).put gives it a message.")


def test_the_report_shows_what_queues_hold(durable: Durable) -> None:
    durable.queue("orders").put("fail of all")
    for number in range(5):
        durable.queue("elsewhere").put({"number": number})
    assert durable.report().startswith(
        'queue elsewhere: 5 messages\n  {"number": 0}\n  {"number": 1}\n  {"number": 2}\n  2 more messages.\n\n'
        "queue orders-poison: 1 message\n  fail of all\n\n"
    )


def test_the_short_report_counts_what_queues_hold(durable: Durable) -> None:
    for number in range(30):
        durable.queue("orders").put(f"fail {number}")
    report = durable.report(short=True)
    assert "queue orders-poison: 30 messages, the oldest is fail 0" in report
    assert report.endswith("has every call and wait.")


# -- a whole app: from a request over the queue to an orchestration ----------------------------------------------
APP = """
    import json

    @app.route("orders", methods=["POST"])
    @app.queue_output(arg_name="order", queue_name="orders", connection="Storage")
    def take_order(req: func.HttpRequest, order: func.Out[str]) -> str:
        order.set(req.get_body().decode())
        return "taken"

    @app.queue_trigger(arg_name="message", queue_name="orders", connection="Storage")
    @app.durable_client_input(client_name="client")
    async def on_order(message: func.QueueMessage, client):
        order = json.loads(message.get_body())
        await client.start_new("ship", f"order-{order['id']}-{message.dequeue_count}", order)
        if order.get("fails", 0) >= message.dequeue_count:
            raise ValueError("not this time")

    @app.orchestration_trigger(context_name="context")
    def ship(context):
        return (yield context.call_activity("pack", context.get_input()["id"]))

    @app.activity_trigger(input_name="number")
    @app.queue_output(arg_name="packed", queue_name="packed", connection="Storage")
    def pack(number: int, packed: func.Out[str]) -> str:
        packed.set(f"order {number}")
        return "shipped"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_app(tmp_path, APP)


def test_from_a_request_over_the_queue_to_a_result(folder: Path) -> None:
    with Host(folder) as durable:
        assert durable.post("/api/orders", json={"id": 7}).text == "taken"
        assert durable.run("order-7-1").result() == "shipped"
        assert durable.queue("packed").messages == ["order 7"]
        assert durable.queue("orders").messages == []
        durable.queue("packed").clear()
        assert durable.queue("packed").messages == []


def test_a_message_that_fails_is_delivered_again_and_then_set_aside(folder: Path) -> None:
    with Host(folder) as durable:
        durable.queue("orders").put({"id": 1, "fails": 2})
        assert [run.id for run in durable.runs] == ["order-1-1", "order-1-2", "order-1-3"]
        durable.queue("orders").put({"id": 2, "fails": 9})
        assert durable.run("order-2-5").result() == "shipped"
        assert durable.queue("orders-poison").messages == ['{"id": 2, "fails": 9}']


def test_the_next_delivery_waits_for_the_clock(folder: Path) -> None:
    (folder / "host.json").write_text(
        '{"version": "2.0", "extensions": {"queues": {"visibilityTimeout": "00:01:00", "maxDequeueCount": 2}}}'
    )
    with Host(folder) as durable:
        durable.queue("orders").put({"id": 1, "fails": 9})
        assert len(durable.runs) == 1 and durable.queue("orders").messages
        durable.advance(seconds=59)
        assert len(durable.runs) == 1
        durable.advance(seconds=1)
        assert len(durable.runs) == 2 and len(durable.queue("orders-poison").messages) == 1


def test_a_message_that_a_crash_interrupts_is_delivered_again(folder: Path) -> None:
    with Host(folder) as durable:
        durable.crash(after_commits=2)  # the message is put and taken then
        durable.queue("orders").put({"id": 3})
        assert durable.run("order-3-2").result() == "shipped"
        assert durable.queue("orders").messages == []
