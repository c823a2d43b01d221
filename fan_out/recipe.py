"""Fan-out/fan-in, the recipe: start → all items in parallel → the list of results.

POST /api/start-fanout                          five items
POST /api/start-fanout  {"items": ["a", "b"]}   these
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import azure.durable_functions as df
import azure.functions as func

from fan_out import work
from fan_out.blueprint import bp
from fan_out.bodies import BadRequest, body_object, refusal, strings
from fan_out.maps.map_activity import map_activity

ITEMS = [f"item-{number}" for number in range(1, 6)]


@bp.route(route="start-fanout", methods=["POST"])
@bp.durable_client_input(client_name="client")
async def start_fanout(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """202 with the URLs to follow the run by; 400 with a sentence for a body that is not as above."""
    try:
        items = strings(body_object(req, ["items"]), "items", ITEMS)
    except BadRequest as error:
        return refusal(error)
    instance_id = await client.start_new("fan_out_fan_in_orchestrator", client_input={"items": items})
    return client.create_check_status_response(req, instance_id)


@bp.orchestration_trigger(context_name="context")
def fan_out_fan_in_orchestrator(
    context: df.DurableOrchestrationContext,
) -> Generator[Any, Any, list[str]]:
    """`{"items": [...]}`, or no input at all for the five, → what became of each, in order."""
    items = (context.get_input() or {"items": ITEMS})["items"]
    if not items:
        return []  # task_all([]) gives None, not []
    results: list[str] = yield context.task_all([context.call_activity(process_item, item) for item in items])
    return results


@bp.activity_trigger(input_name="payload")
@map_activity
def process_item(payload: object) -> str:
    return work.process_item(payload)
