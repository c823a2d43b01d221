"""Whether an app has an orchestrator or entity of a name: a host starts any orchestrator, and the instance fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dfhost.cli.style import printable
from dfhost.did_you_mean import question
from dfhost.errors import HostError

#: As GET /admin/functions lists them.
Functions = Sequence[dict[str, Any]]


def orchestrator_names(functions: Functions) -> list[str]:
    return _names(functions, "orchestrationTrigger", "orchestration")


def entity_names(functions: Functions) -> list[str]:
    return _names(functions, "entityTrigger", "entityName")


def check_orchestrator(name: str, functions: Functions | None) -> None:
    """HostError, with the name that is meant, if the app is known and has no such orchestrator."""
    if functions is not None:
        _check("orchestrator", name, orchestrator_names(functions))


def check_entity(name: str, functions: Functions | None) -> None:
    """The same for an entity."""
    if functions is not None:
        _check("entity", name, entity_names(functions))


def misspelt(name: str, names: Sequence[str]) -> str:
    """ "Did you mean 'ship_all'?" for a name that is none of `names`, in any case; "" for one of them."""
    known = name.lower() in (each.lower() for each in names)
    return "" if known else printable(question(name, names))


def _names(functions: Functions, trigger: str, key: str) -> list[str]:
    return [
        str(binding.get(key) or function["name"])
        for function in functions
        for binding in function["config"]["bindings"]
        if binding["type"] == trigger and not function.get("isDisabled")
    ]


def _check(kind: str, name: str, names: list[str]) -> None:
    if name.lower() in (each.lower() for each in names):
        return
    hint = misspelt(name, names) or printable(f"It has {', '.join(names) or 'none'}.")
    raise HostError(f"The app has no {kind} '{printable(name)}'. {hint}")
