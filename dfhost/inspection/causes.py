"""Why an instance has failed, where its output does not say it."""

from __future__ import annotations

from dfhost.engine import history as h
from dfhost.runner.function_registry import AppFunctionRegistry
from dfhost.store.reader import StoredTimeline

_NOT_DETERMINISTIC = "Non-Deterministic workflow detected"


def cause_of_failure(stored: StoredTimeline, registry: AppFunctionRegistry) -> str | None:
    """What was recorded when it failed; else the calls in its code, as it is now, that differ at each replay."""
    row = stored.row
    if row.status != "Failed":
        return None
    if cause := h.cause_of_failure(stored.history):
        return cause
    if _NOT_DETERMINISTIC not in (row.output or ""):
        return None
    hints = registry.not_deterministic(row.name)
    return f"Its code is not deterministic. {' '.join(hints)}" if hints else None
