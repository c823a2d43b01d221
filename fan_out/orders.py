"""ProcessOrder: get the details → notify ∥ update the inventory ∥ schedule shipping → complete.

    POST /api/process-order/{order_id}

A step that fails fails the order: the status says Failed and its output says which step and why. Steps that
ran beside it have run all the same.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import azure.durable_functions as df
import azure.functions as func

from fan_out import work
from fan_out.blueprint import bp
from fan_out.bodies import BadRequest, body_object, refusal


@bp.route(route="process-order/{order_id}", methods=["POST"])
@bp.durable_client_input(client_name="client")
async def start_process_order(
    req: func.HttpRequest, client: df.DurableOrchestrationClient
) -> func.HttpResponse:
    try:
        if body_object(req, []):
            raise BadRequest("The order is named in the path; the body must be empty.")
    except BadRequest as error:
        return refusal(error)
    instance_id = await client.start_new(
        "process_order", client_input={"order_id": req.route_params["order_id"]}
    )
    return client.create_check_status_response(req, instance_id)


@bp.orchestration_trigger(context_name="context")
def process_order(context: df.DurableOrchestrationContext) -> Generator[Any, Any, dict[str, Any]]:
    """`{"order_id": id}` → what each step did."""
    order_id: str = (context.get_input() or {})["order_id"]
    order = yield context.call_activity(get_order_details, order_id)
    notification, inventory, shipping = yield context.task_all(
        [
            context.call_activity(notify_customer, order),
            context.call_activity(update_inventory, order),
            context.call_activity(schedule_shipping, order),
        ]
    )
    completion = yield context.call_activity(complete_order, order_id)
    return {
        "order_id": order_id,
        "details": order,
        "notification": notification,
        "inventory": inventory,
        "shipping": shipping,
        "completion": completion,
    }


@bp.activity_trigger(input_name="order")
def get_order_details(order: str) -> dict[str, Any]:
    return work.order_details(order)


@bp.activity_trigger(input_name="order")
def notify_customer(order: dict) -> str:
    return work.notify_customer(order)


@bp.activity_trigger(input_name="order")
def update_inventory(order: dict) -> str:
    return work.update_inventory(order)


@bp.activity_trigger(input_name="order")
def schedule_shipping(order: dict) -> str:
    return work.schedule_shipping(order)


@bp.activity_trigger(input_name="order")
def complete_order(order: str) -> str:
    return work.complete_order(order)
