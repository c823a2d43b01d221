"""The map over HTTP: an orchestrator over `run_map`, and the routes around it. Leaves the fields to request.py.

POST /api/start-map             202 and where to follow the run
GET  /api/maps/{id}             progress
GET  /api/maps/{id}/outcome     the whole outcome, however the run ended
POST /api/maps/{id}/cancel      nothing new is started; the run ends with what is done
POST /api/maps/{id}/redrive     a new run over what did not succeed
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

import azure.durable_functions as df
import azure.functions as func

from fan_out.blueprint import bp
from fan_out.bodies import BadRequest, answer, body_object, refusal
from fan_out.maps.earlier import options_in
from fan_out.maps.ledger import ledger_id, progress
from fan_out.maps.outcome import compact, merged, summary, unfinished
from fan_out.maps.readers import MOST_BYTES, READERS
from fan_out.maps.register import claim_of, started_once
from fan_out.maps.request import OPTIONS, all_fields, checked_key, fingerprint, parsed, parsed_options
from fan_out.maps.run import CANCEL, Options, run_map

ORCHESTRATOR = "map_orchestrator"
# Orchestrators that map: their progress can be asked for from the moment they are started, before they have a
# ledger. Any other instance is known for one by its ledger.
MAPPERS = {ORCHESTRATOR}
_ENDED = ("Completed", "Failed", "Terminated", "Canceled")
_SHOWN_FAILURES = 5
_SHOWN_ERROR = 300  # characters; a custom status has room for 16 KB


# -- start -----------------------------------------------------------------------------------------------------


@bp.route(route="start-map", methods=["POST"])
@bp.durable_client_input(client_name="client")
async def start_map(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    try:
        if len(req.get_body()) > MOST_BYTES:
            raise BadRequest(f"The body is larger than {MOST_BYTES // 1024 // 1024} MB.", status=413)
        body = body_object(req, all_fields())
        asked = parsed(body)
        key = _key(req, asked.key)
        run: dict[str, Any] = {
            "options": asdict(asked.options),
            "items": asked.items,
            "source": asked.source,
            "results": asked.results,
        }

        async def start(claim: dict[str, Any] | None) -> str:
            return await client.start_new(ORCHESTRATOR, client_input={**run, "claim": claim})

        if key is None:
            return started(req, client, await start(None), "/start-map")
        instance_id, _ = await started_once(client, f"start:{key}", fingerprint(body), start)
        return started(req, client, instance_id, "/start-map")
    except BadRequest as error:
        return refusal(error)


@bp.orchestration_trigger(context_name="context")
def map_orchestrator(context: df.DurableOrchestrationContext) -> Generator[Any, Any, dict[str, Any]]:
    """Claim the key, get the items, map them; fail if the outcome's reason is failures or timeout."""
    given = context.get_input() or {}
    if given.get("claim"):
        holder = yield claim_of(context, given["claim"])
        if holder["run"] != context.instance_id:
            context.set_custom_status({"phase": "duplicate", "duplicate_of": holder["run"]})
            return {"duplicate_of": holder["run"]}
    context.set_custom_status({"phase": "reading"})
    items, old, redriven = given.get("items"), {}, None
    options = options_in(given) or {}
    about: dict[str, Any] = {"options": options, "results": given["results"]}
    if given.get("source"):
        items = yield context.call_activity(read_items, given["source"])
    elif given.get("redrive_of"):
        about["redrive_of"] = given["redrive_of"]
        note = {"redriven_by": context.instance_id}
        context.signal_entity(ledger_id(given["redrive_of"]), "note", note)
        old = yield context.call_activity(load_outcome, given["redrive_of"])
        items = [entry["item"] for entry in unfinished(old)]
        redriven = [entry["index"] for entry in unfinished(old)], old["total"]
    context.set_custom_status({"phase": "running", "total": len(items or [])})
    outcome = yield from run_map(context, Options(**options), items or [], redriven, about)
    if redriven:
        outcome = {**merged(old, outcome, redriven[0]), "redrive_of": given["redrive_of"]}
    if given["results"] == "values" and "unfinished" not in outcome:
        outcome = compact(outcome)
    failures = [entry for entry in unfinished(outcome) if entry["status"] == "failed"][:_SHOWN_FAILURES]
    first = [{"index": entry["index"], "error": entry["error"][:_SHOWN_ERROR]} for entry in failures]
    status = {**summary(outcome), "first_failures": first}
    if outcome["reason"] in ("failures", "timeout"):
        # The output of a failed instance is the reason why, and nothing else: what was done is kept beside it.
        # By name: given the function, the SDK takes the annotation of its own wrapper for the result's type.
        yield context.call_sub_orchestrator("map_kept", outcome, _kept(context.instance_id))
        context.set_custom_status({"phase": "failed", **status})
        raise MapEndedEarly(status)
    context.set_custom_status({"phase": outcome["reason"] or "completed", **status})
    return outcome


