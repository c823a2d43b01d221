"""The names by which a test speaks of what it stubs, fails, slows or counts. Pure."""

from __future__ import annotations

from dfhost.did_you_mean import question
from dfhost.runner.functions import AppInfo
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
    known = [function.durable_name for function in functions]
    raise ValueError(
        f"The app has no {' or '.join(kinds)} '{name}'. It has: {', '.join(known) or 'none'}. "
        f"{question(name, known)}".rstrip()
    )


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
