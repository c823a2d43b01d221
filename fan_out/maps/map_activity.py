"""`@map_activity`: an activity that callers may name, and that logs each of its items.

    @bp.activity_trigger(input_name="payload")
    @map_activity
    def process_item(payload): ...                      # gets the bare item

    @bp.activity_trigger(input_name="entry")
    @map_activity(envelope=True)
    async def reconcile(entry): ...                     # gets {"item": …, "index": 7, "map_id": "…"}

Owns the list of these activities and the envelope. `map_id` and `index` together name one piece of work for good: an
activity may run twice, and with them it can recognise an item that it has worked on before.
"""

from __future__ import annotations

import functools
import inspect
import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, overload

Activity = TypeVar("Activity", bound=Callable[..., Any])
ENVELOPE = {"item", "index", "map_id"}

_activities: set[str] = set()
_log = logging.getLogger("fan_out.map.item")


@overload
def map_activity(activity: Activity) -> Activity: ...
@overload
def map_activity(*, envelope: bool = False) -> Callable[[Activity], Activity]: ...
def map_activity(activity: Any = None, *, envelope: bool = False) -> Any:
    """Decorates an activity function of one parameter, below its trigger decorator.

    Callers name the activity by its function, which must therefore be its name: no `@bp.function_name` above it.

    Called by a map it logs `{"map_id", "index", "duration_ms", "outcome"}`, and the error if it raised; called by any
    other orchestrator it is as it was.
    """
    if activity is None:
        return functools.partial(map_activity, envelope=envelope)
    if not inspect.isfunction(activity):
        raise TypeError("Put @map_activity below @app.activity_trigger: it decorates the function itself.")
    _activities.add(activity.__name__)
    parameter = next(iter(inspect.signature(activity).parameters))

    @functools.wraps(activity)
    async def waiting(**arguments: Any) -> Any:
        with _logged(arguments[parameter]) as item:
            return await activity(**(arguments if envelope else {parameter: item}))

    @functools.wraps(activity)
    def plain(**arguments: Any) -> Any:
        with _logged(arguments[parameter]) as item:
            return activity(**(arguments if envelope else {parameter: item}))

    return waiting if inspect.iscoroutinefunction(activity) else plain


def map_activities() -> list[str]:
    """The names of the activities that were decorated, sorted: those that may be asked for by HTTP."""
    return sorted(_activities)


def gets_envelope(activity: str) -> bool:
    """Whether a map gives this activity the envelope. One that was decorated gets it, and takes the bare item out
    itself if that is what its function wants; any other gets the bare item."""
    return activity.lower() in map(str.lower, _activities)  # hosts compare names without case


@contextmanager
def _logged(given: Any) -> Iterator[Any]:
    """Gives the bare item. What is not called by a map is not logged."""
    if not isinstance(given, dict) or given.keys() != ENVELOPE:
        yield given
        return
    line = _Line(map_id=given["map_id"], index=given["index"], outcome="succeeded")
    began = time.perf_counter()
    try:
        yield given["item"]
    except BaseException as error:
        line |= {"outcome": "failed", "error": f"{type(error).__name__}: {error}"[:500]}
        raise
    finally:
        line["duration_ms"] = round((time.perf_counter() - began) * 1000, 3)
        _log.info("map item %s", line)


class _Line(dict[str, Any]):
    """Becomes JSON when a log handler writes the line: not every handler writes all of a thousand."""

    def __str__(self) -> str:
        return json.dumps(self)
