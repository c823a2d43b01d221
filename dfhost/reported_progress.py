"""How far an app says that it is: in a custom status, in the answer of a progress route, or in a map's ledger. Pure.

A ledger is the state of an entity `map_ledger`, see docs/map.md. It has the `map_id`, the `instance_id` of the
orchestration that runs the map, the name of the `activity`, and counts as a custom status may have them. Its
`in_flight` has a count for each part of the map; `ended_at` is there once the map is over, and `options` if the app
keeps its outcome.
"""

from __future__ import annotations

from typing import Any, NamedTuple

LEDGERS = "@map_ledger@"  # how the ids of these entities begin
_DONE_WORDS = ("completed", "done", "finished", "processed")


class ReportedProgress(NamedTuple):
    """`done` of `total` have ended, `failed` of them without success."""

    done: int
    total: int
    failed: int


def phase(reported: Any) -> str:
    """A custom status in a few words: itself if it is a text, its "phase" if it has one."""
    text = reported.get("phase") if isinstance(reported, dict) else reported
    return text[:60] if isinstance(text, str) else ""


def reported_progress(reported: Any) -> ReportedProgress | None:
    """What a custom status, or a progress route's answer, says; None if it says nothing of the kind.

    {"total": 5, "completed": 2} -> (2, 5, 0); {"total": 5, "succeeded": 2, "failed": 1} -> (3, 5, 1)

    Some apps count failed ones as completed, others do not. Where the two add up to the total, everything has ended:
    {"total": 5, "completed": 4, "failed": 1} -> (5, 5, 1)
    """
    if not isinstance(reported, dict):
        return None
    numbers = {
        str(name).lower(): value
        for name, value in reported.items()
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0
    }
    total, failed = numbers.get("total"), numbers.get("failed", 0)
    if not total:
        return None
    for word in _DONE_WORDS:
        if word in numbers:
            done = numbers[word]
            return ReportedProgress(total if done + failed == total else min(done, total), total, failed)
    if "succeeded" in numbers or "failed" in numbers:
        return ReportedProgress(min(numbers.get("succeeded", 0) + failed, total), total, failed)
    return None
