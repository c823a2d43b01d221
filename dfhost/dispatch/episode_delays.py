"""`EpisodeDelays`: whether an episode that messages ask for runs at once, or after more of them have gathered.

An episode costs the same for one message as for many, and one with a replay costs as much as the history is long. So
an instance spends no more time on episodes than on the work that they wait for: the next one begins no earlier after
the last than that took. Then it is put off as long as more messages come, within limits.

Whether messages ask for an episode is the replay gate's answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from dfhost.dispatch.instance_cache import LoadedInstance
from dfhost.engine.replay_gate import ReplayNeed

_CHEAP = 0.002  # seconds; an instance whose last episode took less is never delayed
# Seconds without a message that show that no others are about to come. A worker passes on its results each
# millisecond: 100 activities that end together come in several portions, and each would lead to a replay of all.
_LULL = 0.001
_LONGEST = 3  # times what the last episode took, while messages come
_ENGINE_COST = 0.006  # seconds; an episode without a replay counts as no more, however long the history is


class EpisodeDelays:
    """`run` is called with an instance when its delay is over, on `loop`."""

    def __init__(self, run: Callable[[LoadedInstance], None], loop: asyncio.AbstractEventLoop) -> None:
        self._run = run
        self._loop = loop
        self._delayed: set[str] = set()

    def __len__(self) -> int:
        """How many instances are delayed."""
        return len(self._delayed)

    def applies_to(self, instance: LoadedInstance) -> bool:
        """Whether the episode that the instance's messages ask for is put off."""
        if not instance.execution.gate.may_gather_more(len(instance.messages)):
            return False
        if instance.delayed_episode is None and (cost := _cost(instance)):
            self._delayed.add(instance.instance_id)
            self._look_after(max(_LULL, cost - self._since_last(instance)), instance)
        return instance.delayed_episode is not None

    def cancel(self, instance: LoadedInstance) -> None:
        """Whether it is delayed or not."""
        if instance.delayed_episode is not None:
            instance.delayed_episode.cancel()
            instance.delayed_episode = None
            self._delayed.discard(instance.instance_id)

    def _look_after(self, seconds: float, instance: LoadedInstance) -> None:
        messages = len(instance.messages)
        instance.delayed_episode = self._loop.call_later(seconds, self._look, instance, messages)

    def _look(self, instance: LoadedInstance, messages_before: int) -> None:
        may_last = self._since_last(instance) < _LONGEST * _cost(instance)
        if may_last and len(instance.messages) > messages_before:
            self._look_after(_LULL, instance)
        else:
            self.cancel(instance)
            self._run(instance)

    def _since_last(self, instance: LoadedInstance) -> float:
        """Seconds since its last episode was committed."""
        return self._loop.time() - instance.last_episode_at


def _cost(instance: LoadedInstance) -> float:
    """Seconds that the episode will take, going by the last one; 0 if it is cheap."""
    seconds = instance.last_episode_seconds
    if seconds < _CHEAP:
        return 0.0
    return seconds if instance.replay_need is ReplayNeed.REPLAY else min(seconds, _ENGINE_COST)
