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

from fan_out.maps.parts import Results


def outcome_of(items: list[Any], results: Results, reason: str | None) -> dict[str, Any]:
    entries: list[dict[str, Any]] = []
    for item, result in zip(items, results, strict=True):
        if result is None:
            entries.append({"item": item, "status": "not_started"})
        elif result.error is None:
            entry = {"item": item, "status": "succeeded", "result": result.value, "attempts": result.attempts}
            entries.append(entry)
        else:
            attempts = {"attempts": result.attempts} if result.attempts else {}
            entries.append({"item": item, "status": "failed", "error": result.error, **attempts})
    statuses = Counter(entry["status"] for entry in entries)
    return {
        "total": len(items),
        **{status: statuses[status] for status in ("succeeded", "failed", "not_started")},
        "reason": reason,
        "results": entries,
    }


def summary(outcome: dict[str, Any]) -> dict[str, Any]:
    """All but the results: small enough for a custom status."""
    return {
        key: value for key, value in outcome.items() if key not in ("results", "unfinished", "results_as")
    }


def compact(outcome: dict[str, Any]) -> dict[str, Any]:
    """The same with `results` cut down to the values, null where there is none, and `unfinished`: the full
    entry and index of each item that did not succeed."""
    return {
        **outcome,
        "results": [entry.get("result") for entry in outcome["results"]],
        "unfinished": [
            {"index": index, **entry}
            for index, entry in enumerate(outcome["results"])
            if entry["status"] != "succeeded"
        ],
    }


def unfinished(outcome: dict[str, Any]) -> list[dict[str, Any]]:
    """The entries of what did not succeed, each with its `index`, of either form of outcome."""
    if "unfinished" in outcome:
        entries: list[dict[str, Any]] = outcome["unfinished"]
        return entries
    return compact(outcome)["unfinished"]  # type: ignore[no-any-return]


def merge_redrive(old: dict[str, Any], new: dict[str, Any], indexes: list[int]) -> dict[str, Any]:
    """`old` (either form), with what `new` made of the items at `indexes`. In the full form if old is."""
    as_values = "unfinished" in old
    results = list(old["results"])
    still: list[dict[str, Any]] = []
    for index, entry in zip(indexes, new["results"], strict=True):
        results[index] = entry.get("result") if as_values else entry
        if entry["status"] != "succeeded":
            still.append({"index": index, **entry})
    whole = {
        **{key: value for key, value in new.items() if key != "results"},
        "total": old["total"],
        "succeeded": old["succeeded"] + new["succeeded"],
        "results": results,
    }
    return {**whole, "unfinished": still} if as_values else whole
