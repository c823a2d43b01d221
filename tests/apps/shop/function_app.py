"""A shop of some twenty functions with six faults, as a person meets them at the dashboard.

- `pack` fails for one order of a fan-out, whatever the number of attempts.
- The route `orders/{id}/approve` raises "Aproval"; `approve_order` waits for "Approval".
- The entity `stock` hangs in its operation `recount`.
- `export_ledger` takes very long.
- `thank_customer` forgets a `yield`, so it calls nothing.
- `on_order` fails for an order without an article, and hangs for one of ice.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator
from datetime import timedelta
from typing import Any

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

PACE = float(os.environ.get("SHOP_PACE", "0.02"))  # seconds that a quick activity takes
RETRY = df.RetryOptions(first_retry_interval_in_milliseconds=50, max_number_of_attempts=3)

Orchestrator = Generator[Any, Any, Any]


# -- over HTTP -----------------------------------------------------------------------------------------------
@app.route(route="orders", methods=["POST"])
@app.durable_client_input(client_name="client")
async def place(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    instance_id = await client.start_new("place_order", client_input=req.get_json())
    return client.create_check_status_response(req, instance_id)


@app.route(route="orders/{id}/approve", methods=["POST"])
@app.durable_client_input(client_name="client")
async def approve(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    await client.raise_event(req.route_params["id"], "Aproval", True)
    return func.HttpResponse("approved")


@app.route(route="health", methods=["GET"])
def health(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(json.dumps({"status": "ok"}), mimetype="application/json")


# -- orchestrators -------------------------------------------------------------------------------------------
@app.orchestration_trigger(context_name="context")
def place_order(context: df.DurableOrchestrationContext) -> Orchestrator:
    order = context.get_input()
    yield context.call_activity("check_stock", order["article"])
    paid = yield context.call_activity_with_retry("charge_card", RETRY, order)
    context.set_custom_status({"paid": paid["receipt"]})
    yield context.task_all(
        [
            context.call_activity("notify_customer", order["customer"]),
            context.call_activity("print_label", order["customer"]),
        ]
    )
    shipped = yield context.call_sub_orchestrator("ship_order", order)
    return {"order": order["id"], "shipped": shipped}


@app.orchestration_trigger(context_name="context")
def ship_order(context: df.DurableOrchestrationContext) -> Orchestrator:
    order = context.get_input()
    carrier = yield context.call_activity("choose_carrier", order["article"])
    yield context.create_timer(context.current_utc_datetime + timedelta(seconds=PACE * 5))
    return (yield context.call_activity("hand_over", {"carrier": carrier, "order": order["id"]}))


@app.orchestration_trigger(context_name="context")
def pack_orders(context: df.DurableOrchestrationContext) -> Orchestrator:
    orders = context.get_input()
    return (
        yield context.task_all([context.call_activity_with_retry("pack", RETRY, order) for order in orders])
    )


@app.orchestration_trigger(context_name="context")
def approve_order(context: df.DurableOrchestrationContext) -> Orchestrator:
    quote = yield context.call_activity("quote", context.get_input())
    approved = context.wait_for_external_event("Approval")
    deadline = context.create_timer(context.current_utc_datetime + timedelta(days=2))
    winner = yield context.task_any([approved, deadline])
    if winner == approved:
        deadline.cancel()
        return {"quote": quote, "approved": approved.result}
    return "expired"


@app.orchestration_trigger(context_name="context")
def reserve(context: df.DurableOrchestrationContext) -> Orchestrator:
    warehouse = df.EntityId("stock", context.get_input()["warehouse"])
    return (yield context.call_entity(warehouse, "reserve", context.get_input()["count"]))


@app.orchestration_trigger(context_name="context")
def close_month(context: df.DurableOrchestrationContext) -> Orchestrator:
    totals = yield context.call_activity("sum_up", context.get_input())
    ledger = yield context.call_activity("export_ledger", totals)
    return ledger


@app.orchestration_trigger(context_name="context")
def thank_customer(context: df.DurableOrchestrationContext) -> Orchestrator:
    context.call_activity("sum_up", [1])
    yield from ()


@app.orchestration_trigger(context_name="context")
def count_up(context: df.DurableOrchestrationContext) -> Orchestrator:
    return (yield context.call_activity("sum_up", context.get_input()))


# -- activities ----------------------------------------------------------------------------------------------
@app.activity_trigger(input_name="article")
def check_stock(article: str) -> int:
    time.sleep(PACE)
    return len(article)


@app.activity_trigger(input_name="order")
def charge_card(order: dict) -> dict:  # type: ignore[type-arg]
    time.sleep(PACE * 2)
    return {"receipt": f"R-{order['id']}", "amount": order.get("amount", 12.5)}


@app.activity_trigger(input_name="customer")
def notify_customer(customer: str) -> str:
    time.sleep(PACE)
    return f"mail to {customer}"


@app.activity_trigger(input_name="customer")
def print_label(customer: str) -> str:
    time.sleep(PACE * 3)
    return f"label for {customer}"


@app.activity_trigger(input_name="article")
def choose_carrier(article: str) -> str:
    time.sleep(PACE)
    return "bicycle" if len(article) < 6 else "van"


@app.activity_trigger(input_name="handed")
def hand_over(handed: dict) -> str:  # type: ignore[type-arg]
    time.sleep(PACE)
    return f"{handed['order']} by {handed['carrier']}"


@app.activity_trigger(input_name="order")
def pack(order: dict) -> str:  # type: ignore[type-arg]
    time.sleep(PACE * (1 + order["id"] % 3))
    boxes = {"S": 1, "M": 2, "L": 4}[order["size"]]
    return f"order {order['id']} in {boxes} boxes"


@app.activity_trigger(input_name="order")
def quote(order: dict) -> float:  # type: ignore[type-arg]
    time.sleep(PACE)
    return round(order["count"] * 3.2, 2)


@app.activity_trigger(input_name="months")
def sum_up(months: list) -> int:  # type: ignore[type-arg]
    return sum(months)


@app.activity_trigger(input_name="totals")
def export_ledger(totals: int) -> str:
    deadline = time.monotonic() + float(os.environ.get("SHOP_EXPORT_SECONDS", "600"))
    while time.monotonic() < deadline and not os.path.exists(os.environ.get("SHOP_STOP", "")):
        time.sleep(0.05)
    return f"exported {totals}"


# -- entities, timers, queues --------------------------------------------------------------------------------
@app.entity_trigger(context_name="context")
def stock(context: df.DurableEntityContext) -> None:
    pieces = context.get_state(lambda: {"pieces": 100})
    if context.operation_name == "reserve":
        pieces["pieces"] -= context.get_input()
    elif context.operation_name == "recount":
        while not os.path.exists(os.environ.get("SHOP_STOP", "")):
            time.sleep(0.05)
    context.set_state(pieces)
    context.set_result(pieces["pieces"])


@app.entity_trigger(context_name="context")
def visits(context: df.DurableEntityContext) -> None:
    context.set_state(context.get_state(lambda: 0) + 1)


@app.timer_trigger(arg_name="timer", schedule="0 0 4 * * *")
def sweep(timer: func.TimerRequest) -> None:
    print("swept")


@app.queue_trigger(arg_name="message", queue_name="orders", connection="AzureWebJobsStorage")
def on_order(message: func.QueueMessage) -> None:
    article = json.loads(message.get_body())["article"]
    while article == "ice" and not os.path.exists(os.environ.get("SHOP_STOP", "")):
        time.sleep(0.05)
    print("ordered", article)
