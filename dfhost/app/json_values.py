"""Python values as the JSON texts that azure-functions and the SDK exchange, custom objects included."""

from __future__ import annotations

import json
from typing import Any

from azure.functions import _durable_functions


def to_json(value: Any, what: str = "the value") -> str:
    """The JSON text. TypeError for a value that is neither JSON nor an object with `to_json`; `what` begins it."""
    __tracebackhide__ = True  # in pytest: the caller is at fault
    try:
        return json.dumps(value, default=_durable_functions._serialize_custom_object)
    except (TypeError, ValueError):
        found = find_not_json(value, takes_objects=True)
        if found is None:  # something that a `to_json` method returns, or raises
            raise
        path, culprit = found
        kind = type(culprit).__name__
        problem = f"it has a value of type {kind} at {path}" if path else f"it is of type {kind}"
        raise TypeError(f"{what} cannot be written as JSON: {problem}.") from None


def find_not_json(value: Any, *, takes_objects: bool) -> tuple[str, Any] | None:
    """Where the first value is that JSON does not have, ``['when'][0]``, and the value; None if there is none.

    `takes_objects`: those with a `to_json` method count as JSON, as in inputs and in the results of activities.
    """
    try:
        return _find(value, takes_objects, "")
    except RecursionError:
        return None


def _find(value: Any, takes_objects: bool, path: str) -> tuple[str, Any] | None:
    if value is None or isinstance(value, (str, int, float)):
        return None
    if isinstance(value, dict):
        for key, each in value.items():
            if key is not None and not isinstance(key, (str, int, float)):
                return f"{path}[{key!r}]", key
            if found := _find(each, takes_objects, f"{path}[{key!r}]"):
                return found
        return None
    if isinstance(value, (list, tuple)):
        found_below = (_find(each, takes_objects, f"{path}[{number}]") for number, each in enumerate(value))
        return next(filter(None, found_below), None)
    return None if takes_objects and hasattr(value, "to_json") else (path, value)


def from_json(text: str) -> Any:
    """The value of a JSON text. ValueError if it is none.

    Custom objects are made anew; one whose class cannot be found stays a dict.
    """
    try:
        return json.loads(text, object_hook=_durable_functions._deserialize_custom_object)
    except json.JSONDecodeError:
        raise
    except Exception:
        return json.loads(text)
