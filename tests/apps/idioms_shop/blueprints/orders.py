"""Orchestrators in the forms people write them in, and typed payloads."""

import json
import typing

import azure.durable_functions as df

from . import stock
from .decorators import logged

bp = df.Blueprint(http_auth_level="anonymous")


class Order:
    """What a pydantic model with `to_json` and `from_json` looks like to the SDK."""

    def __init__(self, customer: str, items: list[str]) -> None:
        self.customer, self.items = customer, items

    def to_json(self) -> str:
        return json.dumps({"customer": self.customer, "items": self.items})

    @staticmethod
    def from_json(text: str) -> "Order":
        return Order(**json.loads(text))


class Line(typing.TypedDict):
    item: str
    price: int


@bp.orchestration_trigger(context_name="context", orchestration="sell")
@logged
def sell_an_order(context: df.DurableOrchestrationContext) -> typing.Generator[typing.Any, typing.Any, dict]:
    """A plain function that returns the generator of another."""
    return _sell(context)


def _sell(context: df.DurableOrchestrationContext) -> typing.Generator[typing.Any, typing.Any, dict]:
    order: Order = context.get_input()
    lines = yield from _priced(context, order.items)
    total = yield context.call_activity(name=stock.add_up, input_=lines)
    text = yield context.call_activity_with_retry(
        name=stock.receipt, retry_options=df.RetryOptions(100, 2), input_=order
    )
    counted = yield context.call_sub_orchestrator(count_shelf, len(order.items))
    context.set_custom_status({"sold": total})
    return {"lines": lines, "total": total, "receipt": text, "shelf": counted}


def _priced(context, items):
    """A part of an orchestrator, for `yield from`."""
    prices = yield context.task_all([context.call_activity("Price_Of", item) for item in items])
    return [Line(item=item, price=price) for item, price in zip(items, prices, strict=True)]


@bp.orchestration_trigger(context_name="context")
def count_shelf(context):
    shelf = df.EntityId("shelf", "front")
    context.signal_entity(shelf, "put", context.get_input())
    return (yield context.call_entity(shelf, "get"))


@bp.orchestration_trigger(context_name="context")
def say_so(context: df.DurableOrchestrationContext) -> str:
    """No generator at all: it completes with what it returns."""
    context.wait_for_external_event("Never")
    return f"said: {context.get_input()}"


@bp.orchestration_trigger(context_name="context")
def look_around(context):
    """What an activity can do: read a file beside the app, use a client, its own loop, processes."""
    names = ("read_file", "ask_status", "own_loop", "processes")
    found = {}
    for name in names:
        found[name] = yield context.call_activity(name, context.instance_id)
    return found
