"""What dfhost's front answers otherwise than the real host, on purpose: each cause with its reason and its exchanges.

A cause says for each exchange what comes instead: a status code, `SILENCE` and the like for no answer, or a function
that turns the recorded answer into dfhost's. Every answer that is not listed here has to be the recorded one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.front.exchanges import Answer

Instead = str | Callable[[Answer], object]


@dataclass(frozen=True)
class Cause:
    """`exchanges`: by scenario, then by ask (or its beginning and ``*``), what dfhost answers instead."""

    reason: str
    exchanges: Mapping[str, Mapping[str, Instead]]


def find_cause(scenario: str, ask: str) -> tuple[Cause, Instead] | None:
    for cause in CAUSES:
        for key, instead in cause.exchanges.get(scenario, {}).items():
            if ask == key or (key.endswith("*") and ask.startswith(key[:-1])):
                return cause, instead
    return None


def is_as_listed(instead: Instead, recorded: Answer, seen: Answer) -> bool:
    """Whether `seen` is what the cause announces, and not what was recorded."""
    if seen == recorded:
        return False
    if isinstance(instead, str):
        return instead == (seen["status"].split(" ")[1] if "status" in seen else seen["nothing"])
    expected = copy.deepcopy(recorded)
    instead(expected)
    return expected == seen


CAUSES: tuple[Cause, ...] = ()
