"""What a part of a map is given and what it gives back, and the two ledgers of whoever hands parts out.

A map is a tree of orchestrations: stages of sections of batches of items (tree.py). Every one of them gets a
`Part` and returns a `Tally` as JSON. Positions count from 0 within the part; `index` is the item's place in
the whole map. Pure.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from azure.durable_functions.models.utils.df_serialization import df_dumps


@dataclass(frozen=True)
class Job:
    """What is the same for every part of a map.

    map_id      whose map it is; goes to activities that want it
    activity    the activity's name; `envelope`: it wants `{"item", "index", "map_id"}`, not the bare item
    attempts    how often an item is tried at most; `pause`: seconds between two tries
    bound       items in flight over the whole map, 0 for no bound
    batch       items in a batch if the caller wants a say in it, else None
    deadline    ISO time after which no item is started, or None
    total       items in the whole map
    """

    map_id: str
    activity: str
    envelope: bool
    attempts: int
    pause: float
    bound: int
    batch: int | None
    deadline: str | None
    total: int


@dataclass(frozen=True)
class Part:
    """Some of the items, and what may be done with them.

    at          the index of the first item, or the index of each (a redrive's items do not follow each other)
    slots       items this part may have in flight; 0 for no bound
    patience    failures after which it stops and returns what is left; None: any number
    final       whether more failures than that are too many for the whole map, and not just for this part
    plan        what the part is told about how to work: see pace.py
    """

    job: Job
    items: list[Any]
    at: int | list[int]
    slots: int
    patience: int | None
    final: bool
    plan: dict[str, Any]

    def index(self, position: int) -> int:
        return self.at + position if isinstance(self.at, int) else self.at[position]

    def slice(
        self, start: int, count: int, slots: int, patience: int | None, final: bool, plan: dict[str, Any]
    ) -> Part:
        stop = start + count
        at = self.at + start if isinstance(self.at, int) else self.at[start:stop]
        return Part(self.job, self.items[start:stop], at, slots, patience, final, plan)

    def to_input(self) -> dict[str, Any]:
        return {**vars(self), "job": asdict(self.job)}

    @classmethod
    def of(cls, given: dict[str, Any]) -> Part:
        return cls(**{**given, "job": Job(**given["job"])})


@dataclass
class Tally:
    """What became of a part's items.

    values      one a position: the activity's result, None where there is none
    failed      `[position, error, attempts]` of each item that failed for good
    tries       `[position, attempts]` of each item that succeeded after more than one
    undone      `[start, stop)` ranges never started, in order
    stop        why there are such: "failures", "timeout", "told" (by the part above); or "slow", "full", which
                only mean that they should be handed out anew; None if there are none
    cut         how many of `failed` would have been tried again if nothing had stopped the part
    seconds     from the part's first turn to its last
    way         how a section has found its items to be worked off best: "waves" or "lanes"
    told        `[succeeded, failed]` already reported to the map's ledger
    """

    values: list[Any]
    failed: list[tuple[int, str, int]] = field(default_factory=list)
    tries: list[tuple[int, int]] = field(default_factory=list)
    undone: list[tuple[int, int]] = field(default_factory=list)
    stop: str | None = None
    cut: int = 0
    seconds: float = 0.0
    way: str | None = None
    told: tuple[int, int] = (0, 0)

    @property
    def not_started(self) -> int:
        return sum(stop - start for start, stop in self.undone)

    @property
    def succeeded(self) -> int:
        return len(self.values) - len(self.failed) - self.not_started

    def absorb(self, start: int, part: Tally) -> None:
        """Take over what `part` did with the items from `start` on; what it left undone is not taken."""
        self.values[start : start + len(part.values)] = part.values
        self.failed += [(start + position, error, tries) for position, error, tries in part.failed]
        self.tries += [(start + position, tries) for position, tries in part.tries]
        self.cut += part.cut

    def to_output(self) -> dict[str, Any]:
        """As plain JSON values. An orchestration cannot return objects of one's own class (the extension
        refuses what `json` alone cannot write), an activity can: they travel as the SDK writes them."""
        output = vars(self)
        try:
            json.dumps(self.values)
        except TypeError:
            output = {**output, "values": json.loads(df_dumps(self.values))}
        return output

    @classmethod
    def of(cls, output: dict[str, Any]) -> Tally:
        return cls(**output)

    @classmethod
    def lost(cls, count: int, error: str) -> Tally:
        """Of a part that ended without a word, because somebody terminated it."""
        return cls([None] * count, failed=[(position, error, 0) for position in range(count)])


class Supply:
    """The positions that are still to be handed out, as ranges in order."""

    def __init__(self, count: int) -> None:
        self._ranges: deque[tuple[int, int]] = deque([(0, count)] if count else [])
        self.left = count

    def take(self, most: int) -> tuple[int, int]:
        """`(start, count)` of the next at most `most` positions that follow each other."""
        start, stop = self._ranges.popleft()
        count = min(most, stop - start)
        if start + count < stop:
            self._ranges.appendleft((start + count, stop))
        self.left -= count
        return start, count

    def put_back(self, ranges: list[tuple[int, int]]) -> None:
        """What a part left undone is next again."""
        self._ranges.extendleft((start, stop) for start, stop in reversed(ranges))
        self.left += sum(stop - start for start, stop in ranges)

    def rest(self) -> Iterator[tuple[int, int]]:
        """The ranges left, in order of position, those that touch joined."""
        joined: list[tuple[int, int]] = []
        for start, stop in sorted(self._ranges):
            if joined and joined[-1][1] == start:
                joined[-1] = (joined[-1][0], stop)
            else:
                joined.append((start, stop))
        return iter(joined)
