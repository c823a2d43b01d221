"""What functions that the app has no longer mean for the instances that have not ended, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

from dfhost.runner.functions import AppInfo, FunctionInfo, Functions
from dfhost.store.reader import StoreReader


def missing_orchestrator_notes(app: AppInfo, unfinished: Mapping[str, int]) -> list[str]:
    """For the start of a host: a sentence for each orchestrator that unfinished instances need and the app lacks.

    `unfinished`: how many there are of each.
    """
    return [
        f"The app has no orchestrator {name} any more: {_fail_at_next_step(number)}."
        for name, number in unfinished.items()
        if name not in app.orchestrators
    ]


def removed_function_notes(before: AppInfo, now: AppInfo, store: StoreReader) -> list[str]:
    """For a reload: a sentence for each orchestrator that unfinished instances need, one for activities and entities.

    Which of these an instance will call is unknown: its code has not come so far.
    """
    orchestrators = _removed(before.orchestrators, now.orchestrators)
    called = [
        *(f"activity {name}" for name in _removed(before.activities, now.activities)),
        *(f"entity {name}" for name in _removed(before.entities, now.entities)),
    ]
    if not orchestrators and not called:
        return []
    unfinished = store.open_instances_by_name()
    notes = []
    for name in orchestrators:
        if number := unfinished.pop(name, 0):
            notes.append(f"{_fail_at_next_step(number, f' of {name}')}.")
    if called and (number := sum(unfinished.values())):
        gone = f"{', '.join(called[:-1])} and {called[-1]}" if len(called) > 1 else called[0]
        who = "the unfinished instance" if number == 1 else f"one of the {_instances(number)}"
        notes.append(
            f"The app has no {gone} any more. If {who} calls {'it' if len(called) == 1 else 'one'}, that call fails."
        )
    return notes


def _removed(before: Functions[FunctionInfo], now: Functions[FunctionInfo]) -> list[str]:
    return [name for name in before.names if name not in now]


def _fail_at_next_step(number: int, of: str = "") -> str:
    fail = "fails at its" if number == 1 else "fail at their"
    return f"{_instances(number)}{of} {fail} next step unless it comes back"


def _instances(number: int) -> str:
    return f"{number:,} unfinished instance{'' if number == 1 else 's'}"
