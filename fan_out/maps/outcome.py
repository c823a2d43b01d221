"""The outcome of a map, as a plain dict: what callers and orchestrators get. Pure.

    {"total": 3, "succeeded": 1, "failed": 1, "not_started": 1, "reason": "timeout",
     "results": [{"item": "a", "status": "succeeded", "result": "A", "attempts": 1},
                 {"item": "b", "status": "failed", "error": "ValueError: no", "attempts": 3},
                 {"item": "c", "status": "not_started"}]}

`results` has one entry an item, in the order of the items. `reason` is what ended the map before its time:
"failures" (more than tolerated), "timeout", "cancelled"; null when nothing did.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from fan_out.maps.results import Results


def outcome_of(items: list[Any], results: Results, reason: str | None) -> dict[str, Any]:
    entries: list[dict[str, Any]] = []
    for item, result in zip(items, results, strict=True):
        attempts = {"attempts": result.attempts} if result and result.attempts else {}
        if result is None:
            entries.append({"item": item, "status": "not_started"})
        elif result.error is None:
            entries.append({"item": item, "status": "succeeded", "result": result.value, **attempts})
        else:
            entries.append({"item": item, "status": "failed", "error": result.error, **attempts})
    statuses = Counter(entry["status"] for entry in entries)
    counts = {status: statuses[status] for status in ("succeeded", "failed", "not_started")}
    return {"total": len(items), **counts, "reason": reason, "results": entries}


def summary(outcome: dict[str, Any]) -> dict[str, Any]:
    """All but the results: small enough for a custom status."""
    return {key: value for key, value in outcome.items() if key not in ("results", "unfinished")}


def compact(outcome: dict[str, Any]) -> dict[str, Any]:
    """The same with `results` cut down to the values, null where there is none, and `unfinished`: the full
    entry and index of each item that did not succeed."""
    values = [entry.get("result") for entry in outcome["results"]]
    return {**outcome, "results": values, "unfinished": unfinished(outcome)}


def unfinished(outcome: dict[str, Any]) -> list[dict[str, Any]]:
    """The entries of what did not succeed, each with its `index`, of either form of outcome."""
    entries = ({"index": index, **entry} for index, entry in enumerate(outcome["results"]))
    given = outcome.get("unfinished")
    return [entry for entry in entries if entry["status"] != "succeeded"] if given is None else list(given)


def merge_redrive(old: dict[str, Any], new: dict[str, Any], indexes: list[int]) -> dict[str, Any]:
    """`old` (either form), with what `new` made of the items at `indexes`. In the full form if old is."""
    as_values = "unfinished" in old
    results = list(old["results"])
    for index, entry in zip(indexes, new["results"], strict=True):
        results[index] = entry.get("result") if as_values else entry
    succeeded = old["succeeded"] + new["succeeded"]
    whole = {**new, "total": old["total"], "succeeded": succeeded, "results": results}
    if as_values:
        whole["unfinished"] = [{**entry, "index": indexes[entry["index"]]} for entry in unfinished(new)]
    return whole
