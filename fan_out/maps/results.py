"""`Results`: the output of a part of a map, JSON: what became of each item. Pure."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from azure.durable_functions.models.utils.df_serialization import df_dumps


class ItemResult(NamedTuple):
    """What became of an item that was started. Between the parts it travels as a list of the three."""

    attempts: int  # 0: not known
    value: Any
    error: str | None = None


Results = list[Any]  # one such entry an item of the part, in order; None: it was not started


def merge(results: Results, positions: list[int], child: Results) -> tuple[list[int], int]:
    """Put a child's results in their places. Gives the positions that it has not started, and how many failed."""
    for position, result in zip(positions, child, strict=True):
        results[position] = result
    left = [position for position in positions if results[position] is None]
    return left, sum(result is not None and result[2] is not None for result in child)


def as_json(results: Any) -> Any:
    """Plain JSON, with objects of an activity's own class as the SDK writes them: the output of an orchestration may
    hold no others."""
    try:
        json.dumps(results)
    except TypeError:
        return json.loads(df_dumps(results))
    return results
