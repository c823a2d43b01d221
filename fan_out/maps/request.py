"""The body of `POST /api/start-map`, field by field: a `MapRequest`, or a BadRequest that names the field.

Owns the fields and their limits; leaves those of a source to its reader. Pure, but for the readers' look at what may
be read.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from fan_out.bodies import BadRequest, kind
from fan_out.item_sources import MOST_ITEMS, READERS
from fan_out.maps.map_activity import map_activities
from fan_out.maps.run import ATTEMPTS, BATCH, Options

MOST_CONCURRENCY = 10_000
LONGEST = 365 * 24 * 3600.0
LONGEST_PAUSE = 24 * 3600.0
LONGEST_KEY = 255
# Least, most, a note, and whether it can be null: without a bound of its own.
_NUMBERS: dict[str, tuple[float, float, str, bool]] = {
    "max_concurrency": (0, MOST_CONCURRENCY, "0 means no bound", False),
    "items_per_batch": (1, BATCH, "", True),
    "tolerated_failure_count": (0, MOST_ITEMS, "", False),
    "tolerated_failure_percentage": (0.0, 100.0, "", False),
    "timeout_seconds": (0.0, LONGEST, "", True),
}
OPTIONS = (*_NUMBERS, "retry", "results")  # what may be changed at a redrive
FIELDS = ("items", "source", "activity", *OPTIONS, "key")


@dataclass(frozen=True)
class MapRequest:
    """items      the items, or None where a source gives them
    source     `{"name", "params"}` for the activity `read_items`, or None
    results    "full" or "values": the form of the output
    key        the body's `key`, or None
    """

    options: Options
    items: list[Any] | None
    source: dict[str, Any] | None
    results: str
    key: str | None


def all_fields() -> list[str]:
    """Every field a body may have, the readers' included."""
    own = [field for reader in READERS.values() for field in reader.fields]
    return [*FIELDS, *dict.fromkeys(own)]


def parse_request(body: dict[str, Any]) -> MapRequest:
    items, source = _items(body)
    activity = body.get("activity")
    known = ", ".join(map_activities())
    if not isinstance(activity, str):
        raise BadRequest(f"'activity' must name one of these activities: {known}.", "activity")
    if activity not in map_activities():
        sentence = f"No activity marked with @map_activity is named {activity!r}; there are: {known}."
        raise BadRequest(sentence, "activity")
    options, results = parse_options(body, {"activity": activity})
    return MapRequest(options, items, source, results or "full", check_key(body.get("key"), "key"))


def parse_options(body: dict[str, Any], defaults: dict[str, Any]) -> tuple[Options, str | None]:
    """The options, and `results`; what is absent is as in `defaults`, what is null, or in neither, as `Options` has
    it."""
    given: dict[str, Any] = dict(defaults)
    for field, (least, most, note, may_be_null) in _NUMBERS.items():
        if field in body:
            is_null = may_be_null and body[field] is None
            given[field] = None if is_null else _number(body, field, least, most, note)
    batch, bound = given.get("items_per_batch"), given.get("max_concurrency", Options.max_concurrency)
    if body.get("items_per_batch") is not None and bound and batch > bound:
        raise BadRequest(
            f"'items_per_batch' must not be above max_concurrency ({bound}): a batch runs all at once.",
            "items_per_batch",
        )
    if body.get("timeout_seconds") == 0:
        raise BadRequest("'timeout_seconds' must be more than 0.", "timeout_seconds")
    if "retry" in body:
        given |= _retry({"max_attempts": 1} if body["retry"] is None else body["retry"])
    results = body.get("results")
    if results not in (None, "full", "values"):
        raise BadRequest("'results' must be 'full' or 'values'.", "results")
    try:
        return Options(**given), results
    except ValueError as error:  # fields that do not go together, one of them from `defaults`
        raise BadRequest(str(error)) from None


def check_key(key: Any, field: str) -> str | None:
    """An idempotency key as given in `field`, or None."""
    if key is None:
        return None
    if not isinstance(key, str) or not key.strip() or len(key) > LONGEST_KEY:
        raise BadRequest(f"{field!r} must be a string of 1 to {LONGEST_KEY} characters.", field)
    return key


def fingerprint(body: dict[str, Any]) -> str:
    """The same for bodies that ask for the same, whatever the order of their fields; `key` aside."""
    rest = {name: value for name, value in body.items() if name != "key"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _items(body: dict[str, Any]) -> tuple[list[Any] | None, dict[str, Any] | None]:
    if ("items" in body) == ("source" in body):
        raise BadRequest("Give either 'items' or 'source'.", "items")
    name = body.get("source")
    if "source" in body and (not isinstance(name, str) or name not in READERS):
        raise BadRequest(f"There is no source {name!r}; there are: {', '.join(READERS)}.", "source")
    mine = READERS[name].fields if isinstance(name, str) else ()
    for reader in READERS.values():
        for field in reader.fields:
            if field in body and field not in mine:
                where = f"source {name!r}" if name else "'items'"
                raise BadRequest(f"{field!r} does not go with {where}.", field)
    if isinstance(name, str):
        return None, {"name": name, "params": READERS[name].check(body)}
    items = body["items"]
    if not isinstance(items, list):
        raise BadRequest(f"'items' must be a list, not {kind(items)}.", "items")
    if len(items) > MOST_ITEMS:
        raise BadRequest(
            f"'items' holds {len(items):,}; one map takes up to {MOST_ITEMS:,}.", "items", status=413
        )
    return items, None


def _retry(retry: Any) -> dict[str, Any]:
    if not isinstance(retry, dict):
        example = '{"max_attempts": 3, "first_interval_seconds": 1}'
        raise BadRequest(f"'retry' must be an object like {example}, not {kind(retry)}.", "retry")
    for field in retry:
        if field not in ("max_attempts", "first_interval_seconds"):
            raise BadRequest(
                f"'retry' has no field {field!r}; it has max_attempts and first_interval_seconds.",
                f"retry.{field}",
            )
    if "max_attempts" not in retry:
        raise BadRequest(f"'retry' needs max_attempts, from 1 to {ATTEMPTS}.", "retry.max_attempts")
    given = {"max_attempts": _number(retry, "max_attempts", 1, ATTEMPTS, within="retry.")}
    if "first_interval_seconds" in retry:
        given["retry_seconds"] = _number(retry, "first_interval_seconds", 0.0, LONGEST_PAUSE, within="retry.")
    return given


def _number(
    body: dict[str, Any], field: str, least: float, most: float, note: str = "", within: str = ""
) -> Any:
    """The field's value, a whole number if `least` is one. NaN is between no two numbers."""
    value, whole = body[field], isinstance(least, int)
    kinds = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
        wanted = f"a {'whole ' if whole else ''}number from {least:g} to {most:,.0f}"
        raise BadRequest(
            f"{within + field!r} must be {wanted}{f' ({note})' if note else ''}.", within + field
        )
    return value
