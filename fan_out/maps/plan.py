"""`Part` and the planner: which items a part of a map hands out next, to whom, and how many run at once. Pure.

    section   hands its items to lanes, all at once; too many of them to sections, in turn
    lane      hands its items to chunks, in turn
    chunk     runs its items in batches; a batch has as many items as the lane has slots, and they start together

An orchestration costs as much as five to ten activities: that decides the shape. The times below are those of 1,000
trivial items on the Functions host with Azurite, where one flat `task_all` takes 14 to 31 s.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any, NamedTuple

# Lanes at once: 4 of 25 slots each took 8 to 10 s, 8 took 22 s, 40 chunks 51 s. A task hub has four partitions.
LANES = 4
# Where lanes would have fewer slots than this, there are fewer, but at least two: a slow item never holds up all.
MIN_LANE_SLOTS = 25
# Up to so many slots each is a lane of its own, so that a slow item holds up nobody else: 200 items at 10 took
# 7.0 s, chunks of 5 in two lanes 9 to 12 s. Ten lanes at once took 10 to 76 s for 1,000 items, so not more.
ONE_SLOT_LANES = 10
# Items of a chunk, and so slots of a lane: batches of 125 took 20 s at 500, of 250 54 s.
CHUNK_ITEMS = 125
# Children one after another, or batches of a chunk. Each replays all before it: in the SDK alone 1,000 steps take
# 208 s so, and 25 steps 0.13 s.
MAX_TURNS = 25


class Share(NamedTuple):
    """What one child gets. `kind`: chunk, lane or section; `lanes`: the slots of each."""

    kind: str
    positions: list[int]
    lanes: list[int]


@dataclass(frozen=True)
class Part:
    """The input of a part of a map, JSON. The first seven are the same for every part."""

    map_id: str
    activity: str
    envelope: bool  # whether the activity gets `{"item", "index", "map_id"}`, not the bare item
    attempts: int  # tries of an item at most
    pause: float  # seconds between two tries
    deadline: str | None  # ISO time after which no item is started
    total: int  # items in the whole map
    items: list[Any]
    indexes: list[int]  # of the items in the whole map; a `position` counts within the part
    lanes: list[int]  # the slots of each lane: so many of its items run at once
    # So many items may fail here. With more the part returns what it has not started, and its parent deals that out
    # again; but if nobody else holds any of the map's budget (`whole_budget`), the map ends.
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


def lanes_of(count: int, slots: int, width: int | None) -> list[int]:
    """The slots of each lane for `count` items. `width`: how many start together, if the caller has said so."""
    if count <= min(slots, width or CHUNK_ITEMS):
        return [count]
    if width or slots <= ONE_SLOT_LANES:
        return [width or 1] * max(1, slots // (width or 1))
    lanes = max(2, min(LANES, slots // MIN_LANE_SLOTS), ceil(slots / CHUNK_ITEMS))
    return [slots // lanes + (lane < slots % lanes) for lane in range(lanes)]


def next_shares(left: list[int], lanes: list[int]) -> list[Share]:
    """What is handed out next of the positions `left`, all of it to run at once: together a prefix of them."""
    most = MAX_TURNS * sum(map(_chunk_size, lanes))
    if len(left) > most:
        while most * MAX_TURNS < len(left):
            most *= MAX_TURNS
        return [Share("section", left[:most], lanes)]
    if len(lanes) == 1:
        return [Share("chunk", left[: _chunk_size(lanes[0])], lanes)]
    size = 1 if len(lanes) <= MAX_TURNS else MAX_TURNS
    groups = [lanes[first : first + size] for first in range(0, len(lanes), size)]
    shares = []
    for group, dealt in zip(groups, _deal(left, list(map(sum, groups))), strict=True):
        kind = "section" if len(group) > 1 else "lane" if len(dealt) > _chunk_size(group[0]) else "chunk"
        shares += [Share(kind, dealt, group)] if dealt else []
    return shares


def _chunk_size(slots: int) -> int:
    """How many items a chunk has: as many whole batches as `CHUNK_ITEMS` allows, but one at least."""
    return slots * max(1, min(MAX_TURNS, CHUNK_ITEMS // slots))


def _deal(positions: list[int], slots: list[int]) -> list[list[int]]:
    """The positions of each lane: as many as it has slots, round after round.

    Each round begins three lanes further on. So slow items that lie together are spread over the lanes, and so are
    those that come every so often: of 120 of which every tenth is slow, none of eight lanes gets over two.
    """
    dealt: list[list[int]] = [[] for _ in slots]
    start = turn = 0
    while start < len(positions):
        lane = (turn + turn // len(slots) * 3) % len(slots)
        dealt[lane] += positions[start : start + slots[lane]]
        start, turn = start + slots[lane], turn + 1
    return dealt
