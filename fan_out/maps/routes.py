"""The routes of the map. Leaves the fields of a body to request.py, the run itself to orchestrator.py.

POST /api/start-map             202 and where to follow the run
GET  /api/maps/{id}             progress
GET  /api/maps/{id}/outcome     the whole outcome, however the run ended
POST /api/maps/{id}/cancel      nothing new is started; the run ends with what is done
POST /api/maps/{id}/redrive     a new run over what did not succeed
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

import azure.durable_functions as df
import azure.functions as func

from fan_out.blueprint import bp
from fan_out.bodies import BadRequest, answer, body_object, refusal
from fan_out.idempotency import start_once
from fan_out.item_sources import MOST_BYTES
from fan_out.maps.earlier import options_in
from fan_out.maps.ledger import ledger_id, progress
from fan_out.maps.orchestrator import ORCHESTRATOR, NoMap, outcome_of_run, runtime_status
from fan_out.maps.request import OPTIONS, all_fields, check_key, fingerprint, parse_options, parse_request
from fan_out.maps.run import CANCEL

# Orchestrators that map: their progress can be asked for from the moment they are started, before they have a
# ledger. Any other instance is known for one by its ledger.
MAPPERS = {ORCHESTRATOR}
_ENDED = ("Completed", "Failed", "Terminated", "Canceled")


@bp.route(route="start-map", methods=["POST"])
@bp.durable_client_input(client_name="client")
async def start_map(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    try:
        if len(req.get_body()) > MOST_BYTES:
            raise BadRequest(f"The body is larger than {MOST_BYTES // 1024 // 1024} MB.", status=413)
        body = body_object(req, all_fields())
        asked = parse_request(body)
        key = _key(req, asked.key)
        run = {"options": asdict(asked.options), "items": asked.items, "source": asked.source}

        async def start(claim: dict[str, Any] | None) -> str:
            given = {**run, "results": asked.results, "claim": claim}
            return await client.start_new(ORCHESTRATOR, client_input=given)

        if key is None:
            return started_response(req, client, await start(None), "/start-map")
        instance_id, _ = await start_once(client, f"start:{key}", fingerprint(body), start)
        return started_response(req, client, instance_id, "/start-map")
    except BadRequest as error:
        return refusal(error)


@bp.route(route="maps/{id}", methods=["GET"])
@bp.durable_client_input(client_name="client")
async def map_progress(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    map_id = req.route_params["id"]
    ledger, status = await _ledger(client, map_id), None
    if ledger is not None and "ended_at" in ledger:
        reason = ledger["reason"]
        phase = "failed" if reason in ("failures", "timeout") else reason or "completed"
    else:
        status = await client.get_status(_instance_id(map_id, ledger))
        if not _is_map(status, ledger):
            return _no_map(map_id)
        phase = _phase(status, ledger)
    shown: dict[str, Any] = {"id": map_id, "phase": phase}
    if ledger:
        shown |= progress(ledger, datetime.now(timezone.utc))
        shown |= {"reason": ledger.get("reason"), "activity": ledger.get("activity")}
        shown |= {link: ledger[link] for link in ("redrive_of", "redriven_by") if link in ledger}
    elif duplicate_of := _custom(status).get("duplicate_of"):
        shown["duplicate_of"] = duplicate_of
    return answer(shown)


@bp.route(route="maps/{id}/outcome", methods=["GET"])
@bp.durable_client_input(client_name="client")
async def map_outcome(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    try:
        return answer(await outcome_of_run(client, req.route_params["id"]))
    except LookupError as error:
        return refusal(BadRequest(str(error), status=404 if isinstance(error, NoMap) else 409))


@bp.route(route="maps/{id}/cancel", methods=["POST"])
@bp.durable_client_input(client_name="client")
async def cancel_map(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    map_id = req.route_params["id"]
    ledger = await _ledger(client, map_id)
    instance_id = _instance_id(map_id, ledger)
    if not _is_map(await client.get_status(instance_id), ledger):
        return _no_map(map_id)
    has_ended = BadRequest(f"Map {map_id!r} has ended already.", status=409)
    if ledger is not None and "ended_at" in ledger:
        return refusal(has_ended)  # its instance may go on, and have another map by now
    try:
        await client.raise_event(instance_id, CANCEL)
    except Exception:
        if runtime_status(await client.get_status(instance_id)) in _ENDED:
            return refusal(has_ended)
        raise
    note = {"cancelled_at": datetime.now(timezone.utc).isoformat()}
    await client.signal_entity(ledger_id(map_id), "note", note)
    base = _base(req, "/maps/[^/]*/cancel")
    return answer({"id": map_id, "phase": "cancelling", "progressGetUri": f"{base}/maps/{map_id}"}, 202)


@bp.route(route="maps/{id}/redrive", methods=["POST"])
@bp.durable_client_input(client_name="client")
async def redrive_map(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """The body may change how the new run is run: max_concurrency, retry and the like; the rest is as it was."""
    map_id = req.route_params["id"]
    try:
        changes = body_object(req, OPTIONS)
        ledger, status = await _ledger(client, map_id), await client.get_status(map_id)
        # A map that has only just begun has no ledger yet.
        if _is_map(status, ledger) and runtime_status(status) not in (*_ENDED, ""):
            raise BadRequest(f"Map {map_id!r} is still running.", status=409)
        before = options_in(ledger or {})
        if ledger is not None and before is None:
            sentence = (
                f"Map {map_id!r} was not started over HTTP: only its own orchestrator can run items again."
            )
            raise BadRequest(sentence, status=409)
        if ledger is None or before is None:
            raise BadRequest(f"There is no map {map_id!r} that could be redriven.", status=404)
        ended = _summary(status)
        if ended is None:
            raise BadRequest(f"Map {map_id!r} was ended from outside: what it did is not known.", status=409)
        if not ended["failed"] and not ended["not_started"]:
            raise BadRequest(f"Every item of map {map_id!r} has succeeded.", status=409)
        options, results = parse_options(changes, before)
        run = {"options": asdict(options), "results": results or ledger["results"], "redrive_of": map_id}

        async def start(claim: dict[str, Any]) -> str:
            return await client.start_new(ORCHESTRATOR, client_input={**run, "claim": claim})

        instance_id, existed = await start_once(client, f"redrive:{map_id}", "", start, keeps_failed=True)
        newer = _summary(await client.get_status(instance_id)) if existed else None
        if newer and (newer["failed"] or newer["not_started"]):
            raise BadRequest(
                f"Map {map_id!r} was redriven by {instance_id!r}, which can be redriven itself.", status=409
            )
        return started_response(req, client, instance_id, "/maps/[^/]*/redrive")
    except BadRequest as error:
        return refusal(error)


def started_response(
    req: func.HttpRequest, client: df.DurableOrchestrationClient, instance_id: str, own_path: str
) -> func.HttpResponse:
    """The SDK's 202 with one link more. `own_path`: the end of the URL that was called, as a pattern."""
    response = client.create_check_status_response(req, instance_id)
    links = json.loads(response.get_body())
    links["progressGetUri"] = f"{_base(req, own_path)}/maps/{instance_id}"
    return answer(links, 202, {name: response.headers[name] for name in ("Location", "Retry-After")})


