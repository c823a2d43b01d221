"""What the installed azure-functions says where its versions differ."""

from __future__ import annotations

from azure.functions import _durable_functions


def unknown_module_error(module: str) -> str:
    """Its failure for a custom object whose module is not loaded: `ValueError: …` as recorded.

    Before 1.26 it imported the module, hence `ModuleNotFoundError: …`.
    """
    try:
        _durable_functions._deserialize_custom_object(
            {"__class__": "Nope", "__module__": module, "__data__": 1}
        )
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    raise AssertionError(f"{module} is loaded")
