"""What the start says of an app's queue bindings: names that nobody can mean, connections that Azure would not find.

A queue function whose own queue cannot be is named by `queue_triggers`, which does not run it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress

from dfhost.did_you_mean import question
from dfhost.runner.functions import Binding, FunctionInfo
from dfhost.settings.app_settings import has_storage_connection
from dfhost.triggers.queues import QueueRefused, queue_of


def queue_notes(functions: Sequence[FunctionInfo]) -> list[str]:
    taken = set(_names_taken_from(functions))
    outputs = [note for function in functions for note in _on_outputs(function, taken)]
    return [*outputs, *_on_connections(functions)]


def _names_taken_from(functions: Sequence[FunctionInfo]) -> Iterator[str]:
    for function in functions:
        if function.kind == "queue":
            with suppress(QueueRefused):
                yield queue_of(function.trigger)


def _on_outputs(function: FunctionInfo, taken: set[str]) -> Iterator[str]:
    for binding in _outputs(function):
        try:
            name = queue_of(binding)
        except QueueRefused as error:
            yield f"{function.name} cannot write to its queue, so its calls fail. {error}"
        else:
            if name not in taken and (near := question(name, taken)):
                yield f"{function.name} writes to queue {name}, from which no function takes messages. {near}"


def _outputs(function: FunctionInfo) -> list[Binding]:
    return [each for each in function.bindings if each["type"] == "queue"]


def _on_connections(functions: Sequence[FunctionInfo]) -> Iterator[str]:
    """Functions with a connection that is no app setting are not loaded on Azure; the other functions are."""
    lacking: dict[str, list[str]] = defaultdict(list)
    for function in functions:
        triggers = [function.trigger] if function.kind == "queue" else []
        for binding in (*triggers, *_outputs(function)):
            connection = str(binding.get("connection") or "")
            if connection and not has_storage_connection(connection):
                lacking[connection].append(function.name)
    for connection, names in lacking.items():
        yield (
            f"There is no app setting {connection}, the connection of {', '.join(dict.fromkeys(names))}. dfhost "
            "needs none; Azure loads no function without its connection."
        )
