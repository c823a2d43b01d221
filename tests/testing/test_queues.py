"""Queues in tests of apps: what comes by a queue, and what functions put into one."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfhost.testing import Host
from tests.support.apps import write_app

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


def test_what_cannot_be_a_queue_is_a_sentence(folder: Path) -> None:
    with Host(folder) as durable:
        with pytest.raises(AssertionError, match="400 'no_queue' cannot be the name of a queue"):
            durable.queue("no_queue").put("x")
        assert repr(durable.queue("orders")) == "<Queue orders>"
