"""ProcessCustomers: every customer takes a second, all of them together take a second, too.

POST /api/process-customers                             cust1 … cust5
POST /api/process-customers  {"customers": ["ann"]}     these
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import azure.durable_functions as df
import azure.functions as func

from fan_out import work
from fan_out.blueprint import bp
from fan_out.bodies import BadRequest, body_object, refusal, strings

CUSTOMERS = [f"cust{number}" for number in range(1, 6)]


@bp.route(route="process-customers", methods=["POST"])
@bp.durable_client_input(client_name="client")
async def start_process_customers(
    req: func.HttpRequest, client: df.DurableOrchestrationClient
) -> func.HttpResponse:
    try:
        customers = strings(body_object(req, ["customers"]), "customers", CUSTOMERS)
    except BadRequest as error:
        return refusal(error)
    instance_id = await client.start_new("process_customers", client_input={"customers": customers})
    return client.create_check_status_response(req, instance_id)


@bp.orchestration_trigger(context_name="context")
def process_customers(context: df.DurableOrchestrationContext) -> Generator[Any, Any, list[str]]:
    """`{"customers": [...]}` → one result a customer, in the order of the input."""
    customers = (context.get_input() or {"customers": CUSTOMERS})["customers"]
    if not customers:
        return []  # task_all([]) gives None, not []
    results: list[str] = yield context.task_all(
        [context.call_activity(process_customer, customer) for customer in customers]
    )
    return results


@bp.activity_trigger(input_name="customer")
async def process_customer(customer: str) -> str:
    # async, because it waits: many of them share one thread, while plain functions each hold one of a few.
    return await work.process_customer(customer)
