"""An ASGI app with durable functions beside it, and triggers that nothing polls here."""

import json
import logging
from datetime import datetime, timedelta, timezone
from typing import List  # noqa: UP035  (the real worker takes no list[...])

import azure.durable_functions as df
import azure.functions as func

# Some apps bring logging of their own, and throw the host's handlers out.
for handler in logging.getLogger().handlers[:]:
    logging.getLogger().removeHandler(handler)


async def site(scope, receive, send):
    """What FastAPI or Starlette would be; AsgiFunctionApp knows no difference."""
    if scope["type"] == "lifespan":
        for step in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{step}.complete"})
        return
    body = (await receive())["body"]
    text = f"{scope['method']} {scope['path']} {body.decode()}".strip()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": text.encode()})


# Named to come last: the Functions host tries routes in the order of the functions' names.
app = func.AsgiFunctionApp(app=site, http_auth_level=func.AuthLevel.ANONYMOUS, function_name="zz_site")
bp = df.Blueprint()


# -- triggers that start orchestrations ----------------------------------------------------------------------
@bp.queue_trigger(arg_name="message", queue_name="orders", connection="AzureWebJobsStorage")
@bp.durable_client_input(client_name="starter")
async def on_queue(message: func.QueueMessage, starter: df.DurableOrchestrationClient) -> None:
    await starter.start_new("record", "from-queue", json.loads(message.get_body()))


@bp.function_name("on-blob")
@bp.blob_trigger(arg_name="blob", path="in/{name}.csv", connection="Storage", source="EventGrid")
@bp.durable_client_input(client_name="client")
async def on_blob(blob: func.InputStream, client) -> None:
    await client.start_new("record", "from-blob", {"name": blob.name, "text": blob.read().decode()})


# A path without a name: any blob of the container.
@bp.blob_trigger(arg_name="blob", path="uploads", connection="Storage")
@bp.durable_client_input(client_name="client")
async def on_upload(blob: func.InputStream, client) -> None:
    content = blob.read()
    await client.start_new("record", f"upload-{len(content)}", {"name": blob.name, "hex": content.hex()})


@bp.event_hub_message_trigger(
    arg_name="events", event_hub_name="%HUB%", connection="Hub", cardinality=func.Cardinality.MANY
)
@bp.durable_client_input(client_name="client")
async def on_events(events: List[func.EventHubEvent], client) -> None:  # noqa: UP006
    await client.start_new("record", "from-hub", [json.loads(event.get_body()) for event in events])


@bp.service_bus_queue_trigger(arg_name="message", queue_name="jobs", connection="Bus")
@bp.durable_client_input(client_name="client")
async def on_bus(message: func.ServiceBusMessage, client) -> None:
    await client.start_new("record", "from-bus", message.get_body().decode())


@bp.event_grid_trigger(arg_name="event")
@bp.durable_client_input(client_name="client")
async def on_grid(event: func.EventGridEvent, client) -> None:
    await client.start_new("record", "from-grid", event.get_json())


# The client's decorator above the schedule's, and an app setting written in another case.
@bp.durable_client_input(client_name="client")
@bp.schedule(arg_name="tick", schedule="%nightly%", run_on_startup=True, use_monitor=False)
async def at_night(tick: func.TimerRequest, client) -> None:
    await client.start_new("record", "from-timer", {"past_due": tick.past_due})


@bp.orchestration_trigger(context_name="context")
def record(context: df.DurableOrchestrationContext):
    return context.get_input()


# -- patterns ------------------------------------------------------------------------------------------------
@app.route(route="approvals/{id}", methods=["POST"])
@app.function_name("begin_approval")
async def not_durable(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(f"a plain route before the catch-all: {req.route_params['id']}")


@bp.route(route="monitor", methods=["POST"])
@bp.durable_client_input(client_name="client")
async def watch(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """A singleton, whose own URLs go into its input before it starts."""
    running = await client.get_status("the-monitor")
    if running and running.runtime_status == df.OrchestrationRuntimeStatus.Running:
        return func.HttpResponse("running", status_code=409)
    urls = client.create_http_management_payload("the-monitor")
    answer_to = urls["sendEventPostUri"].format(eventName="Stop")
    await client.start_new("monitor", "the-monitor", {"round": 1, "answer_to": answer_to})
    return await client.wait_for_completion_or_create_check_status_response(req, "the-monitor", 50, 10)


@bp.orchestration_trigger(context_name="context")
def monitor(context: df.DurableOrchestrationContext):
    """Eternal, until an event stops it: a timer and an event race in every generation."""
    state = context.get_input()
    stop = context.wait_for_external_event("Stop")
    pause = context.create_timer(context.current_utc_datetime + timedelta(milliseconds=20))
    winner = yield context.task_any([stop, pause])
    if winner == stop:
        if not pause.is_completed:
            pause.cancel()
        return {"stopped_by": stop.result, "at_least_one_round": state["round"] >= 1}
    context.set_custom_status({"round": state["round"], "answer_to": state["answer_to"]})
    context.continue_as_new({**state, "round": state["round"] + 1})


@bp.route(route="fetch", methods=["POST"])
@bp.durable_client_input(client_name="client")
async def fetch(req: func.HttpRequest, client) -> func.HttpResponse:
    instance = await client.start_new("fetch_page", client_input=req.get_body().decode())
    return client.create_check_status_response(req, instance)


@bp.orchestration_trigger(context_name="context")
def fetch_page(context: df.DurableOrchestrationContext):
    page = yield context.call_http(method="GET", uri=context.get_input())
    return page["statusCode"], page["content"]


@bp.route(route="tidy", methods=["DELETE"])
@bp.durable_client_input(client_name="client")
async def tidy(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> str:
    done = [df.OrchestrationRuntimeStatus.Completed, df.OrchestrationRuntimeStatus.Failed]
    purged = await client.purge_instance_history_by(
        created_time_from=datetime(2000, 1, 1),
        created_time_to=datetime.now(timezone.utc) + timedelta(days=1),
        runtime_status=done,
    )
    left = [status.instance_id for status in await client.get_status_all()]
    return json.dumps({"purged": purged.instances_deleted, "left": left})


app.register_functions(bp)
