"""Reconcile a folder of bank statements with the books: a map as it is used.

    POST /api/reconcile     202; watch it at progressGetUri

Some statements differ from the books, one cannot be read, and the service that differences are booked with is
flaky. Each statement is one item: tried up to five times, four at once, and one in five may fail for good.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import azure.durable_functions as df
import azure.functions as func

from fan_out import work
from fan_out.blueprint import bp
from fan_out.bodies import BadRequest, body_object, refusal
from fan_out.downstream import Bookings
from fan_out.item_sources import csv_items
from fan_out.maps.map_activity import map_activity
from fan_out.maps.routes import MAPPERS, started_response
from fan_out.maps.run import fan_out_map

FOLDER = Path(__file__).parent / "statements"
SECONDS = 0.2  # a statement takes so long: as if it came from elsewhere
bookings = Bookings()
MAPPERS.add("reconcile")


@bp.route(route="reconcile", methods=["POST"])
@bp.durable_client_input(client_name="client")
async def start_reconcile(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    try:
        body_object(req, [])
    except BadRequest as error:
        return refusal(error)
    return started_response(req, client, await client.start_new("reconcile"), "/reconcile")


@bp.orchestration_trigger(context_name="context")
def reconcile(context: df.DurableOrchestrationContext) -> Generator[Any, Any, dict[str, Any]]:
    """How many statements agree with the books, what differs in the others, and which could not be read."""
    statements = yield context.call_activity(list_statements)
    outcome = yield from fan_out_map(
        context,
        reconcile_statement,
        statements,
        max_concurrency=4,
        retry=df.RetryOptions(first_retry_interval_in_milliseconds=100, max_number_of_attempts=5),
        tolerated_failure_percentage=20,
    )
    read = [entry["result"] for entry in outcome["results"] if entry["status"] == "succeeded"]
    return {
        "statements": outcome["total"],
        "agree": sum(not one["differences"] for one in read),
        "differ": [one for one in read if one["differences"]],
        "unreadable": [
            {"statement": entry["item"], "error": entry["error"]}
            for entry in outcome["results"]
            if entry["status"] == "failed"
        ],
        "reason": outcome["reason"],
    }


@bp.activity_trigger(input_name="nothing")
def list_statements(nothing: object) -> list[str]:
    return sorted(path.name for path in FOLDER.glob("account-*.csv"))


@bp.activity_trigger(input_name="entry")
@map_activity(envelope=True)
async def reconcile_statement(entry: dict) -> dict[str, Any]:
    """`{"item": "account-01.csv", "index": 0, "map_id": "…"}` → what differs, and the receipt for it.

    It may run twice: a worker or a host can die after the booking and before its result is stored. Map and index
    name this piece of work for good, so they make the key under which it is booked, once.
    """
    statement = os.path.basename(str(entry["item"]))
    await asyncio.sleep(SECONDS)
    if not (FOLDER / statement).is_file():
        raise FileNotFoundError(f"There is no statement {statement!r}.")
    rows = csv_items((FOLDER / statement).read_text(encoding="utf-8"))
    books = csv_items((FOLDER / "books.csv").read_text(encoding="utf-8"))
    found = work.differences(rows, books)
    receipt = bookings.book(f"{entry['map_id']}/{entry['index']}", found)
    return {"statement": statement, "differences": found, "receipt": receipt["receipt"]}