class MapEndedEarly(Exception):
    """The map stopped before its end; the text holds the summary."""

    def __init__(self, status: dict[str, Any]) -> None:
        why = {"failures": "too many items failed", "timeout": "its time was up"}[status["reason"]]
        super().__init__(f"The map ended early, because {why}: {json.dumps(status)}")


@bp.orchestration_trigger(context_name="context")
def map_kept(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    """Ends with what it was given: the outcome of a failed map, where it can be read."""
    yield from ()
    return context.get_input()


@bp.activity_trigger(input_name="source")
def read_items(source: dict) -> list[Any]:
    return READERS[source["name"]].read(source["params"])


# -- look ------------------------------------------------------------------------------------------------------


@bp.route(route="maps/{id}", methods=["GET"])
@bp.durable_client_input(client_name="client")
async def map_progress(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    map_id = req.route_params["id"]
    ledger = await _ledger(client, map_id)
    if ledger is None or "ended_at" not in ledger:
        status = await client.get_status(map_id)
        if not _is_map(status, ledger):
            return refusal(BadRequest(f"There is no map {map_id!r}.", status=404))
        phase = _phase(status, ledger)
    else:
        phase = {"failures": "failed", "timeout": "failed"}.get(ledger["reason"], ledger["reason"])
        phase = phase or "completed"
    shown: dict[str, Any] = {"id": map_id, "phase": phase}
    if ledger:
        shown |= progress(ledger, datetime.now(timezone.utc))
        shown["reason"] = ledger.get("reason")
        shown["activity"] = ledger.get("activity")
        for link in ("redrive_of", "redriven_by"):
            if link in ledger:
                shown[link] = ledger[link]
    elif isinstance(status.custom_status, dict) and "duplicate_of" in status.custom_status:
        shown["duplicate_of"] = status.custom_status["duplicate_of"]
    return answer(shown)


@bp.route(route="maps/{id}/outcome", methods=["GET"])
@bp.durable_client_input(client_name="client")
async def map_outcome(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    map_id = req.route_params["id"]
    try:
        return answer(await _outcome(client, map_id))
    except NoMap as error:
        return refusal(BadRequest(str(error), status=404))
    except LookupError as error:
        return refusal(BadRequest(str(error), status=409))


@bp.activity_trigger(input_name="run")
@bp.durable_client_input(client_name="client")
async def load_outcome(run: str, client: df.DurableOrchestrationClient) -> Any:
    return await _outcome(client, run)


# -- steer -----------------------------------------------------------------------------------------------------


@bp.route(route="maps/{id}/cancel", methods=["POST"])
@bp.durable_client_input(client_name="client")
async def cancel_map(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    map_id = req.route_params["id"]
    status = await client.get_status(map_id)
    if not _is_map(status, await _ledger(client, map_id)):
        return refusal(BadRequest(f"There is no map {map_id!r}.", status=404))
    try:
        await client.raise_event(map_id, CANCEL)
    except Exception:
        if _runtime(await client.get_status(map_id)) in _ENDED:
            return refusal(BadRequest(f"Map {map_id!r} has ended already.", status=409))
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
        if _is_map(status, ledger) and _runtime(status) not in (*_ENDED, ""):
            raise BadRequest(f"Map {map_id!r} is still running.", status=409)
        before = options_in(ledger or {})
        if ledger is None or before is None:
            raise BadRequest(f"There is no map {map_id!r} that could be redriven.", status=404)
        ended = _summary(status)
        if ended is None:
            raise BadRequest(f"Map {map_id!r} was ended from outside: what it did is not known.", status=409)
        if not ended["failed"] and not ended["not_started"]:
            raise BadRequest(f"Every item of map {map_id!r} has succeeded.", status=409)
        options, results = parsed_options(changes, before)
        results = results or ledger["results"]
        run = {"options": asdict(options), "results": results, "redrive_of": map_id}

        async def start(claim: dict[str, Any]) -> str:
            return await client.start_new(ORCHESTRATOR, client_input={**run, "claim": claim})

        instance_id, existed = await started_once(client, f"redrive:{map_id}", "", start, keeps_failed=True)
        newer = _summary(await client.get_status(instance_id)) if existed else None
        if newer and (newer["failed"] or newer["not_started"]):
            raise BadRequest(
                f"Map {map_id!r} was redriven by {instance_id!r}, which can be redriven itself.", status=409
            )
        return started(req, client, instance_id, "/maps/[^/]*/redrive")
    except BadRequest as error:
        return refusal(error)


# -- helpers ---------------------------------------------------------------------------------------------------


def _key(req: func.HttpRequest, in_body: str | None) -> str | None:
    in_header = checked_key(req.headers.get("Idempotency-Key"), "Idempotency-Key")
    if in_header is not None and in_body is not None and in_header != in_body:
        raise BadRequest("The header Idempotency-Key and 'key' differ; one is enough.", "key")
    return in_header if in_header is not None else in_body


def started(
    req: func.HttpRequest, client: df.DurableOrchestrationClient, instance_id: str, own_path: str
) -> func.HttpResponse:
    """The SDK's 202 with one link more. `own_path`: the end of the URL that was called, as a pattern."""
    response = client.create_check_status_response(req, instance_id)
    links = json.loads(response.get_body())
    links["progressGetUri"] = f"{_base(req, own_path)}/maps/{instance_id}"
    headers = {name: response.headers[name] for name in ("Location", "Retry-After")}
    return answer(links, 202, headers)


def _base(req: func.HttpRequest, own_path: str) -> str:
    """The URL of the app's routes, from the URL of this one, without its query: that may hold a key."""
    return re.sub(f"{own_path}/?$", "", req.url.partition("?")[0], flags=re.IGNORECASE)


async def _ledger(client: df.DurableOrchestrationClient, map_id: str) -> dict[str, Any] | None:
    read = await client.read_entity_state(ledger_id(map_id))
    state = read.entity_state if read.entity_exists else None
    return state if isinstance(state, dict) and "total" in state else None


def _is_map(status: Any, ledger: dict[str, Any] | None) -> bool:
    return ledger is not None or bool(status and status.name in MAPPERS)


def _runtime(status: Any) -> str:
    """The runtime status by name; "" for an instance that does not exist."""
    return status.runtime_status.name if status and status.runtime_status else ""


def _summary(status: Any) -> dict[str, Any] | None:
    """The outcome's summary, once the map has ended: its ledger may get that a little later."""
    custom = status.custom_status if _runtime(status) in ("Completed", "Failed") else None
    return custom if isinstance(custom, dict) and "not_started" in custom else None


def _phase(status: Any, ledger: dict[str, Any] | None) -> str:
    runtime = _runtime(status)
    if runtime in (*_ENDED, "Suspended", "") and runtime != "Completed":
        return runtime.lower() or "purged"
    custom = status.custom_status if isinstance(status.custom_status, dict) else {}
    # The ledger may get the end a little later than the caller.
    if ledger and not ("cancelled_at" in ledger and custom.get("phase") == "cancelled"):
        return "cancelling" if "cancelled_at" in ledger else "running"
    return str(custom.get("phase", "starting"))


class NoMap(LookupError):
    """No map has this id."""


async def _outcome(client: df.DurableOrchestrationClient, map_id: str) -> Any:
    """The outcome of an ended map. Raises NoMap, or a LookupError with the reason why there is none."""
    status = await client.get_status(map_id)
    if not status or status.name != ORCHESTRATOR:
        raise NoMap(f"There is no map {map_id!r}.")
    runtime = _runtime(status)
    if runtime == "Completed":
        return status.output
    if runtime == "Failed":
        kept = await client.get_status(_kept(map_id))
        if _runtime(kept) == "Completed":
            return kept.output
        raise LookupError(f"Map {map_id!r} failed before it had an outcome.")
    if runtime == "Terminated":
        raise LookupError(f"Map {map_id!r} was terminated, so it has no outcome.")
    raise LookupError(f"Map {map_id!r} is still running.")


def _kept(map_id: str) -> str:
    return f"{map_id}:outcome"
