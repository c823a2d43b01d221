"""Says which waiting instances the app's code does not fit, after a start and after each reload.

Else nobody would learn it until their next episode, which may be days away.
Replays what is stored, and changes nothing: an instance that does not fit fails in its next episode, as on Azure.
It checks instances of all orchestrators in turn, the newest of each first, for a short time. Episodes go before it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from dfhost.background_tasks import BackgroundTasks
from dfhost.engine import history as h
from dfhost.engine.execution import Execution
from dfhost.engine.options import EngineOptions
from dfhost.engine.orchestrator_code import Replay
from dfhost.engine.replay_result import ReplayResult
from dfhost.errors import HostError
from dfhost.host_log import HostLog
from dfhost.short_id import short_id
from dfhost.store.store import Store
from dfhost.thread_pool import ThreadPool

_MOST = 1_000  # instances
_SECONDS = 3.0  # of replays; no more begin after that
_LONGEST_PAUSE = 10.0  # seconds for episodes, in all: a host that is always busy is checked as well
_PAUSE = 0.02  # between two looks
_SLOW_SECONDS = 5.0  # for one replay
_LISTED = 5  # ids and groups in a note; more are counted

#: The orchestrator, and how its code and the history differ.
_Misfit = tuple[str, str]
_Replayed = tuple[Execution, ReplayResult]


class HistoryCheck:
    """To be used on the host's loop; replays in one of the `threads`.

    `replay_of`: how an orchestrator is replayed, by its name and the instance's id; None if the app has no such one.
    `is_running`: whether code of the instance runs now, so that its next episode finds a difference by itself.
    `has_episodes`: whether any episode runs or waits to run.
    """

    def __init__(
        self,
        store: Store,
        log: HostLog,
        threads: ThreadPool,
        options: EngineOptions,
        replay_of: Callable[[str, str], Replay | None],
        is_running: Callable[[str], bool],
        has_episodes: Callable[[], bool],
    ) -> None:
        self._store = store
        self._log = log
        self._threads = threads
        self._options = replace(options, keep_generator_from=None)
        self._replay_of = replay_of
        self._is_running = is_running
        self._has_episodes = has_episodes
        self._tasks = BackgroundTasks()
        self._reported: dict[str, _Misfit] = {}  # by instance id

    def begin(self) -> None:
        """The app was loaded. A check that is under way is given up."""
        self._tasks.cancel()
        self._tasks.start(self._check_and_report())

    def cancel(self) -> None:
        self._tasks.cancel()

    async def _check_and_report(self) -> None:
        with suppress(HostError):  # the file cannot be read, and the host stops
            await self._check()

    async def _check(self) -> None:
        self._pause_left = _LONGEST_PAUSE
        await self._make_way(0.0)
        instances = await self._store.newest_open_instances(_MOST)
        seconds_left = _SECONDS
        misfits: dict[str, _Misfit] = {}
        checked = 0
        for name, instance_id in instances:
            if seconds_left < 0:
                break
            began = time.monotonic()
            replay = None if self._is_running(instance_id) else self._replay_of(name, instance_id)
            history = () if replay is None else self._stored_history(instance_id)
            if replay is not None and history:
                replayed = await self._replay_in_time(name, instance_id, history, replay)
                # Code that hangs or has ended its worker process may do so for the next instance, too.
                if replayed is None or replayed[1].no_answer is not None:
                    break
                if (misfit := replayed[0].misfit) is not None:
                    misfits[instance_id] = name, misfit
            checked += 1
            seconds_left -= (took := time.monotonic() - began)
            await self._make_way(took)
        self._report(misfits, checked)

    async def _make_way(self, seconds: float) -> None:
        """Leave the processor to others for so long, and then until all episodes have run."""
        await asyncio.sleep(seconds)
        while self._has_episodes() and self._pause_left > 0:
            await asyncio.sleep(_PAUSE)
            self._pause_left -= _PAUSE

    async def _replay_in_time(
        self, name: str, instance_id: str, history: Sequence[str], replay: Replay
    ) -> _Replayed | None:
        """None if the code does not return soon."""
        replaying = asyncio.ensure_future(self._threads.run(partial(self._replay, history, replay)))
        await asyncio.wait({replaying}, timeout=_SLOW_SECONDS)
        if replaying.done():
            return await replaying
        self._log.note(
            f"{name}: its code has been running for {_SLOW_SECONDS:.0f} s without a yield. It was replayed to see "
            f"whether it still fits {short_id(instance_id)}; nothing else is checked."
        )
        return None

    def _stored_history(self, instance_id: str) -> Sequence[str]:
        """Empty if there is nothing to check. It is read on the loop, as no other thread may use the connection."""
        try:
            stored = self._store.load_instance(instance_id)
        except HostError:
            raise
        except Exception:  # as below
            return ()
        if stored is None or stored.row.has_ended or stored.needs_episode:
            return ()
        return stored.history

    def _replay(self, history: Sequence[str], replay: Replay) -> _Replayed:
        try:
            execution = Execution(map(h.parse, history))
            return execution, execution.replay_history(replay, self._options)
        except Exception:  # a history that cannot be read is reported when its instance is loaded
            return Execution(), ReplayResult()

    def _report(self, misfits: dict[str, _Misfit], checked: int) -> None:
        """What an earlier check has reported is not repeated."""
        before, self._reported = self._reported, misfits
        groups: dict[_Misfit, list[str]] = {}
        for instance_id, misfit in misfits.items():
            if before.get(instance_id) != misfit:
                groups.setdefault(misfit, []).append(instance_id)
        for (name, difference), instance_ids in list(groups.items())[:_LISTED]:
            self._log.note(f"{_not_fitting(name, instance_ids)} {difference}")
        if groups and (left := self._store.open_instances() - checked) > 0:
            self._log.note(
                f"The newest {checked:,} unfinished instances were checked, {left:,} others were not."
            )


def _not_fitting(name: str, instance_ids: Sequence[str]) -> str:
    """ "The code of approval no longer fits order-1, which fails at its next step unless it is changed back." """
    shown = ", ".join(map(short_id, instance_ids[:_LISTED]))
    if (more := len(instance_ids) - _LISTED) > 0:
        shown += f" and {more:,} more"
    if len(instance_ids) == 1:
        return f"The code of {name} no longer fits {shown}, which fails at its next step unless it is changed back."
    return (
        f"The code of {name} no longer fits {len(instance_ids):,} waiting instances, which fail at their next step "
        f"unless it is changed back: {shown}."
    )
