"""The episodes that run or wait for a thread: how many may, and what to do about code that does not come back.

An orchestrator is meant to yield after a moment. One that blocks, or loops for ever, must stop nobody else: its
thread is given up and replaced, its place is free again as soon as its instance is terminated.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from dfhost.app.threads import UserThreads
from dfhost.host_log import HostLog

_LOOK = 0.25  # seconds between two looks
_LONG = 5.0  # seconds after which an episode is worth a word


class Running(Protocol):
    """An instance with an episode; `episode_at` is the time when it began, 0 while it waits for a thread."""

    instance_id: str
    name: str
    episode_at: float


class EpisodeLimiter:
    """To be used on the loop; `limit` is host.json's."""

    def __init__(self, pool: UserThreads, log: HostLog, limit: int) -> None:
        self._pool = pool
        self._log = log
        self._limit = max(1, limit)
        self._episodes: dict[int, Running] = {}  # by id(), oldest first
        self._waited: Running | None = None  # who waited longest at the last look
        self._next_look: asyncio.TimerHandle | None = None
        self._told: set[str] = set()

    def __len__(self) -> int:
        return len(self._episodes)

    @property
    def full(self) -> bool:
        return len(self._episodes) >= self._limit

    def add(self, episode: Running) -> None:
        self._episodes[id(episode)] = episode
        if self._next_look is None:
            self._next_look = asyncio.get_running_loop().call_later(_LOOK, self._look)

    def remove(self, episode: Running) -> None:
        """It is over, or nobody waits for it any more."""
        self._episodes.pop(id(episode), None)

    def _look(self) -> None:
        self._next_look = None
        if not self._episodes:
            return
        waiting = next((each for each in self._episodes.values() if not each.episode_at), None)
        if waiting is not None and waiting is self._waited:  # nobody has come to an end meanwhile
            self._pool.add_thread()
        self._waited = waiting
        for each in self._episodes.values():
            if each.episode_at and time.time() - each.episode_at > _LONG and each.name not in self._told:
                self._told.add(each.name)
                self._log.note(
                    f"{each.name}: its code has been running for {_LONG:.0f} s without a yield (instance "
                    f"{each.instance_id}). An orchestrator must neither block nor loop for ever; such work belongs "
                    "in an activity. Until it yields the instance hears of nothing, but it can be terminated."
                )
        self._next_look = asyncio.get_running_loop().call_later(_LOOK, self._look)
