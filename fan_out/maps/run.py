"""`fan_out_map`: a map as one step of any orchestrator."""

from __future__ import annotations

import json
import logging
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import azure.durable_functions as df

from fan_out.maps.earlier import refuse_earlier
from fan_out.maps.items import gets_envelope
from fan_out.maps.ledger import ledger_id
from fan_out.maps.outcome import outcome_of, summary
from fan_out.maps.parts import Part, Tally
from fan_out.maps.plan import lanes_of
from fan_out.maps.tree import hand_out

CANCEL = "map-cancel"
BATCH = 250  # items of a batch at most: the history of one with more would be a long one
ATTEMPTS = 100
_COUNTER = "_fan_out_maps"
_log = logging.getLogger("fan_out.map")


@dataclass(frozen=True)
class Terms:
    """How a map is to be run: the arguments of `fan_out_map`, as plain values. Raises ValueError."""

    activity: str
    max_concurrency: int = 50
    items_per_batch: int | None = None
    max_attempts: int = 1
    retry_seconds: float = 1.0
    tolerated_failure_count: int = 0
    tolerated_failure_percentage: float = 0
    timeout_seconds: float | None = None

    def __post_init__(self) -> None:
        bound, batch = self.max_concurrency, self.items_per_batch
        if bound < 0:
            raise ValueError("max_concurrency must be 0 (no bound) or more.")
        if batch is not None and not 1 <= batch <= (min(bound, BATCH) if bound else BATCH):
            raise ValueError(
                f"items_per_batch must be from 1 to {BATCH}, and not above max_concurrency: "
                "a batch is in flight as a whole."
            )
        if not 1 <= self.max_attempts <= ATTEMPTS:
            raise ValueError(f"An item can be tried from 1 to {ATTEMPTS} times.")
        if self.tolerated_failure_count < 0:
            raise ValueError("tolerated_failure_count must be 0 or more.")
        if not 0 <= self.tolerated_failure_percentage <= 100:
            raise ValueError("tolerated_failure_percentage must be from 0 to 100.")
        if self.timeout_seconds is not None and self.timeout_seconds <= 0:
            raise ValueError("timeout must be more than nothing.")

    def tolerated(self, total: int) -> int | None:
        """How many of `total` items may fail; None if all may. Of a count and a percentage the smaller number
        counts; one that is 0 was not given."""
        limits = []
        if self.tolerated_failure_count:
            limits.append(self.tolerated_failure_count)
        if self.tolerated_failure_percentage:
            limits.append(int(total * self.tolerated_failure_percentage / 100))
        tolerated = min(limits, default=0)
        return tolerated if tolerated < total else None


def fan_out_map(
    context: df.DurableOrchestrationContext,
    activity: Any,
    items: Sequence[Any],
    *,
    max_concurrency: int = 50,
    items_per_batch: int | None = None,
    retry: df.RetryOptions | None = None,
    tolerated_failure_count: int = 0,
    tolerated_failure_percentage: float = 0,
    timeout: timedelta | None = None,
) -> Generator[Any, Any, dict[str, Any]]:
    """Run `activity` once for each of `items`, and say what became of each. To be used in an orchestrator:

        outcome = yield from fan_out_map(context, "process_item", items, max_concurrency=20)

    activity            a registered activity: its function, or its name. It gets the bare item; one decorated
                        with `@map_activity(envelope=True)` gets `{"item", "index", "map_id"}`
    items               JSON values
    max_concurrency     items in flight at any moment over the whole map; 0: as many as there are
    items_per_batch     run them in batches of so many that start together, the next when all have ended; by
                        default as plan.py says. 1 for slow items that differ much
    retry               the SDK's RetryOptions: tries of each item, and the pause between them
    tolerated_failure_count, tolerated_failure_percentage
                        how many items may fail for good before no more is started; if both are given, the
                        smaller number
    timeout             after that, no more is started

    Returns the outcome, the dict described in outcome.py. Failures are part of it: nothing is raised for them,
    so look at `reason` and `failed`. What had been started when something ended the map has run to its end.
    Raises ValueError for arguments that make no sense.

    Needs the blueprint `bp` of this package to be registered with the app: the map is worked off by its
    sub-orchestrations. While it runs its progress is in the ledger (`GET /api/maps/{instance id}` shows it),
    and the event `map-cancel` ends it. Ids: the map is called as the instance, a second one in the same
    instance `<instance id>:map-2`, and so on. The custom status is left to you.
    """
    terms = Terms(
        activity=activity if isinstance(activity, str) else activity.build().get_function_name(),
        max_concurrency=max_concurrency,
        items_per_batch=items_per_batch,
        max_attempts=retry.max_number_of_attempts if retry else 1,
        retry_seconds=retry.first_retry_interval_in_milliseconds / 1000 if retry else 1.0,
        tolerated_failure_count=tolerated_failure_count,
        tolerated_failure_percentage=tolerated_failure_percentage,
        timeout_seconds=timeout.total_seconds() if timeout is not None else None,
    )
    outcome: dict[str, Any] = yield from run_map(context, terms, list(items))
    return outcome


