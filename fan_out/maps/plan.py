"""The planner: which items a part of a map hands out next, to how many at once, in which order. Pure.

    section   hands its items out to lanes, all at once; one with too many items to sections, in turn
    lane      hands its share out to batches, in turn
    batch     runs items: so many at once, then the next so many

What an orchestration costs decides the shape. 1,000 trivial items on the Functions host with Azurite take 8 to
10 s in four lanes of 25, 20 s in four of 125, 54 s in two of 250, 51 s and more in 40 batches at once, and
14 to 31 s in one flat `task_all`. Nothing here adapts itself: the same map has the same shape every time.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

# At once: 4 lanes of 25 took 8 to 10 s, 8 lanes 22 s, 40 batches 51 s. A task hub has four partitions.
LANES = 4
# Up to so many slots each is a lane of its own, so that a slow item holds up nobody else: 200 items at 10 took
# 7.0 s, batches of 5 in two lanes 9 to 12 s. Ten lanes at once took 10 to 76 s for 1,000 items, so not more.
FEW = 10
# Items at once in a batch: 125 took 20 s, 250 took 54 s.
WIDEST = 125
# Turns of an orchestration: children one after another, or waves of a batch. Each replays all before it: on dfhost a
# chain of 10 costs 2.6 ms an activity, one of 100 costs 7.3 ms. A batch has no fewer items either: it costs as much
# as five to ten of them.
TURNS = 25


@dataclass(frozen=True)
class Share:
    """What one child gets: its `kind` (batch, lane or section), the positions of its items, and its slots."""

    kind: str
    positions: list[int]
    slots: int

    @property
    def in_flight(self) -> int:
        """Items in flight, as far as this child does not tell of them itself."""
        return 0 if self.kind == "section" else min(self.slots, len(self.positions))


def lanes_of(count: int, slots: int, width: int | None) -> list[int]:
    """The slots of each lane of a section with `count` items: one lane if they can all run at once.

    width   items that start together if the caller wants a say in it, else None
    """
    if count <= min(slots, width or WIDEST):
        return [count]
    if width or slots <= FEW:
        return [width or 1] * max(1, slots // (width or 1))
    # Fewer than four where a lane would have less than 25 slots, but two: so a slow item never holds up all.
    lanes = max(LANES // 2, min(LANES, slots // TURNS), ceil(slots / WIDEST))
    return [slots // lanes + (lane < slots % lanes) for lane in range(lanes)]


def next_shares(left: list[int], lanes: list[int]) -> list[Share]:
    """What is handed out next of the positions `left`, all of it to be run at once: a prefix of them."""
    most = TURNS * sum(batch_size(lane) for lane in lanes)
    if len(left) > most:
        while most * TURNS < len(left):
            most *= TURNS
        return [Share("section", left[:most], sum(lanes))]
    if len(lanes) == 1:
        return [Share("batch", left[: batch_size(lanes[0])], lanes[0])]
    if len(lanes) > TURNS:
        groups = [sum(lanes[first : first + TURNS]) for first in range(0, len(lanes), TURNS)]
        return [Share("section", dealt, group) for group, dealt in deal(left, groups)]
    return [
        Share("batch" if len(dealt) <= batch_size(lane) else "lane", dealt, lane)
        for lane, dealt in deal(left, lanes)
    ]


def batch_size(slots: int) -> int:
    return slots * ceil(TURNS / slots)


def deal(positions: list[int], lanes: list[int]) -> list[tuple[int, list[int]]]:
    """`(slots, positions)` of each lane that gets any: as many as it has slots, round after round.

    Each round begins three lanes further on. So slow items that lie together are spread over the lanes, and so
    are those that come every so often: of 120 of which every tenth is slow, none of eight lanes gets over two.
    """
    dealt: list[list[int]] = [[] for _ in lanes]
    start = turn = 0
    while start < len(positions):
        lane = (turn + turn // len(lanes) * 3) % len(lanes)
        dealt[lane] += positions[start : start + lanes[lane]]
        start += lanes[lane]
        turn += 1
    return [(slots, mine) for slots, mine in zip(lanes, dealt, strict=True) if mine]
