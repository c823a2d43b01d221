"""Runs a batch of an entity's operations through the SDK's handle, and keeps what they raised.

The SDK catches an operation's exception and answers with its message alone. So the user's function is handed to
`Entity.create` again, inside a function that passes everything through and describes the exception. An entity
that is not a plain SDK handle, because someone wrapped it, runs unobserved.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from azure.durable_functions import Entity

from dfhost.app.exceptions import describe_exception
from dfhost.engine.failures import Failure
from dfhost.runner.app_runner import EntityReply

# The code of the SDK's own handles. A wrapper around one has other code.
_ANY_FUNCTION: Any = None
_HANDLE_CODE = Entity.create(_ANY_FUNCTION).__code__


def run_batch(handle: Callable[[Any], str], trigger: str, begun: Callable[[int], None]) -> EntityReply:
    """`trigger`: the entity trigger's JSON. Raises what the function raises outside its operations.

    `begun` is called with the place of each operation before it runs.
    """
    user_function = getattr(handle, "entity_function", None)
    if user_function is None or getattr(handle, "__code__", None) is not _HANDLE_CODE:
        return EntityReply(handle(trigger), {})
    raised: dict[int, Failure] = {}
    places = count()

    def observed(context: Any) -> Any:
        place = next(places)
        begun(place)
        try:
            return user_function(context)
        except Exception as error:
            raised[place] = describe_exception(error)
            raise

    return EntityReply(Entity.create(observed)(trigger), raised)
