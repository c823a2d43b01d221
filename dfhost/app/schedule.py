"""When a timer trigger is due, and the tasks that run it then.

`parse_schedule` is pure: an expression becomes a `Schedule`, which answers "when next, after this moment".
`Timers` runs an app's timer functions, each in a task that sleeps until its next moment. As in the Functions
host a timer never overlaps itself: a run that takes longer than the interval lets occurrences pass. Unlike
there, nothing is remembered across restarts, so a run missed while the host was down is not made up for.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any

from dfhost.app.functions import App, Function
from dfhost.app.invoke import invoke_function
from dfhost.app.threads import UserThreads
from dfhost.app.trigger_data import timer_data
from dfhost.host_log import HostLog
from dfhost.settings.app_settings import resolve_app_settings

Schedule = Callable[[datetime], datetime]
"""The first moment after the given one (both aware), or ValueError if there is none."""

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_FIELD = re.compile(r"[0-9*,/\-]+")
# .NET's TimeSpan: [d.]hh:mm[:ss]; hours of 24 and more are read as days.
_SPAN = re.compile(r"(?:(?P<days>\d+)\.)?(?P<hours>\d{1,2}):(?P<minutes>\d{1,2})(?::(?P<seconds>\d{1,2}))?")

_MISSED_AFTER = timedelta(seconds=30)  # a machine that slept, not an event loop that was busy


def parse_schedule(text: str, zone: tzinfo = timezone.utc) -> Schedule:
    """NCRONTAB of five or six fields (seconds first), or a time span such as ``01:30:00``.

    Day of month and day of week must *both* match, Sunday is 0, and names may be written out, as in NCRONTAB.
    ValueError, with the reason, for anything else.
    """
    if span := _SPAN.fullmatch(text.strip()):
        return _every(_time_span(span))
    fields = text.split()
    if len(fields) not in (5, 6):
        raise ValueError("it has neither five or six fields nor the form hh:mm:ss")
    *others, month, weekday = fields
    expression = " ".join([*others, _numbered(month, _MONTHS, 1), _numbered(weekday, _DAYS, 0)])
    for field in expression.split():
        if not _FIELD.fullmatch(field):
            raise ValueError(f"'{field}' is not an NCRONTAB field")
    if re.search(r"(?<!/)\b7\b", expression.split()[-1]):
        raise ValueError("days of the week go from 0 (Sunday) to 6")
    return _cron(expression if len(fields) == 6 else f"0 {expression}", zone)


def _numbered(field: str, names: tuple[str, ...], first: int) -> str:
    def number(word: re.Match[str]) -> str:
        short = word[0].lower()[:3]
        if short not in names:
            raise ValueError(f"'{word[0]}' is no name of a day or month")
        return str(names.index(short) + first)

    return re.sub(r"[A-Za-z]+", number, field)


def _cron(expression: str, zone: tzinfo) -> Schedule:
    from croniter import croniter  # here, so that only apps with timers pay for it

    def following(now: datetime) -> datetime:
        # day_or=False: both day fields must match, which is NCRONTAB's rule and not cron's.
        moments = croniter(expression, now.astimezone(zone), second_at_beginning=True, day_or=False)
        found: datetime = moments.get_next(datetime)
        return found.astimezone(timezone.utc)

    following(datetime(2000, 1, 1, tzinfo=timezone.utc))  # what is wrong with it shows on first use
    return following


def _time_span(span: re.Match[str]) -> timedelta:
    days, hours, minutes, seconds = (int(part or 0) for part in span.groups())
    if hours > 23 and not span["days"]:
        days, hours = hours, 0
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def _every(span: timedelta) -> Schedule:
    if not span:
        raise ValueError("the interval is zero")
    return lambda now: now + span


def time_zone(name: str) -> tzinfo:
    """`WEBSITE_TIME_ZONE`: an IANA name; UTC if empty. ValueError for what this machine does not know."""
    if not name:
        return timezone.utc
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
        raise ValueError(f"'{name}' is not a time zone of the IANA database, such as Europe/Paris") from None


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


@dataclass(frozen=True, slots=True)
class _Timer:
    function: Function
    schedule: Schedule
    at_start: bool


class TimerTriggers:
    """Runs an app's timer functions until `stop`. `now` and `sleep` are there for tests."""

    def __init__(
        self,
        app: App,
        threads: UserThreads,
        log: HostLog,
        now: Callable[[], datetime] = utc_now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        timeout: float | None = None,
    ) -> None:
        self._threads = threads
        self._log = log
        self._now = now
        self._sleep = sleep
        self._timeout = timeout
        self._tasks: list[asyncio.Task[None]] = []
        self._zone = self._read_zone() if app.timers else timezone.utc
        self._timers = [timer for function in app.timers if (timer := self._timer(function))]

    def start(self) -> None:
        """Needs a running loop: the host's. User code runs on the users' threads."""
        self._tasks = [asyncio.create_task(self._drive(timer)) for timer in self._timers]

    async def stop(self) -> None:
        """No more runs; one that is under way goes on in its thread, unheard."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def _timer(self, function: Function) -> _Timer | None:
        trigger: Mapping[str, Any] = function.trigger
        text = str(trigger.get("schedule", ""))
        try:
            schedule = parse_schedule(resolve_app_settings(text), self._zone)
        except ValueError as error:
            self._log.note(
                f"{function.name}: the schedule '{text}' cannot be read, so it never runs: {error}."
            )
            return None
        return _Timer(function, schedule, trigger.get("runOnStartup") is True)

    def _read_zone(self) -> tzinfo:
        try:
            return time_zone(os.environ.get("WEBSITE_TIME_ZONE", ""))
        except ValueError as error:
            self._log.note(f"WEBSITE_TIME_ZONE: {error}; timers run by UTC.")
            return timezone.utc

    async def _drive(self, timer: _Timer) -> None:
        try:
            await self._run_for_ever(timer)
        except ValueError as error:  # an expression such as 29 February runs out of dates, some day
            self._log.note(f"{timer.function.name}: the timer does not run any more: {error}.")

    async def _run_for_ever(self, timer: _Timer) -> None:
        last: datetime | None = None
        if timer.at_start:
            last = self._now()
            await self._run(timer, timer_data(None, timer.schedule(last)))
        while True:
            due = timer.schedule(self._now())
            # The wall clock may be set, and a sleep may end early: only the clock says that it is time.
            while (left := (due - self._now()).total_seconds()) > 0:
                await self._sleep(left)
            late = self._now() - due > _MISSED_AFTER
            await self._run(timer, timer_data(last, timer.schedule(due), past_due=late))
            last = due

    async def _run(self, timer: _Timer, data: Any) -> None:
        await invoke_function(timer.function, data, self._threads, self._log, timeout=self._timeout)