def _no_map(map_id: str) -> func.HttpResponse:
    return refusal(BadRequest(f"There is no map {map_id!r}.", status=404))


def _key(req: func.HttpRequest, in_body: str | None) -> str | None:
    in_header = check_key(req.headers.get("Idempotency-Key"), "Idempotency-Key")
    if None not in (in_header, in_body) and in_header != in_body:
        raise BadRequest("The header Idempotency-Key and 'key' differ; one is enough.", "key")
    return in_body if in_header is None else in_header


def _base(req: func.HttpRequest, own_path: str) -> str:
    """The URL of the app's routes, from the URL of this one, without its query: that may hold a key."""
    return re.sub(f"{own_path}/?$", "", req.url.partition("?")[0], flags=re.IGNORECASE)


async def _ledger(client: df.DurableOrchestrationClient, map_id: str) -> dict[str, Any] | None:
    read = await client.read_entity_state(ledger_id(map_id))
    state = read.entity_state if read.entity_exists else None
    return state if isinstance(state, dict) and "total" in state else None


def _instance_id(map_id: str, ledger: dict[str, Any] | None) -> str:
    """The instance that runs the map: it has the map's id, unless that is not its first map."""
    return str((ledger or {}).get("instance_id", map_id))


def _is_map(status: Any, ledger: dict[str, Any] | None) -> bool:
    return ledger is not None or bool(status and status.name in MAPPERS)


def _custom(status: Any) -> dict[str, Any]:
    return status.custom_status if status and isinstance(status.custom_status, dict) else {}


def _summary(status: Any) -> dict[str, Any] | None:
    """The outcome's summary, once the map has ended: its ledger may get that a little later."""
    custom = _custom(status)
    return custom if runtime_status(status) in ("Completed", "Failed") and "not_started" in custom else None


def _phase(status: Any, ledger: dict[str, Any] | None) -> str:
    runtime, phase = runtime_status(status), str(_custom(status).get("phase", "starting"))
    if runtime in (*_ENDED, "Suspended", "") and runtime != "Completed":
        return runtime.lower() or "purged"
    # The ledger may get the end a little later than the caller.
    if ledger and not ("cancelled_at" in ledger and phase == "cancelled"):
        return "cancelling" if "cancelled_at" in ledger else "running"
    return phase
