"""What a reload has changed in the app, in words."""

from __future__ import annotations

from dfhost.runner.functions import AppInfo, FunctionInfo

_SHOWN = 5


def app_changes(before: AppInfo, now: AppInfo) -> str:
    """ "12 functions", "12 functions; 2 new: a, b; 1 changed: c; 1 gone: d". Changed are triggers and bindings."""
    old, new = _by_name(before), _by_name(now)
    groups = {
        "new": [name for name in new if name not in old],
        "changed": [name for name in new if name in old and new[name] != old[name]],
        "gone": [name for name in old if name not in new],
    }
    count = f"{len(new)} function{'' if len(new) == 1 else 's'}"
    changes = (f"{len(names)} {what}: {_listed(names)}" for what, names in groups.items() if names)
    return "; ".join((count, *changes))


def _by_name(app: AppInfo) -> dict[str, FunctionInfo]:
    return {function.name: function for function in app.functions}


def _listed(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join((*names[:_SHOWN], f"{more} more") if more > 0 else names)
