"""The ledger: one entity a map, where its parts report, so that progress is one read at any size.

    parts ── signals ─► map_ledger@<map id> ◄─ read ── GET /api/maps/{id}

Reports are gathered (a part tells at most once a second, or when a tenth of the map has ended), so a large map
does not pay for being watched. The totals of the result never come from here: a ledger is for looking.
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
from fan_out.maps.parts import Part

FAILURES = 10  # how many of the first failures are kept
_SECONDS = 1.0  # between two reports of one part
_MARKS = 12  # points kept for the rate of late …
_MARK_SECONDS = 5.0  # … and the time between two of them
_log = logging.getLogger("fan_out.map")


def ledger_id(map_id: str) -> df.EntityId:
    # Some characters of a key mean something else in the URLs that a client uses than in an orchestrator.
    key = map_id if re.fullmatch(r"[\w.:~-]{1,200}", map_id, re.ASCII) else _digest(map_id)
    return df.EntityId("map_ledger", key)


class Reporter:
    """One part's way to the ledger: gathers, and signals when it is worth it. Set `in_flight` where it changes."""

    def __init__(self, context: df.DurableOrchestrationContext, part: Part) -> None:
        self._context = context
        self._part = part
        self._at = context.current_utc_datetime
        self._new = [0, 0]
        self._failures: list[tuple[int, str]] = []
        self._shown = 0
        self.in_flight = 0
        self.told = (0, 0)

    def add(self, succeeded: int, failures: list[tuple[int, str]], told: tuple[int, int] = (0, 0)) -> None:
        """Items have ended; `failures` are index and error. `told`: what has been reported of them already."""
        self._new[0] += succeeded - told[0]
        self._new[1] += len(failures) - told[1]
        self._failures += failures
        self.told = (self.told[0] + told[0], self.told[1] + told[1])

    def tell(self) -> None:
        """Signal what is new, if a second has gone by or a tenth of the map; at once if work begins or ends."""
        now = self._context.current_utc_datetime
        new = sum(self._new)
        late = (now - self._at).total_seconds() >= _SECONDS
        changed = self.in_flight != self._shown
        turned = changed and 0 in (self.in_flight, self._shown)
        if not (turned or (new and new * 10 >= self._part.total) or (late and (new or changed))):
            return
        report: dict[str, Any] = {
            "by": self._context.instance_id,
            "at": now.isoformat(),
            "succeeded": self._new[0],
            "failed": self._new[1],
            "failures": self._failures[:FAILURES],
        }
        if changed:
            report["in_flight"] = self._shown = self.in_flight
        self._context.signal_entity(ledger_id(self._part.map_id), "report", report)
        self.told = (self.told[0] + self._new[0], self.told[1] + self._new[1])
        self._new, self._failures, self._at = [0, 0], [], now


@bp.entity_trigger(context_name="context", entity_name="map_ledger")
def map_ledger(context: df.DurableEntityContext) -> None:
    """Operations, all signals: `open`, `report`, `note`, `close`; see `entered` for what each does."""
    state = context.get_state(dict)
    entry = context.get_input() or {}
    before = state.get("tenths", 0)
    state = entered(state, context.operation_name or "", entry)
    if state.get("tenths", 0) > before:
        _log.info(
            "map progress %s",
            json.dumps(
                {
                    "map_id": state["map_id"],
                    "percent": _percent(state),
                    "succeeded": state["succeeded"],
                    "failed": state["failed"],
                    "total": state["total"],
                }
            ),
        )
    context.set_state(state)


def entered(state: dict[str, Any], operation: str, entry: dict[str, Any]) -> dict[str, Any]:
    """The ledger's state after one operation. Pure.

    open    a map begins: `{"map_id", "total", "max_concurrency", "at", …}`; what was there before is forgotten,
            but for links
    report  counts to add, how many are in flight in that part, first failures
    note    keys to set: `{"cancelled_at": …}`, `{"redriven_by": …}`
    close   it is over: `{"at", "reason", "succeeded", "failed", "not_started", "failures"}`, the true totals
    """
    if operation == "open":
        links = {key: state[key] for key in ("redriven_by", "cancelled_at") if key in state}
        fresh: dict[str, Any] = {
            "succeeded": 0,
            "failed": 0,
            "in_flight": {},
            "failures": [],
            "marks": [],
            "tenths": 0,
        }
        return fresh | links | entry | {"started_at": entry["at"]}
    if operation == "note":
        return {**state, **entry}
    if "total" not in state:
        return state  # nothing was opened: a report that outlived a purged ledger
    if operation == "close":
        closed = {**state, **entry, "in_flight": {}, "ended_at": entry["at"]}
        closed["failures"] = sorted(entry["failures"])[:FAILURES]
        return closed
    state = dict(state)
    state["succeeded"] += entry["succeeded"]
    state["failed"] += entry["failed"]
    failures = {tuple(failure) for failure in state["failures"] + entry["failures"]}
    state["failures"] = sorted(failures)[:FAILURES]
    if "in_flight" in entry:
        in_flight = {**state["in_flight"], entry["by"]: entry["in_flight"]}
        state["in_flight"] = {part: number for part, number in in_flight.items() if number}
    finished = state["succeeded"] + state["failed"]
    marks = state["marks"]
    if not marks or _seconds(marks[-1][0], entry["at"]) >= _MARK_SECONDS:
        state["marks"] = [*marks, [entry["at"], finished]][-_MARKS:]
    state["tenths"] = finished * 10 // max(1, state["total"])
    state["at"] = max(entry["at"], state["at"])
    return state


def progress(state: dict[str, Any], now: datetime) -> dict[str, Any]:
    """What a caller wants to know, from a ledger's state. Times are ISO 8601, UTC; rates are items a second.

    rate        of late while the map runs (the last minute or so), over the whole run once it has ended
    estimated_end   when the rest will be done at that rate; null before anything has ended
    """
    ended = state.get("ended_at")
    finished = state["succeeded"] + state["failed"]
    remaining = state["total"] - finished
    elapsed = _seconds(state["started_at"], ended or now.isoformat())
    rate = finished / elapsed if elapsed > 0 else None
    if not ended and state["marks"]:
        since, then = state["marks"][0]
        lately = _seconds(since, now.isoformat())
        if lately >= _MARK_SECONDS and finished > then:
            rate = (finished - then) / lately
    estimated = None
    if not ended and rate and remaining:
        estimated = _plus(now, remaining / rate)
    return {
        "total": state["total"],
        "succeeded": state["succeeded"],
        "failed": state["failed"],
        "not_started": state.get("not_started") if ended else None,
        "remaining": state["not_started"] if ended else remaining,
        "in_flight": sum(state["in_flight"].values()),
        "max_concurrency": state.get("max_concurrency"),
        "percent": _percent(state),
        "rate_per_second": round(rate, 2) if rate is not None else None,
        "started_at": state["started_at"],
        "ended_at": ended,
        "estimated_end": estimated,
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


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
