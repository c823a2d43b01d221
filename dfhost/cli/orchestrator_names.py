"""Whether an app has an orchestrator of a name. Hosts accept any name, and the instance fails then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dfhost.cli.did_you_mean import question
from dfhost.cli.style import printable
from dfhost.errors import HostError


def orchestrator_names(functions: Sequence[dict[str, Any]]) -> list[str]:
    """`functions`: as GET /admin/functions lists them."""
    return [
        str(binding.get("orchestration") or function["name"])
        for function in functions
        for binding in function["config"]["bindings"]
        if binding["type"] == "orchestrationTrigger" and not function.get("isDisabled")
    ]


def check_orchestrator(name: str, functions: Sequence[dict[str, Any]] | None) -> None:
    """HostError, with the name that is meant, if the app is known and has no such orchestrator."""
    if functions is None:
        return
    names = orchestrator_names(functions)
    if name.lower() in (each.lower() for each in names):
        return
    hint = question(name, names) or f"It has {', '.join(names) or 'none'}."
    raise HostError(f"The app has no orchestrator '{printable(name)}'. {printable(hint)}")
