"""The orchestrator behind `POST /api/start-map`: claims the key, gets the items, maps them, leaves the outcome.

The output of a failed instance is the reason why, and nothing else. So the outcome of a failed map is kept beside it,
as the output of a small instance of its own.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

import azure.durable_functions as df

from fan_out.blueprint import bp
from fan_out.idempotency import claim_of
from fan_out.item_sources import READERS
from fan_out.maps.earlier import options_in
from fan_out.maps.ledger import ledger_id
from fan_out.maps.outcome import compact, merge_redrive, summary, unfinished
from fan_out.maps.results import as_json
from fan_out.maps.run import Options, run_map

ORCHESTRATOR = "map_orchestrator"
_SHOWN_FAILURES = 5
_SHOWN_ERROR = 300  # characters; a custom status has room for 16 KB


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
    items, old, redriven, redrive_of = given.get("items") or [], {}, None, given.get("redrive_of")
    options = options_in(given) or {}
    about: dict[str, Any] = {"options": options, "results": given["results"]}
    if given.get("source"):
        items = yield context.call_activity(read_items, given["source"])
    elif redrive_of:
        about["redrive_of"] = redrive_of
        context.signal_entity(ledger_id(redrive_of), "note", {"redriven_by": context.instance_id})
        old = yield context.call_activity(load_outcome, redrive_of)
        items = [entry["item"] for entry in unfinished(old)]
        redriven = [entry["index"] for entry in unfinished(old)], old["total"]
    context.set_custom_status({"phase": "running", "total": len(items)})
    outcome: dict[str, Any] = yield from run_map(context, Options(**options), items, redriven, about)
    if redriven:
        outcome = {**merge_redrive(old, outcome, redriven[0]), "redrive_of": redrive_of}
    if given["results"] == "values" and "unfinished" not in outcome:
        outcome = compact(outcome)
    outcome = as_json(outcome)
    failures = [entry for entry in unfinished(outcome) if entry["status"] == "failed"][:_SHOWN_FAILURES]
    first = [{"index": entry["index"], "error": entry["error"][:_SHOWN_ERROR]} for entry in failures]
    status = {**summary(outcome), "first_failures": first}
    if outcome["reason"] in ("failures", "timeout"):
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
    return as_json(context.get_input())


@bp.activity_trigger(input_name="source")
def read_items(source: dict) -> list[Any]:
    return READERS[source["name"]].read(source["params"])


@bp.activity_trigger(input_name="run")
@bp.durable_client_input(client_name="client")
async def load_outcome(run: str, client: df.DurableOrchestrationClient) -> Any:
    return await outcome_of_run(client, run)


class NoMap(LookupError):
    """No map has this id."""


async def outcome_of_run(client: df.DurableOrchestrationClient, map_id: str) -> Any:
    """The outcome of an ended map. Raises NoMap, or a LookupError with the reason why there is none."""
    status = await client.get_status(map_id)
    if not status or not status.name:
        raise NoMap(f"There is no map {map_id!r}.")
    if status.name != ORCHESTRATOR:
        raise NoMap(
            f"{map_id!r} is an instance of {status.name!r}, not a map that was started over HTTP. "
            "The outcome of a map in it is a value in that orchestrator's code."
        )
    runtime = runtime_status(status)
    if runtime == "Failed":
        status = await client.get_status(_kept(map_id))
    if runtime in ("Completed", "Failed") and runtime_status(status) == "Completed":
        return status.output
    ends = {"Failed": "failed before it had an outcome", "Terminated": "was terminated, so it has no outcome"}
    raise LookupError(f"Map {map_id!r} {ends.get(runtime, 'is still running')}.")


def _kept(map_id: str) -> str:
    return f"{map_id}:outcome"


def runtime_status(status: Any) -> str:
    """The runtime status by name; "" for an instance that does not exist."""
    return status.runtime_status.name if status and status.runtime_status else ""
