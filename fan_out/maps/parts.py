"""What a part of a map is given (`Part`) and gives back (`Tally`), both as JSON. Pure.

Positions count from 0 within the part; an `index` is an item's place in the whole map.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from azure.durable_functions.models.utils.df_serialization import df_dumps

from fan_out.maps.plan import Share


@dataclass(frozen=True)
class Part:
    """Some of the items, and what may be done with them. The first eight are the same for every part of a map."""

    map_id: str
    activity: str
    envelope: bool  # whether the activity gets `{"item", "index", "map_id"}`, not the bare item
    attempts: int  # tries of an item at most
    pause: float  # seconds between two tries
    batch: int | None  # items that start together, if the caller wants a say in it
    deadline: str | None  # ISO time after which no item is started
    total: int  # items in the whole map
    items: list[Any]
    at: list[int]  # the index of each
    slots: int  # items in flight
    patience: int | None  # the failure budget: with more failures it returns what is left. None: any number
    final: bool  # whether more failures than that are too many for the whole map, and not just for this part

    def child(self, share: Share, failures: int, siblings: int) -> dict[str, Any]:
        """The input of one of `siblings` shares, which divide what `failures` have left of the budget."""
        left = None if self.patience is None else max(0, self.patience - failures)
        patience = None if left is None else left // siblings
        part = replace(
            self,
            items=[self.items[position] for position in share.positions],
            at=[self.at[position] for position in share.positions],
            slots=share.slots,
            patience=patience,
            final=self.final and patience == left,
        )
        return vars(part)

    def given(self, position: int) -> Any:
        """What the activity gets for an item."""
        item = self.items[position]
        return {"item": item, "index": self.at[position], "map_id": self.map_id} if self.envelope else item


@dataclass
class Tally:
    """What became of a part's items."""

    values: list[Any]  # one a position: the activity's result, None where there is none
    failed: list[tuple[int, str, int]] = field(default_factory=list)  # position, error, attempts
    tries: list[tuple[int, int]] = field(
        default_factory=list
    )  # position, attempts of what took more than one
    undone: list[int] = field(default_factory=list)  # positions never started, in order
    stop: str | None = None  # what ended the part before its time: "failures", "timeout" or "told"
    cut: int = 0  # how many of `failed` would have been tried again if nothing had stopped the part
    told: tuple[int, int] = (0, 0)  # succeeded and failed, as already reported to the map's ledger

    @property
    def succeeded(self) -> int:
        return len(self.values) - len(self.failed) - len(self.undone)

    def too_many(self, patience: int | None) -> str | None:
        return "failures" if patience is not None and len(self.failed) > patience else None

    def absorb(self, positions: Sequence[int], child: Tally) -> list[int]:
        """Take over what a child did with the items at `positions`; which of them it has not started."""
        for position, value in zip(positions, child.values, strict=True):
            self.values[position] = value
        self.failed += [(positions[place], error, tries) for place, error, tries in child.failed]
        self.tries += [(positions[place], tries) for place, tries in child.tries]
        self.cut += child.cut
        return [positions[place] for place in child.undone]

    def to_output(self) -> dict[str, Any]:
        """As plain JSON. The extension refuses objects of one's own class in an orchestration's output, which an
        activity may return: they travel as the SDK writes them."""
        try:
            json.dumps(self.values)
        except TypeError:
            return {**vars(self), "values": json.loads(df_dumps(self.values))}
        return vars(self)

    @classmethod
    def of(cls, output: dict[str, Any]) -> Tally:
        return cls(**{each.name: output[each.name] for each in fields(cls)})

    @classmethod
    def lost(cls, count: int, error: str) -> Tally:
        """Of a part that ended without a word, because somebody terminated it."""
        return cls([None] * count, failed=[(position, error, 0) for position in range(count)])
