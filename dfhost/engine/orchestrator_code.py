"""What the code of one execution asks for, given its history: by a replay, or by its generator that was kept.

A replay costs as much as the history is long, in events or in characters. So the generator of a long one is kept, and
an episode gives it only what is new. It is a cache: whenever it is missing, the history is replayed. Code that is not
deterministic must fail here as on Azure, which replays in every episode. So the history is also replayed in full each
time it has grown fourfold since the last replay, and when the code has ended, before that is committed. If the replay
and the generator differ, the replay decides.

What the answers mean is `Execution`'s part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dfhost.engine import history as h
from dfhost.engine.actions import Action
from dfhost.engine.execution_info import ExecutionInfo
from dfhost.engine.options import EngineOptions
from dfhost.engine.replay_result import GeneratorLost, KeptGenerator, ReplayResult

#: Asks the SDK: the orchestration trigger's JSON -> the result. The second argument: whether the result is to have
#: the generator (`ReplayResult.generator`), if that may be kept.
Replay = Callable[[str, bool], ReplayResult]

# So much text costs a replay as much as one event more: 24 ns a character, 9 us an event. Ordinary events have less.
_CHARACTERS_LIKE_AN_EVENT = 400
# With 2, a chain of 1,000 steps spent half of its time in replays; with 4 it spends a third.
_GROWTH = 4


class OrchestratorCode:
    """The history of one execution, and its generator if that is kept. `text_length`: the history's characters."""

    def __init__(self) -> None:
        self._history: list[str] = []  # the events as JSON
        self.text_length = 0
        self._generator: KeptGenerator | None = None
        self._processed_events = 0  # of the history, by the generator
        self._replay_at = 0  # the length from which on a replay takes the generator's place

    def append(self, texts: Sequence[str]) -> None:
        """These events belong to the history from now on."""
        self._history += texts
        self.text_length += sum(map(len, texts))

    def ask(
        self,
        arrived: Sequence[str],
        info: ExecutionInfo,
        known_actions: Sequence[Action],
        replay: Replay,
        options: EngineOptions,
    ) -> ReplayResult:
        """What it asks for after the history and what has `arrived`.

        `known_actions`: those that it has asked for before. If nothing has arrived, continue-as-new has just begun
        the history, and all of it is new.
        """
        length = self._length(arrived)
        result = self._go_on(arrived, length)
        if result is not None and self._is_confirmed(result, info, known_actions, replay, options):
            return result
        texts = [*self._history, *arrived]
        if not arrived:
            texts = [h.as_unplayed(text) for text in texts]
        self.drop_generator()
        # Without arrivals it is not kept: it has taken events for new that count as played from now on.
        keeps_generator = bool(arrived) and _is_worth_keeping(length, options)
        result = replay(info.trigger(texts, bool(arrived and self._history), options), keeps_generator)
        self._keep(result, len(texts), length)
        return result

    def ask_again(self, info: ExecutionInfo, replay: Replay, options: EngineOptions) -> ReplayResult:
        """What it asks for after the history alone."""
        length = self._length()
        result = replay(info.trigger(self._history, True, options), _is_worth_keeping(length, options))
        self._keep(result, len(self._history), length)
        return result

    @property
    def generator_length(self) -> int:
        """What a replay would cost, counted in events, in place of the generator that is kept; 0 if none is."""
        return 0 if self._generator is None else self._length()

    def drop_generator(self) -> None:
        """The next answer is that of a replay."""
        self._generator = None

    def _length(self, arrived: Sequence[str] = ()) -> int:
        """What a replay costs, counted in events."""
        characters = self.text_length + sum(map(len, arrived))
        return max(len(self._history) + len(arrived), characters // _CHARACTERS_LIKE_AN_EVENT)

    def _keep(self, result: ReplayResult, events: int, length: int) -> None:
        """Keep the result's generator, if it has one. `events`: how many were replayed; `length`: what that cost."""
        self._generator, result.generator = result.generator, None
        self._processed_events, self._replay_at = events, _GROWTH * length

    def _go_on(self, arrived: Sequence[str], length: int) -> ReplayResult | None:
        """The generator's own next step. None if it is not there, or if it is time for a replay."""
        if self._generator is None or length >= self._replay_at:
            return None
        try:
            result = self._generator.go_on([*self._history[self._processed_events :], *arrived])
        except GeneratorLost:
            return None
        self._processed_events = len(self._history) + len(arrived)
        self._generator, result.generator = result.generator, None
        return result

    def _is_confirmed(
        self,
        result: ReplayResult,
        info: ExecutionInfo,
        known_actions: Sequence[Action],
        replay: Replay,
        options: EngineOptions,
    ) -> bool:
        """Whether the generator's result stands; else a replay decides."""
        if result.no_answer is not None:  # there is nothing to confirm
            return True
        if result.crash is not None:
            return False
        if not result.has_ended:
            return True
        past = replay(info.trigger(self._history, True, options), False)
        return past.is_usable and not past.has_ended and past.actions == known_actions


def _is_worth_keeping(length: int, options: EngineOptions) -> bool:
    return options.keep_generator_from is not None and length >= options.keep_generator_from