def run_map(
    context: df.DurableOrchestrationContext,
    terms: Terms,
    items: list[Any],
    indexes: list[int] | None = None,
    whole: int | None = None,
    about: dict[str, Any] | None = None,
) -> Generator[Any, Any, dict[str, Any]]:
    """The same, from `Terms`. For a redrive `indexes` are the items' places in a map that had `whole` items;
    a tolerated percentage is one of those. `about`: what else the ledger should say."""
    map_id = _next_id(context)
    now = context.current_utc_datetime
    deadline = None
    if terms.timeout_seconds is not None:
        deadline = (now + timedelta(seconds=terms.timeout_seconds)).isoformat()
    part = Part(
        map_id=map_id,
        activity=terms.activity,
        envelope=gets_envelope(terms.activity),
        attempts=terms.max_attempts,
        pause=terms.retry_seconds,
        batch=terms.items_per_batch,
        deadline=deadline,
        total=len(items),
        items=items,
        at=indexes if indexes is not None else list(range(len(items))),
        slots=min(terms.max_concurrency or len(items), len(items)),
        patience=terms.tolerated(len(items) if whole is None else whole),
        final=True,
    )
    # The ids of the parts are never used twice, whatever ran under this instance's id before: the extension
    # replaces an instance that is running if a child is given its id.
    prefix = f"{map_id}:{context.new_uuid()[:8]}"
    ledger = ledger_id(map_id)
    opening = {
        "map_id": map_id,
        "activity": terms.activity,
        "total": len(items),
        "max_concurrency": terms.max_concurrency,
        "at": now.isoformat(),
        **(about or {}),
    }
    context.signal_entity(ledger, "open", opening)
    if not context.is_replaying:
        _log.info("map started %s", json.dumps(opening))
    yield from refuse_earlier(context, ledger, prefix)
    lanes = lanes_of(len(items), part.slots, part.batch)
    tally: Tally = yield from hand_out(context, part, lanes, CANCEL, prefix)
    outcome = outcome_of(items, tally)
    closing = {
        "at": context.current_utc_datetime.isoformat(),
        **summary(outcome),
        "failures": [[part.at[position], error] for position, error, _ in sorted(tally.failed)[:10]],
    }
    context.signal_entity(ledger, "close", closing)
    if not context.is_replaying:
        _log.info("map ended %s", json.dumps({"map_id": map_id, **closing}))
    return outcome


def _next_id(context: df.DurableOrchestrationContext) -> str:
    # One context object lives for one replay, so counting on it gives the same numbers each time.
    number = getattr(context, _COUNTER, 0) + 1
    setattr(context, _COUNTER, number)
    return context.instance_id if number == 1 else f"{context.instance_id}:map-{number}"
