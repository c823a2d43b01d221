"""`fan_out_map`: a map as one step of any orchestrator.

Owns the options, the map's id and deadline, and the beginning and end of its ledger. Leaves handing out to tree.py
and the form of the outcome to outcome.py.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

import azure.durable_functions as df

from fan_out.maps.earlier import refuse_earlier
from fan_out.maps.ledger import FAILURES, ledger_id
from fan_out.maps.map_activity import gets_envelope
from fan_out.maps.outcome import outcome_of, summary
from fan_out.maps.plan import Part, lanes_of
from fan_out.maps.results import ItemResult, Results
from fan_out.maps.tree import hand_out
from fan_out.maps.unknown_activity import unknown_activity

CANCEL = "map-cancel"
BATCH = 250  # items of a batch at most: the history of one with more would be a long one
ATTEMPTS = 100
_COUNTER = "_fan_out_maps"
_log = logging.getLogger("fan_out.map")


@dataclass(frozen=True)
class Options:
    """The arguments of `fan_out_map`, as plain values. Raises ValueError for those that make no sense."""

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
        for name, number in {
            "max_concurrency": bound,
            "items_per_batch": 1 if batch is None else batch,
        }.items():
            if not isinstance(number, int):
                raise ValueError(f"{name} must be a whole number, not {number!r}.")
        most = min(bound, BATCH) if bound > 0 else BATCH
        for sentence, holds in {
            "max_concurrency must be 0 (no bound) or more.": bound >= 0,
            f"items_per_batch must be from 1 to {BATCH}, and not above max_concurrency: the items of a batch are in "
            "flight together.": batch is None or 1 <= batch <= most,
            f"An item can be tried from 1 to {ATTEMPTS} times.": 1 <= self.max_attempts <= ATTEMPTS,
            "tolerated_failure_count must be 0 or more.": self.tolerated_failure_count >= 0,
            "tolerated_failure_percentage must be from 0 to 100.": 0
            <= self.tolerated_failure_percentage
            <= 100,
            "timeout must be more than nothing.": self.timeout_seconds is None or self.timeout_seconds > 0,
        }.items():
            if not holds:
                raise ValueError(sentence)

    def tolerated(self, total: int) -> int:
        """How many of `total` items may fail. Of a count and a percentage the smaller one counts; 0 is not given."""
        count, percentage = self.tolerated_failure_count, self.tolerated_failure_percentage
        if not count and not percentage:
            return 0
        # As the decimal number that was given: as floats, 32.3 % of 1,000 are a little less than 323.
        return min(count or total, int(total * Fraction(str(percentage or 100)) / 100), total)


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
    """Run `activity` once for each of `items`. To be used in an orchestrator:

        outcome = yield from fan_out_map(context, "process_item", items, max_concurrency=20)

    activity            a registered activity: its function, or its name. It gets the bare item; one decorated
                        with `@map_activity(envelope=True)` gets `{"item", "index", "map_id"}`
    items               JSON values
    max_concurrency     items in flight at any moment over the whole map; 0: as many as there are
    items_per_batch     how many start together, the next when all of those have ended; by default as plan.py
                        decides. 1 for slow items that differ much
    retry               the SDK's RetryOptions: tries of each item, and the pause between them
    tolerated_failure_count, tolerated_failure_percentage
                        how many items may fail for good before no more is started; if both are given, the
                        smaller number
    timeout             after that, no more is started

    Returns the outcome, the dict described in outcome.py. Failures are part of it: nothing is raised for them,
    so look at `reason` and `failed`. What had been started when something ended the map has run to its end.
    Raises ValueError for arguments that make no sense, and UnknownActivity, which is one, for an activity that the
    app does not have.

    Needs the blueprint `bp` of this package to be registered with the app: the map is worked off by its
    sub-orchestrations. While it runs its progress is in the ledger (`GET /api/maps/{instance id}` shows it),
    and the event `map-cancel` ends it. Ids: the map is called as the instance, a second one in the same
    instance `<instance id>:map-2`, and so on. The custom status is left to you.
    """
    # A set has another order in each process: a replay would put results to other items.
    if isinstance(items, (str, bytes, Mapping, set, frozenset)):
        raise ValueError(f"items must be a list of JSON values, not a {type(items).__name__}.")
    options = Options(
        activity=activity if isinstance(activity, str) else activity.build().get_function_name(),
        max_concurrency=max_concurrency,
        items_per_batch=items_per_batch,
        max_attempts=retry.max_number_of_attempts if retry else 1,
        retry_seconds=retry.first_retry_interval_in_milliseconds / 1000 if retry else 1.0,
        tolerated_failure_count=tolerated_failure_count,
        tolerated_failure_percentage=tolerated_failure_percentage,
        timeout_seconds=timeout.total_seconds() if timeout is not None else None,
    )
    outcome: dict[str, Any] = yield from run_map(context, options, list(items))
    return outcome


def run_map(
    context: df.DurableOrchestrationContext,
    options: Options,
    items: list[Any],
    redriven: tuple[list[int], int] | None = None,
    about: dict[str, Any] | None = None,
) -> Generator[Any, Any, dict[str, Any]]:
    """The same, from `Options`.

    redriven    of a redrive: the items' indexes in the map that is redriven, and how many items that map had.
                A tolerated percentage is one of those
    about       more entries for the ledger
    """
    indexes, items_of_all = redriven or (list(range(len(items))), len(items))
    map_id, now = _next_map_id(context), context.current_utc_datetime
    part = _whole_map(options, map_id, now, items, indexes, options.tolerated(items_of_all))
    # The ids of the parts are never used twice, whatever ran under this instance's id before: the extension
    # replaces an instance that is running if a child is given its id.
    prefix = f"{map_id}:{context.new_uuid()[:8]}"
    ledger, about = ledger_id(map_id), about or {}
    opening = {"map_id": map_id, "instance_id": context.instance_id, "activity": options.activity, **about}
    opening |= {"total": len(items), "max_concurrency": options.max_concurrency, "at": now.isoformat()}
    context.signal_entity(ledger, "open", opening)
    if not context.is_replaying:
        _log.info("map started %s", json.dumps(opening))
    yield from refuse_earlier(context, ledger, prefix)
    returned, stop = yield from hand_out(context, part, CANCEL, prefix)
    results = [entry and ItemResult(*entry) for entry in returned]
    outcome = outcome_of(items, results, _reason(part, results, stop))
    failures = [[at, each.error] for at, each in zip(indexes, results, strict=True) if each and each.error]
    closing = {
        "at": context.current_utc_datetime.isoformat(),
        **summary(outcome),
        "failures": failures[:FAILURES],
    }
    context.signal_entity(ledger, "close", closing)
    if error := unknown_activity(results):
        raise error
    return outcome


def _next_map_id(context: df.DurableOrchestrationContext) -> str:
    """The instance's id for its first map, with a number behind it for each further one."""
    number = getattr(context, _COUNTER, 0) + 1  # the context lives as long as its generator
    setattr(context, _COUNTER, number)
    return context.instance_id if number == 1 else f"{context.instance_id}:map-{number}"


def _whole_map(
    options: Options, map_id: str, now: datetime, items: list[Any], indexes: list[int], tolerated: int
) -> Part:
    """All of the map as one part, which `hand_out` divides."""
    seconds = options.timeout_seconds
    slots = min(options.max_concurrency or len(items), len(items))
    return Part(
        map_id=map_id,
        activity=options.activity,
        envelope=gets_envelope(options.activity),
        attempts=options.max_attempts,
        pause=options.retry_seconds,
        deadline=None if seconds is None else (now + timedelta(seconds=seconds)).isoformat(),
        total=len(items),
        items=items,
        indexes=indexes,
        lanes=lanes_of(len(items), slots, options.items_per_batch),
        failure_budget=tolerated,
        whole_budget=True,
    )


def _reason(part: Part, results: Results, stop: str | None) -> str | None:
    """What ended the map before its time: `stop`, unless it came too late to keep an item from being tried.

    A part may have seen the deadline before this instance's clock does: they may run on different machines.
    """
    failures = [each for each in results if each and each.error is not None]
    if None in results or any(0 < each.attempts < part.attempts for each in failures):
        return stop or ("timeout" if part.deadline else None)
    return "failures" if len(failures) > part.failure_budget else None
