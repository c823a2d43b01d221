"""Whether an app has an orchestrator, entity or other function of a name; if not, what is meant.

A host starts an orchestrator of any name, and the instance fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

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
        _check("orchestrator", name, orchestrator_names(functions), functions)


def check_entity(name: str, functions: Functions | None) -> None:
    """The same for an entity."""
    if functions is not None:
        _check("entity", name, entity_names(functions), functions)


def triggered_names(functions: Functions) -> list[str]:
    """Those of functions that a timer, a queue or something else outside the app triggers."""
    return [str(function["name"]) for function in functions if _trigger(function) not in _OWN_COMMANDS]


def check_triggered(name: str, functions: Functions | None) -> None:
    """HostError if the app is known, and the function is missing or has a command of its own."""
    if functions is not None and name.lower() not in (str(each["name"]).lower() for each in functions):
        _check("function", name, triggered_names(functions), functions)
    function = _named(name, functions or ())
    if (
        function is not None
        and (trigger := _trigger(function)) in _OWN_COMMANDS
        and trigger != "activityTrigger"
    ):
        raise HostError(printable(f"'{name}' is {_described(function)}"))


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


def _named(name: str, functions: Functions) -> dict[str, Any] | None:
    return next((each for each in functions if str(each["name"]).lower() == name.lower()), None)


def _trigger(function: dict[str, Any]) -> str:
    types = (str(binding["type"]) for binding in function["config"]["bindings"])
    return next((each for each in types if each.endswith("Trigger")), "")


#: What a function of such a trigger is, and how it is run.
_OWN_COMMANDS = {
    "orchestrationTrigger": "an orchestrator: `dfhost start-instance {name}` starts it.",
    "entityTrigger": "an entity: `dfhost signal @{name}@KEY OPERATION` signals one.",
    "httpTrigger": "an HTTP function: `dfhost run METHOD {path}` calls it.",
    "activityTrigger": "an activity: orchestrators call it.",
}


def _described(function: dict[str, Any]) -> str:
    name, trigger = str(function["name"]), _trigger(function)
    how = f"a function with a {trigger}: while `dfhost start` runs, `dfhost trigger {{name}}` runs it."
    path = urlsplit(str(function.get("invoke_url_template") or "/")).path
    return _OWN_COMMANDS.get(trigger, how).format(name=name, path=path)


def _check(kind: str, name: str, names: list[str], functions: Functions) -> None:
    if name.lower() in (each.lower() for each in names):
        return
    if (other := _named(name, functions)) is not None:
        raise HostError(printable(f"The app has no {kind} '{name}'. It is {_described(other)}"))
    hint = misspelt(name, names) or printable(f"It has {', '.join(names) or 'none'}.")
    raise HostError(f"The app has no {kind} '{printable(name)}'. {hint}")
