"""The filters of lists and purges. What a filter ignores is named on the console, since Azure ignores it silently.

An unreadable value counts as absent, as in the extension: a purge then deletes more than was meant.
"""

from __future__ import annotations

from dfhost.management.request import ManagementRequest
from dfhost.runtime_status import FINAL_STATUSES, RUNTIME_STATUSES
from dfhost.task_hub_values import InstanceFilter

_PURGEABLE = [status for status in RUNTIME_STATUSES if status in FINAL_STATUSES]


def list_filter(request: ManagementRequest) -> InstanceFilter:
    query = request.query
    statuses = query.statuses()
    _warn(request, "list", query.unknown_statuses(), RUNTIME_STATUSES, bool(statuses))
    return InstanceFilter(
        created_from=query.date_time("createdTimeFrom"),
        created_to=query.date_time("createdTimeTo"),
        statuses=statuses,
        prefix=query.text("instanceIdPrefix") or "",
    )


def purge_filter(request: ManagementRequest) -> InstanceFilter | None:
    """Running instances and entities belong to it, too, unless it names a final status. None without a first date."""
    query = request.query
    created_from = query.date_time("createdTimeFrom")
    if created_from is None:
        return None
    named = query.statuses()
    statuses = [status for status in named if status in FINAL_STATUSES]
    ignored = [*query.unknown_statuses(), *(status for status in named if status not in statuses)]
    _warn(request, "purge", ignored, _PURGEABLE, bool(statuses))
    return InstanceFilter(created_from, query.date_time("createdTimeTo"), statuses)


def _warn(
    request: ManagementRequest,
    what: str,
    ignored: list[str],
    known: list[str] | tuple[str, ...],
    filters: bool,
) -> None:
    """`ignored`: the statuses that do not count. `filters`: whether any other one does."""
    query = request.query
    parts = []
    if ignored:
        parts.append(
            f"runtimeStatus has {_quoted(ignored)}, which is none of {', '.join(known)} (case counts)"
        )
    parts += [
        f"{name} is no date: '{query.text(name)}'"
        for name in ("createdTimeFrom", "createdTimeTo")
        if (query.text(name) or "").strip() and query.date_time(name) is None
    ]
    if not parts:
        return
    effect = f"so this {what} is of more instances than asked for"
    if ignored and not filters:
        effect = f"so this {what} is of instances in every state"
        if what == "purge":
            effect += ", running ones and entities included"
    request.warn(
        f"A {what} of instances: {'; '.join(parts)}. Azure ignores that, and so does dfhost, {effect}."
    )


def _quoted(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
