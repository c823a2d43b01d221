"""The names by which a test speaks of what it stubs, fails, slows or counts. Pure."""

from __future__ import annotations

from dfhost.did_you_mean import question
from dfhost.runner.functions import AppInfo, FunctionInfo
from dfhost.testing.client_patches import CLIENT, CLIENT_METHODS
from dfhost.testing.runner import CALL_HTTP

__tracebackhide__ = True  # pytest shows errors at the line of the test

#: The kinds of functions that orchestrators call.
CALLED = ("activity", "orchestrator", "entity")


def function_named(app: AppInfo, name: str, *kinds: str) -> str:
    """The indexed name of the function that orchestrators and clients call `name`; ValueError if there is none."""
    functions = [function for function in app.functions if function.kind in kinds]
    for function in functions:
        if name.lower() in (function.durable_name.lower(), function.name.lower()):
            return function.name
    wanted = " or ".join(kinds)
    if other := app.get(name):
        raise ValueError(f"{other.name} is no {wanted}: {_what_instead(other)}")
    known = [function.durable_name for function in functions]
    more = question(name, known) or f"It has: {', '.join(known) or 'none'}."
    raise ValueError(f"The app has no {wanted} '{name}'. {more}")


def _what_instead(function: FunctionInfo) -> str:
    """What the function is, and what a test does about it."""
    if function.kind == "timer":
        return (
            "it is a timer function, which runs on its schedule. durable.trigger runs it once; "
            "@pytest.mark.durable(timer_triggers=False) keeps all timer functions from running."
        )
    if function.kind == "queue":
        return "it is a queue function, which takes messages. durable.queue(…).put gives it a message."
    if function.kind == "http":
        return "it is an HTTP function. durable.request calls it by its route."
    if function.kind in CALLED:
        return f"it is an {function.kind}."
    return f"it has a {function.kind}. durable.trigger runs it."


def target_named(app: AppInfo, name: str, *kinds: str) -> str:
    """Likewise; `name` may also be that of `call_http`, or of a method of the durable client."""
    if name == CALL_HTTP:
        return name
    if not name.startswith(CLIENT):
        return function_named(app, name, *kinds)
    if (method := name.removeprefix(CLIENT)) not in CLIENT_METHODS:
        raise ValueError(
            f"The durable client has no method to stub {name!r}; it has {', '.join(CLIENT_METHODS)}. "
            + question(method, CLIENT_METHODS)
        )
    return name
