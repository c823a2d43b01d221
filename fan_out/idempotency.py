"""One run a key: an entity decides who comes first, and the run itself asks it before it does anything.

A request cannot decide it: two may look for a run at the same moment, and an id made from the key does not help,
since an instance that has ended is silently replaced. So each request may start an instance, under an id of its own,
whose first act is to claim its key. Entity operations run one at a time, and an orchestrator's call is made exactly
once. A run that loses the claim ends at once. The request waits for the claim and answers with the winner.

A claim names the run that it takes the key over from, if that run failed or was purged: the first that wants to take
over gets the key.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

import azure.durable_functions as df

from fan_out.blueprint import bp
from fan_out.bodies import BadRequest

CLAIM_SECONDS = 60.0  # seconds a request waits for the claim; a host that takes longer is overloaded
_ALIVE = ("Running", "Pending", "Suspended", "ContinuedAsNew")


def register_id(key: str) -> df.EntityId:
    # Not the key itself: it may hold characters that mean something else in the URLs a client uses.
    return df.EntityId("map_register", hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest())


@bp.entity_trigger(context_name="context", entity_name="map_register")
def map_register(context: df.DurableEntityContext) -> None:
    """`claim`: `{"run", "body", "over"}` → `{"run", "body"}` of the run that has the key now."""
    state = apply_claim(context.get_state(), context.get_input())
    context.set_state(state)
    context.set_result(state)


def apply_claim(state: dict[str, Any] | None, claim: dict[str, Any]) -> dict[str, Any]:
    """The key's holder after `claim`. Pure."""
    if state and state["run"] not in (claim["run"], claim["over"]):
        return state
    return {"run": claim["run"], "body": claim["body"]}


async def start_once(
    client: df.DurableOrchestrationClient,
    key: str,
    body: str,
    start: Callable[[dict[str, Any]], Awaitable[str]],
    *,
    keeps_failed: bool = False,
) -> tuple[str, bool]:
    """The run that has `key`, and whether it was there before; `start(claim)` starts one that will claim it.

    `body` is the fingerprint of what is asked for: BadRequest (409) if the key's run was asked for something else. A
    run that ended badly loses its key; with `keeps_failed` only one that has no outcome. BadRequest (503) if the host
    does not get round to it: asking again with the same key is safe.
    """
    register = register_id(key)
    holder = await _holder(client, register)
    if holder and await _keeps(client, holder["run"], keeps_failed):
        return _same(holder, body), True
    over = holder["run"] if holder else None
    mine = await start({"key": key, "body": body, "over": over})
    end, pause = time.monotonic() + CLAIM_SECONDS, 0.01
    while time.monotonic() < end:
        holder = await _holder(client, register)
        if holder and holder["run"] != over:
            return _same(holder, body), holder["run"] != mine
        await asyncio.sleep(pause)
        pause = min(0.5, pause * 1.5)
    raise BadRequest("The run was asked for but has not begun yet; ask again with the same key.", status=503)


def claim_of(context: df.DurableOrchestrationContext, claim: dict[str, Any]) -> Any:
    """For the run: the task that claims its key; it gives the holder."""
    entry = {"run": context.instance_id, "body": claim["body"], "over": claim["over"]}
    return context.call_entity(register_id(claim["key"]), "claim", entry)


async def _holder(client: df.DurableOrchestrationClient, register: df.EntityId) -> dict[str, Any] | None:
    read = await client.read_entity_state(register)
    state = read.entity_state if read.entity_exists else None
    return state if isinstance(state, dict) else None


async def _keeps(client: df.DurableOrchestrationClient, run: str, keeps_failed: bool) -> bool:
    status = await client.get_status(run)
    if not status or status.runtime_status is None:
        return False
    name = status.runtime_status.name
    if name in _ALIVE:
        return True
    custom = status.custom_status if isinstance(status.custom_status, dict) else {}
    if keeps_failed:
        return name == "Completed" or (name == "Failed" and "not_started" in custom)
    return name == "Completed" and not custom.get("reason")


def _same(holder: dict[str, Any], body: str) -> str:
    if holder["body"] != body:
        raise BadRequest("This key was used for a request with another body.", "key", status=409)
    run: str = holder["run"]
    return run
