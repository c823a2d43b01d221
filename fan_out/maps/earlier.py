"""Maps that were started before the map had its present shape: they fail with a sentence that explains what to do.

An orchestrator has to schedule again whatever its history holds; else the extension fails it as non-deterministic,
in words that help nobody. So a run with parts of the earlier shape repeats its schedule, and fails only then.
Leaves runs of the present shape alone.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import azure.durable_functions as df
from azure.durable_functions.models.history import HistoryEventType as Event


class BegunByEarlierVersion(Exception):
    """The map cannot be continued by this version of its code."""

    def __init__(self) -> None:
        super().__init__(
            "This map was begun by an earlier version of fan_out, which this one cannot continue. Start it again: "
            "items that have run will run again. Let maps end before the app is updated."
        )


def refuse_earlier(
    context: df.DurableOrchestrationContext, ledger: df.EntityId, prefix: str
) -> Generator[Any, Any, None]:
    """Raises BegunByEarlierVersion if parts have been started whose ids begin with `prefix` and a colon."""
    history = context.histories
    parts = [n for n, event in enumerate(history) if _is_part(event, f"{prefix}:")]
    if not parts:
        return
    opened = max(n for n in range(parts[0]) if '"op":"open"' in str(getattr(history[n], "Input", "")))
    tasks: list[Any] = []  # scheduled in the same turn
    for event in history[opened + 1 :]:
        kind = event.event_type
        if kind == Event.EVENT_SENT:
            context.signal_entity(ledger, "report")
        elif kind == Event.SUB_ORCHESTRATION_INSTANCE_CREATED:
            tasks.append(context.call_sub_orchestrator(event.Name, None, event.InstanceId))
        elif kind == Event.TASK_SCHEDULED:
            tasks.append(context.call_activity(event.Name))
        elif kind == Event.TIMER_CREATED:
            tasks.append(context.create_timer(context.current_utc_datetime))
        elif tasks:
            yield context.task_any(tasks)
            tasks = []
    raise BegunByEarlierVersion


def options_in(given: dict[str, Any]) -> dict[str, Any] | None:
    """The options in a run's input or in a map's ledger. The version before this one called them terms."""
    return given.get("options", given.get("terms"))


def _is_part(event: Any, prefix: str) -> bool:
    created = event.event_type == Event.SUB_ORCHESTRATION_INSTANCE_CREATED
    return created and str(event.InstanceId).startswith(prefix)
