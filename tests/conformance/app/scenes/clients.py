"""HTTP functions over the SDK's client: start, wait, every client call, and the gates."""

import json
from typing import Any

import azure.durable_functions as df
import azure.functions as func

from .blueprint import bp, open_gate


def reply(value: Any, status: int = 200) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(value), status_code=status, mimetype="application/json")


def failure(error: Exception) -> func.HttpResponse:
    return reply({"raised": type(error).__name__, "message": str(error)[:600]}, status=500)


def payload(req: func.HttpRequest) -> Any:
    return req.get_json() if req.get_body() else None


@bp.route(route="start/{name}", methods=["POST"])
@bp.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Start an orchestrator. With ?report=1 the response shows the SDK's exception; without, the host sees it."""
    p = req.params
    try:
        instance_id = await client.start_new(
            req.route_params["name"], p.get("id"), payload(req), p.get("version")
        )
    except Exception as error:
        if "report" in p:
            return failure(error)
        raise
    return client.create_check_status_response(req, instance_id)


@bp.route(route="wait/{name}", methods=["POST"])
@bp.durable_client_input(client_name="client")
async def wait(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    instance_id = await client.start_new(req.route_params["name"], None, payload(req))
    return await client.wait_for_completion_or_create_check_status_response(
        req, instance_id, int(req.params["timeout"]), int(req.params["interval"])
    )


async def _status(client: df.DurableOrchestrationClient, req: func.HttpRequest) -> Any:
    status = await client.get_status(
        req.params["id"], show_history=True, show_history_output=True, show_input=True
    )
    return status.to_json() if status and status.instance_id else {"found": bool(status)}


async def _entity(client: df.DurableOrchestrationClient, req: func.HttpRequest) -> Any:
    state = await client.read_entity_state(df.EntityId(req.params["entity"], req.params["key"]))
    return {"exists": state.entity_exists, "state": state.entity_state}


async def _signal(client: df.DurableOrchestrationClient, req: func.HttpRequest) -> Any:
    p = req.params
    return await client.signal_entity(df.EntityId(p["entity"], p["key"]), p["operation"], payload(req))


async def _purge(client: df.DurableOrchestrationClient, req: func.HttpRequest) -> Any:
    return (await client.purge_instance_history(req.params["id"])).instances_deleted


def _with_reason(verb: str) -> Any:
    async def call(client: df.DurableOrchestrationClient, req: func.HttpRequest) -> Any:
        return await getattr(client, verb)(req.params["id"], req.params["reason"])

    return call


async def _raise(client: df.DurableOrchestrationClient, req: func.HttpRequest) -> Any:
    return await client.raise_event(req.params["id"], req.params["event"], payload(req))


async def _restart(client: df.DurableOrchestrationClient, req: func.HttpRequest) -> Any:
    return await client.restart(req.params["id"], "same" not in req.params)


async def _any_at_all(client: df.DurableOrchestrationClient, req: func.HttpRequest) -> Any:
    return len(await client.get_status_all()) > 0


async def _payload(client: df.DurableOrchestrationClient, req: func.HttpRequest) -> Any:
    return client.create_http_management_payload(req.params["id"])


CALLS = {
    "status": _status,
    "entity": _entity,
    "signal": _signal,
    "purge": _purge,
    "raise": _raise,
    "restart": _restart,
    "any_at_all": _any_at_all,
    "payload": _payload,
    **{verb: _with_reason(verb) for verb in ("terminate", "suspend", "resume", "rewind")},
}


@bp.route(route="client/{call}", methods=["POST"])
@bp.durable_client_input(client_name="client")
async def client_call(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """One call of the SDK's client: {"returned": ...} or {"raised": type, "message": text}."""
    try:
        return reply({"returned": await CALLS[req.route_params["call"]](client, req)})
    except Exception as error:
        return failure(error)


@bp.route(route="gate/{name}", methods=["POST"])
async def gate(req: func.HttpRequest) -> func.HttpResponse:
    """Let go the activities that are held at this gate."""
    open_gate(req.route_params["name"])
    return func.HttpResponse(status_code=204)
