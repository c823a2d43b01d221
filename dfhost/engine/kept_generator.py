"""When the generator of a long history is kept, when it goes on, and when a replay decides.

A replay costs as much as the history is long, in events or in characters. So the generator of a long one is kept, and
an episode gives it only what is new. It is a cache: whenever it is missing, the history is replayed. Code that is not
deterministic must fail here as on Azure, which replays in every episode. So the history is also replayed in full each
time it has grown fourfold since the last replay, and when the code has ended, before that is committed
(`Execution._is_confirmed`). If the replay and the generator differ, the replay decides.
"""

from __future__ import annotations

from collections.abc import Sequence

from dfhost.engine.options import EngineOptions
from dfhost.engine.replay_result import GeneratorLost, KeptGenerator, ReplayResult

# So much text costs a replay as much as one event more: 24 ns a character, 9 us an event. Ordinary events have less.
_CHARACTERS_LIKE_AN_EVENT = 400
# With 2, a chain of 1,000 steps spent half of its time in replays; with 4 it spends a third.
_GROWTH = 4


def replay_length(events: int, characters: int) -> int:
    """What a replay of a history costs, counted in events."""
    return max(events, characters // _CHARACTERS_LIKE_AN_EVENT)


def is_worth_keeping(length: int, options: EngineOptions) -> bool:
    """`length`: the `replay_length` of the history."""
    return options.keep_generator_from is not None and length >= options.keep_generator_from


class GeneratorSlot:
    """The generator of one execution, or none."""

    def __init__(self) -> None:
        self._generator: KeptGenerator | None = None
        self._processed_events = 0  # of the history
        self._replay_at = 0  # the `replay_length` from which on a replay takes the generator's place

    @property
    def is_empty(self) -> bool:
        return self._generator is None

    def keep(self, result: ReplayResult, events: int, length: int) -> None:
        """Keep the result's generator, if it has one. `events`: how many were replayed; `length`: what that cost."""
        self._generator, result.generator = result.generator, None
        self._processed_events, self._replay_at = events, _GROWTH * length

    def drop(self) -> None:
        self._generator = None

    def go_on(self, history: Sequence[str], arrived: Sequence[str], length: int) -> ReplayResult | None:
        """The generator's own next step. None if it is not there, or if it is time for a replay.

        `history` and `arrived`: the texts of the events; `length`: what a replay of all of them costs.
        """
        if self._generator is None or length >= self._replay_at:
            return None
        try:
            result = self._generator.go_on([*history[self._processed_events :], *arrived])
        except GeneratorLost:
            return None
        self._processed_events = len(history) + len(arrived)
        self._generator, result.generator = result.generator, None
        return result
