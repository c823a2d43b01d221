"""Python values as the JSON texts that azure-functions and the SDK exchange, custom objects included."""

from __future__ import annotations

import json
from typing import Any

from azure.functions import _durable_functions


def to_json(value: Any) -> str:
    """TypeError for a value that is neither JSON nor an object with a `to_json` method."""
    return json.dumps(value, default=_durable_functions._serialize_custom_object)


def from_json(text: str) -> Any:
    """A custom object whose class cannot be found stays a dict. ValueError if `text` is not JSON."""
    try:
        return json.loads(text, object_hook=_durable_functions._deserialize_custom_object)
    except json.JSONDecodeError:
        raise
    except Exception:
        return json.loads(text)
