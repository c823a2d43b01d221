"""The decision whether an arrival is worth a replay.

Replays are what costs: each one processes the whole history. The SDK has said what its generator is parked at, so
arrivals can lie in the inbox until that is complete, and retries go on without the user's code. The dispatcher asks
the gate at every arrival. When a replay that is worth it runs is the dispatcher's own decision (`EpisodeDelays`).
"""

from __future__ import annotations

from enum import IntEnum

from dfhost.engine import actions as act
from dfhost.engine import history as h
from dfhost.engine.history import Event
from dfhost.engine.interpreter import ActionInterpreter
from dfhost.engine.replay_result import ReplayResult


class ReplayNeed(IntEnum):
    """What an arrival asks for."""

    NONE = 0  # it can lie in the inbox: nothing waits for it, or not for it alone
    ENGINE = 1  # an episode without a replay: a retry, or the end of the last open task
    REPLAY = 2  # an episode with a replay: the user's code may go on


class ReplayGate:
    """Knows what must arrive before the newest replay's result can change."""

    def __init__(self) -> None:
        self._interpreter = ActionInterpreter()
        self._result: ReplayResult | None = None
        # Task ids (of a retried call the first) and event names; once the code has ended, the keys of open tasks.
        self._not_arrived: set[int | str] = set()

    def reset(self, interpreter: ActionInterpreter, result: ReplayResult) -> None:
        """`result` is the newest replay's; `interpreter` has worked off its actions."""
        self._interpreter, self._result = interpreter, result
        if result.has_ended:
            self._not_arrived = {key for key, _ in interpreter.blocking_tasks()}
        else:
            self._not_arrived = set(result.awaited.keys) if result.awaited else set()

    def need_after(self, event: Event) -> ReplayNeed:
        """What the arrival of `event` asks for. To be called once for each, before the episode that processes it.

        In case of doubt: REPLAY.
        """
        result, interpreter = self._result, self._interpreter
        if result is None or event.event_type not in h.AWAITABLE:
            return ReplayNeed.REPLAY
        task = interpreter.open_tasks.get(event.key)
        is_retried = task is not None and task.action_type in act.WITH_RETRY
        if result.has_ended:
            self._not_arrived.discard(event.key)
            may_complete = not self._not_arrived or not interpreter.all_done
            return ReplayNeed.ENGINE if is_retried or may_complete else ReplayNeed.NONE
        if result.awaited is None or interpreter.is_suspended or not interpreter.all_started:
            return ReplayNeed.REPLAY
        failed = event.event_type in h.FAILURES
        if task is None:  # an external event, a cancelled timer, or the end of a task that is no longer open
            key: int | str = event.key
        elif is_retried and (failed or (task.awaits_retry_timer and not task.is_last_attempt)):
            return ReplayNeed.ENGINE  # first comes the retry's timer, or its next attempt
        else:
            key = task.first_id
        if key not in self._not_arrived:
            return ReplayNeed.NONE
        self._not_arrived.discard(key)
        all_arrived = not self._not_arrived or not result.awaited.needs_all
        retries_are_spent = task is not None and task.awaits_retry_timer
        return ReplayNeed.REPLAY if failed or all_arrived or retries_are_spent else ReplayNeed.NONE

    def awaits(self, name: str) -> bool:
        """Whether the code waits for an event of this name, and none has come. To the code case matters."""
        return name in self._not_arrived

    def may_gather_more(self, arrived: int) -> bool:
        """Whether an episode could process more messages if it waited, given that `arrived` have come.

        False in each of three cases: nothing was replayed yet; all of the task_all that the code waits for has
        arrived; everything that is open has arrived.
        """
        if self._result is None:
            return False
        awaited = self._result.awaited
        if awaited is not None and awaited.needs_all and len(awaited.keys) > 1 and not self._not_arrived:
            return False
        return arrived < self._interpreter.blocking_count
