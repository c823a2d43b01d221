"""`Part`: the input of a part of a map, JSON. Pure; leaves the sharing to plan.py, the output to results.py.

Positions count from 0 within the part; an `index` is an item's place in the whole map.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fan_out.maps.plan import Share


@dataclass(frozen=True)
class Part:
    """Some of the items, and what may be done with them. The first seven are the same for every part of a map."""

    map_id: str
    activity: str
    envelope: bool  # whether the activity gets `{"item", "index", "map_id"}`, not the bare item
    attempts: int  # tries of an item at most
    pause: float  # seconds between two tries
    deadline: str | None  # ISO time after which no item is started
    total: int  # items in the whole map
    items: list[Any]
    indexes: list[int]
    lanes: list[int]  # the slots of each lane: so many of its items run at once
    # So many items may fail in this part. With more it returns, and its parent deals the rest anew; but if nobody
    # else holds any of the map's budget (`whole_budget`), the map ends.
    failure_budget: int
    whole_budget: bool

    def child(self, share: Share, failures: int, siblings: int) -> dict[str, Any]:
        """The input of one of `siblings` children, which divide what `failures` have left of the budget."""
        left = max(0, self.failure_budget - failures)
        budget = left // siblings
        items, indexes = ([each[at] for at in share.positions] for each in (self.items, self.indexes))
        own = {"items": items, "indexes": indexes, "lanes": share.lanes, "failure_budget": budget}
        return {**vars(self), **own, "whole_budget": self.whole_budget and budget == left}

    def argument(self, position: int) -> Any:
        """What the activity gets for an item."""
        item, index = self.items[position], self.indexes[position]
        return {"item": item, "index": index, "map_id": self.map_id} if self.envelope else item
