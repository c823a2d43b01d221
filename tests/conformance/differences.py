"""Where dfhost differs from the extension on purpose, and what it answers instead.

Each entry is the recording with exactly those places changed that differ, so everything else in the scenario
is still held to the recording. The README lists the reasons for users.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Difference:
    """`reason`: why dfhost does better to differ. `change`: turns the recording into what it answers."""

    reason: str
    change: Callable[[Any], None]

    def instead_of(self, recorded: Any) -> Any:
        expected = copy.deepcopy(recorded)
        self.change(expected)
        return expected


DIFFERENCES: dict[str, Difference] = {}
