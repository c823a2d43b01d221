"""What a part of a map is given (`Part`) and what it gives back (`Tally`), both as JSON. Pure.

A part is a section, a lane or a batch: see plan.py. Positions count from 0 within the part; an `index` is an
item's place in the whole map.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from azure.durable_functions.models.utils.df_serialization import df_dumps


@dataclass(frozen=True)
class Job:
    """What is the same for every part of a map.

    map_id      whose map it is; goes to activities that want it
    activity    the activity's name; `envelope`: it wants `{"item", "index", "map_id"}`, not the bare item
    attempts    how often an item is tried at most; `pause`: seconds between two tries
    bound       items in flight over the whole map, 0 for no bound
    batch       items that start together, if the caller wants a say in it, else None
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

    at          the index of each item
    slots       items this part may have in flight
    patience    the failure budget: more failures, and it returns what is left. None: any number
    final       whether more failures than that are too many for the whole map, and not just for this part
    """

    job: Job
    items: list[Any]
    at: list[int]
    slots: int
    patience: int | None
    final: bool

    def child(self, positions: Sequence[int], slots: int, failures: int, siblings: int) -> Part:
        """The part for some of the items. What is left of the budget after `failures` is shared by `siblings`."""
        left = share = None
        if self.patience is not None:
            left = max(0, self.patience - failures)
            share = left // siblings
        return replace(
            self,
            items=[self.items[position] for position in positions],
            at=[self.at[position] for position in positions],
            slots=slots,
            patience=share,
            final=self.final and share == left,
        )

    def given(self, position: int) -> Any:
        """What the activity gets for an item."""
        item = self.items[position]
        if not self.job.envelope:
            return item
        return {"item": item, "index": self.at[position], "map_id": self.job.map_id}

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
    stop        what ended the part before its time: "failures", "timeout" or "told"
    cut         how many of `failed` would have been tried again if nothing had stopped the part
    told        `[succeeded, failed]` already reported to the map's ledger
    """

    values: list[Any]
    failed: list[tuple[int, str, int]] = field(default_factory=list)
    tries: list[tuple[int, int]] = field(default_factory=list)
    undone: list[tuple[int, int]] = field(default_factory=list)
    stop: str | None = None
    cut: int = 0
    told: tuple[int, int] = (0, 0)

    @property
    def not_started(self) -> int:
        return sum(stop - start for start, stop in self.undone)

    @property
    def succeeded(self) -> int:
        return len(self.values) - len(self.failed) - self.not_started

    def absorb(self, positions: Sequence[int], child: Tally) -> list[int]:
        """Take over what a child did with the items at `positions`; which of them it has not started."""
        for position, value in zip(positions, child.values, strict=True):
            self.values[position] = value
        self.failed += [(positions[place], error, tries) for place, error, tries in child.failed]
        self.tries += [(positions[place], tries) for place, tries in child.tries]
        self.cut += child.cut
        return [positions[place] for start, stop in child.undone for place in range(start, stop)]

    def exceeds(self, patience: int | None) -> bool:
        return patience is not None and len(self.failed) > patience

    def ended(
        self, stop: str | None, undone: list[tuple[int, int]], patience: int | None, told: tuple[int, int]
    ) -> Tally:
        """`stop`: what kept the part from doing all it was given; too many failures count even if nothing did."""
        self.stop = stop or ("failures" if self.exceeds(patience) else None)
        self.undone, self.told = undone, told
        return self

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
        return cls(**{each.name: output[each.name] for each in fields(cls)})

    @classmethod
    def lost(cls, count: int, error: str) -> Tally:
        """Of a part that ended without a word, because somebody terminated it."""
        return cls([None] * count, failed=[(position, error, 0) for position in range(count)])


def ranges(positions: Iterable[int]) -> list[tuple[int, int]]:
    """`[0, 1, 2, 7]` → `[(0, 3), (7, 8)]`."""
    found: list[tuple[int, int]] = []
    for position in sorted(positions):
        if found and found[-1][1] == position:
            found[-1] = (found[-1][0], position + 1)
        else:
            found.append((position, position + 1))
    return found
