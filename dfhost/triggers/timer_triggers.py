"""Runs an app's timer functions on their schedules.

Each function has a task that sleeps until its next occurrence. As in the Functions host, a timer never overlaps
itself: occurrences during a run are skipped. Unlike there, nothing is kept across restarts, so an occurrence that
was missed while the host was down is not made up for.

When the app is loaded again, every function gets a new task, and `run_on_startup` counts again: the Functions host
restarts then. A run that is under way ends first.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from itertools import pairwise

from dfhost.clock import Clock
from dfhost.host_log import HostLog
from dfhost.idle_signal import nobody_waits
from dfhost.runner.app_runner import AppRunner, FunctionCall, TimerOccurrence
from dfhost.runner.functions import AppInfo, FunctionInfo
from dfhost.runner.invoke import invoke_function
from dfhost.settings.app_settings import resolve_app_settings, shown_resolved
from dfhost.triggers.schedule import Schedule, parse_schedule, time_zone

_PAST_DUE_AFTER = timedelta(seconds=30)  # means a machine that slept, not an event loop that was busy


@dataclass(frozen=True, slots=True)
class _TimerTrigger:
    function: FunctionInfo
    schedule: Schedule
    run_on_startup: bool
    monitored: bool  # the function sees when it ran last and will run next


def _is_frequent(schedule: Schedule, now: datetime) -> bool:
    """Whether it comes more than once a minute: the Functions host does not monitor such a timer.

    It looks at the next five occurrences (TimerSchedule).
    """
    try:
        occurrences = [now := schedule(now) for _ in range(5)]
    except ValueError:  # there are no more
        return False
    return any(later - earlier < timedelta(minutes=1) for earlier, later in pairwise(occurrences))


def next_runs(app: AppInfo, now: datetime) -> dict[str, datetime]:
    """When each timer function is due next on its schedule, by its name; without those that never are."""
    found: dict[str, datetime] = {}
    zone: tzinfo = timezone.utc
    with suppress(ValueError):
        zone = _zone()
    for function in app.timers:
        with suppress(ValueError):
            found[function.name] = _schedule_of(function, zone)(now)
    return found


def shown_schedule(function: FunctionInfo) -> str:
    """As a person is to read it: with what app settings it names."""
    return shown_resolved(function.trigger.get("schedule"))


def _schedule_of(function: FunctionInfo, zone: tzinfo) -> Schedule:
    """ValueError if it cannot be read."""
    return parse_schedule(resolve_app_settings(str(function.trigger.get("schedule", ""))), zone)


def _zone() -> tzinfo:
    """Of the schedules. ValueError if there is no such zone."""
    return time_zone(os.environ.get("WEBSITE_TIME_ZONE", ""))


class TimerTriggers:
    """Runs the timer functions between `start` and `stop`."""

    def __init__(
        self,
        runner: AppRunner,
        log: HostLog,
        clock: Clock,
        timeout: float | None = None,
    ) -> None:
        self._runner = runner
        self._log = log
        self._clock = clock
        self._timeout = timeout
        self._tasks: dict[str, asyncio.Task[None]] = {}  # by function
        self._outdated: set[asyncio.Task[None]] = set()  # runs of timers as they were before a reload
        self._sleeping: dict[str, float] = {}  # timer functions, with the time until which they sleep
        self._last: dict[str, datetime] = {}  # the occurrence for which a function ran last
        self._stopped = False
        self.on_end = nobody_waits  # see `IdleSignal.changed`
        self._read(runner.app)

    def _read(self, app: AppInfo) -> None:
        zone = self._read_zone() if app.timers else timezone.utc
        self._timers = [timer for function in app.timers if (timer := self._read_trigger(function, zone))]

    def start(self) -> None:
        """Call this on the host loop."""
        before, self._tasks = self._tasks, {}
        for timer in self._timers:
            name = timer.function.name
            self._tasks[name] = asyncio.create_task(self._run_timer(timer, before.get(name)))

    def change_app(self, app: AppInfo) -> None:
        """The app was loaded again."""
        if self._stopped:
            return
        now = self._clock.time()
        for name, task in self._tasks.items():
            if self._sleeping.get(name, now) > now:  # else it is due at this moment, or runs
                del self._sleeping[name]
                task.cancel()
            self._outdated.add(task)
            task.add_done_callback(self._outdated.discard)
        self._read(app)
        self.start()

    @property
    def unfinished(self) -> int:
        """See `IdleSignal`."""
        now = self._clock.time()
        busy = sum(not task.done() for task in self._all_tasks)
        return busy - sum(until > now for until in self._sleeping.values())

    async def close(self) -> None:
        """Start no more runs. One that is running ends in its thread, and its result is dropped."""
        self._stopped = True
        for task in self._all_tasks:
            task.cancel()
        await asyncio.gather(*self._all_tasks, return_exceptions=True)
        self._tasks = {}

    @property
    def _all_tasks(self) -> set[asyncio.Task[None]]:
        return {*self._tasks.values(), *self._outdated}

    def _read_trigger(self, function: FunctionInfo, zone: tzinfo) -> _TimerTrigger | None:
        try:
            schedule = _schedule_of(function, zone)
        except ValueError as error:
            text = function.trigger.get("schedule", "")
            self._log.note(
                f"{function.name} never runs, because its schedule '{text}' cannot be read: {error}."
            )
            return None
        at_start = function.trigger.get("runOnStartup") is True
        monitored = function.trigger.get("useMonitor") is not False and not _is_frequent(
            schedule, self._clock.now()
        )
        return _TimerTrigger(function, schedule, at_start, monitored)

    def _read_zone(self) -> tzinfo:
        try:
            return _zone()
        except ValueError as error:
            self._log.note(f"WEBSITE_TIME_ZONE: {error}; timers use UTC.")
            return timezone.utc

    async def _run_timer(self, timer: _TimerTrigger, before: asyncio.Task[None] | None) -> None:
        """`before`: the function's task before a reload, which may still run."""
        try:
            if before is not None:
                await asyncio.wait({before})
            if self._is_present(timer):
                await self._run_occurrences(timer)
        except ValueError as error:
            # croniter looks only so far ahead: even 29 February has a last occurrence.
            self._log.note(f"{timer.function.name} will not run again: {error}.")

    async def _run_occurrences(self, timer: _TimerTrigger) -> None:
        if timer.run_on_startup:
            now = self._clock.now()
            await self._invoke(timer, now, timer.schedule(now))
        while self._is_present(timer):
            due = timer.schedule(self._clock.now())
            await self._sleep_until(timer, due.timestamp())
            past_due = self._clock.now() - due > _PAST_DUE_AFTER
            await self._invoke(timer, due, timer.schedule(due), past_due)

    def _is_present(self, timer: _TimerTrigger) -> bool:
        """Whether the task that runs is the function's task; a reload gives it a new one."""
        return self._tasks.get(timer.function.name) is asyncio.current_task()

    async def _sleep_until(self, timer: _TimerTrigger, due: float) -> None:
        self._sleeping[timer.function.name] = due
        self.on_end()
        await self._clock.sleep_until(due)
        self._sleeping.pop(timer.function.name, None)

    async def _invoke(
        self, timer: _TimerTrigger, due: datetime, following: datetime, past_due: bool = False
    ) -> None:
        last = self._last.get(timer.function.name)
        self._last[timer.function.name] = due
        occurrence = TimerOccurrence(
            last.isoformat() if last else "", following.isoformat() if timer.monitored else "", past_due
        )
        call = FunctionCall(timer.function.name, occurrence)
        await invoke_function(self._runner, timer.function, call, self._log, self._clock, self._timeout)
