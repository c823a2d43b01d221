"""The ledger: one entity a map, where its parts report, so that progress is one read at any size.

    chunks ─── signals ─► map_ledger@<map id> ◄─ read ── GET /api/maps/{id}

Chunks report about once a second, so a large map does not pay for being watched. The totals of the outcome never
come from here: a ledger is for looking.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from datetime import datetime
from typing import Any

import azure.durable_functions as df

from fan_out.blueprint import bp

FAILURES = 10  # how many of the first failures are kept
_SECONDS = 1.0  # between two reports of one part
_MARKS = 12  # points kept for the rate of late …
_MARK_SECONDS = 5.0  # … and the time between two of them
_log = logging.getLogger("fan_out.map")


def ledger_id(map_id: str) -> df.EntityId:
    # Some characters of a key mean something else in the URLs that a client uses than in an orchestrator.
    if not re.fullmatch(r"[\w.:~-]{1,200}", map_id, re.ASCII):
        map_id = hashlib.sha256(map_id.encode("utf-8", "surrogatepass")).hexdigest()
    return df.EntityId("map_ledger", map_id)


class Reporter:
    """One chunk's reports to the ledger: when it begins, pauses or ends, and about once a second in between."""

    def __init__(self, context: df.DurableOrchestrationContext, map_id: str, total: int) -> None:
        self._context, self._ledger, self._total = context, ledger_id(map_id), total
        self._reported_at = context.current_utc_datetime
        self._in_flight = self._succeeded = 0
        self._failures: list[tuple[int, str]] = []

    def add(self, index: int, error: str | None) -> None:
        """An item has ended: for the next report."""
        if error is None:
            self._succeeded += 1
        else:
            self._failures.append((index, error))

    def report(self, in_flight: int) -> None:
        """Report what is new, if it is time: a tenth of the map counts as much as a second."""
        now = self._context.current_utc_datetime
        ended = self._succeeded + len(self._failures)
        late = (now - self._reported_at).total_seconds() >= _SECONDS
        if in_flight and self._in_flight and not late and ended * 10 < self._total:
            return
        report = {
            "by": self._context.instance_id,
            "at": now.isoformat(),
            "succeeded": self._succeeded,
            "failed": len(self._failures),
            "failures": self._failures[:FAILURES],
            "in_flight": in_flight,
        }
        self._context.signal_entity(self._ledger, "report", report)
        self._succeeded, self._failures, self._in_flight, self._reported_at = 0, [], in_flight, now


@bp.entity_trigger(context_name="context", entity_name="map_ledger")
def map_ledger(context: df.DurableEntityContext) -> None:
    """Operations, all signals: `open`, `report`, `note`, `close`; see `apply_operation` for what each does."""
    state = context.get_state(dict)
    entry = context.get_input() or {}
    before = state.get("tenths", 0)
    state = apply_operation(state, context.operation_name or "", entry)
    if state.get("tenths", 0) > before:
        shown = {key: state[key] for key in ("map_id", "succeeded", "failed", "total")}
        _log.info("map progress %s", json.dumps({**shown, "percent": _percent(state)}))
    if context.operation_name == "close":  # not by the map itself: reports may come after its end
        _log.info("map ended %s", json.dumps({"map_id": state.get("map_id", context.entity_key), **entry}))
    context.set_state(state)


def apply_operation(state: dict[str, Any], operation: str, entry: dict[str, Any]) -> dict[str, Any]:
    """The ledger's state after one operation. Pure.

    open    a map begins: `{"map_id", "total", "max_concurrency", "at", …}`; an earlier map of this id is
            forgotten, a note that came before the opening is kept
    report  counts to add, how many items of that chunk are in flight, first failures
    note    keys to set: `{"cancelled_at": …}`, `{"redriven_by": …}`
    close   it is over: `{"at", "reason", "succeeded", "failed", "not_started", "failures"}`, the true totals
    """
    if operation == "open":
        notes = {} if "total" in state else state
        counts = {"succeeded": 0, "failed": 0, "in_flight": {}, "failures": [], "marks": [], "tenths": 0}
        return counts | notes | entry | {"started_at": entry["at"]}
    if operation == "note":
        return {**state, **entry}
    if "total" not in state:
        return state  # nothing was opened: a report that outlived a purged ledger
    if operation == "close":
        closed = {**state, **entry, "in_flight": {}, "ended_at": entry["at"]}
        closed["failures"] = sorted(entry["failures"])[:FAILURES]
        return closed
    if "ended_at" in state:
        return state  # the totals are those of `close`
    succeeded, failed = (state[count] + entry[count] for count in ("succeeded", "failed"))
    failures = {tuple(failure) for failure in state["failures"] + entry["failures"]}
    in_flight = {**state["in_flight"], entry["by"]: entry["in_flight"]}
    marks = state["marks"]
    if not marks or _seconds(marks[-1][0], entry["at"]) >= _MARK_SECONDS:
        marks = [*marks, [entry["at"], succeeded + failed]][-_MARKS:]
    return state | {
        "succeeded": succeeded,
        "failed": failed,
        "failures": sorted(failures)[:FAILURES],
        "in_flight": {chunk: number for chunk, number in in_flight.items() if number},
        "marks": marks,
        "tenths": (succeeded + failed) * 10 // max(1, state["total"]),
        "at": max(entry["at"], state["at"]),
    }


def progress(state: dict[str, Any], now: datetime) -> dict[str, Any]:
    """What a caller wants to know, from a ledger's state. Times are ISO 8601, UTC; rates are items a second.

    rate        of late while the map runs (the last minute or so), over the whole run once it has ended
    estimated_end   when the rest will be done at that rate; null before anything has ended
    """
    ended, began = state.get("ended_at"), state["started_at"]
    finished = state["succeeded"] + state["failed"]
    remaining = state["not_started"] if ended else state["total"] - finished
    elapsed = _seconds(began, ended or now.isoformat())
    since, finished_then = state["marks"][0] if state["marks"] and not ended else (began, 0)
    if (lately := _seconds(since, now.isoformat())) < _MARK_SECONDS or finished <= finished_then or ended:
        lately, finished_then = elapsed, 0
    rate = (finished - finished_then) / lately if lately > 0 else None
    return {
        "total": state["total"],
        "succeeded": state["succeeded"],
        "failed": state["failed"],
        "not_started": state.get("not_started") if ended else None,
        "remaining": remaining,
        "in_flight": sum(state["in_flight"].values()),
        "max_concurrency": state.get("max_concurrency"),
        "percent": _percent(state),
        "rate_per_second": round(rate, 2) if rate is not None else None,
        "started_at": began,
        "ended_at": ended,
        "estimated_end": _plus(now, remaining / rate) if rate and remaining and not ended else None,
        "elapsed_seconds": round(elapsed, 3),
        "first_failures": [{"index": index, "error": error} for index, error in state["failures"]],
    }


def _percent(state: dict[str, Any]) -> float:
    finished = state["succeeded"] + state["failed"]
    return round(100 * finished / state["total"], 1) if state["total"] else 100.0


def _seconds(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def _plus(now: datetime, seconds: float) -> str | None:
    try:
        return datetime.fromtimestamp(now.timestamp() + seconds, now.tzinfo).isoformat(timespec="seconds")
    except (OverflowError, ValueError):
        return None  # beyond the calendar
