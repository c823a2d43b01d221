"""When timer triggers are due, and that they run then. No test here waits for a real clock."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from dfhost.clock import Clock as RealClock
from dfhost.runner.functions import AppInfo, FunctionInfo
from dfhost.settings.app_settings import resolve_app_settings
from dfhost.triggers.schedule import parse_schedule, time_zone
from dfhost.triggers.timer_triggers import TimerTriggers
from tests.support.app_server import started_runner
from tests.support.apps import loaded_module, write_app
from tests.support.recording_log import RecordingLog


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


def occurrences(expression: str, after: str, count: int, zone: str = "") -> list[str]:
    schedule, now = parse_schedule(expression, time_zone(zone)), at(after)
    found = []
    for _ in range(count):
        now = schedule(now)
        found.append(now.strftime("%Y-%m-%d %H:%M:%S"))
    return found


# 2026-01-01 is a Thursday.
@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("*/20 * * * * *", ["2026-01-01 00:00:20", "2026-01-01 00:00:40", "2026-01-01 00:01:00"]),
        ("0 */5 * * * *", ["2026-01-01 00:05:00", "2026-01-01 00:10:00"]),
        ("*/5 * * * *", ["2026-01-01 00:05:00", "2026-01-01 00:10:00"]),
        ("30 5/15 * * * *", ["2026-01-01 00:05:30", "2026-01-01 00:20:30", "2026-01-01 00:35:30"]),
        ("0 30 9 * * 1-5", ["2026-01-01 09:30:00", "2026-01-02 09:30:00", "2026-01-05 09:30:00"]),
        ("0 30 9 * Jan Mon", ["2026-01-05 09:30:00", "2026-01-12 09:30:00"]),
        ("0 30 9 * january monday-TUE", ["2026-01-05 09:30:00", "2026-01-06 09:30:00"]),
        ("0 0 0 * * 0", ["2026-01-04 00:00:00"]),
        ("0 0 0 13 * FRI", ["2026-02-13 00:00:00", "2026-03-13 00:00:00", "2026-11-13 00:00:00"]),
        ("0 0 0 29 2 *", ["2028-02-29 00:00:00"]),
        ("0 0 9-11,14 * * *", ["2026-01-01 09:00:00", "2026-01-01 10:00:00", "2026-01-01 11:00:00"]),
        ("01:30:00", ["2026-01-01 01:30:00", "2026-01-01 03:00:00"]),
        ("00:00:10", ["2026-01-01 00:00:10"]),
        ("1.00:00:00", ["2026-01-02 00:00:00"]),
        ("24:00:00", ["2026-01-25 00:00:00"]),
    ],
)
def test_next_occurrences(expression: str, expected: list[str]) -> None:
    assert occurrences(expression, "2026-01-01", len(expected)) == expected


def test_a_time_zone_moves_with_its_summer_time() -> None:
    nine = occurrences("0 0 9 * * *", "2026-03-27", 3, "Europe/Paris")
    assert nine == ["2026-03-27 08:00:00", "2026-03-28 08:00:00", "2026-03-29 07:00:00"]


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("", "neither five or six fields"),
        ("@daily", "neither five or six fields"),
        ("* * * *", "neither five or six fields"),
        ("* * * * * * *", "neither five or six fields"),
        ("0 0 25 * * *", "out of range"),
        ("0 61 * * * *", "out of range"),
        ("0 0 0 31 2 *", "failed to find next date"),
        ("0 0 0 L * *", "'L' is not an NCRONTAB field"),
        ("0 0 0 * * 7", "days of the week go from 0 (Sunday) to 6"),
        ("0 0 0 * Janvier *", None),  # the first three letters decide, as in NCRONTAB
        ("0 0 0 * Foo *", "'Foo' is not the name of a day or month"),
        ("0 0 0 ? * *", "'?' is not an NCRONTAB field"),
        ("00:00:00", "the interval is zero"),
        ("9999999999.00:00:00", "the interval is too long"),
    ],
)
def test_an_invalid_schedule(expression: str, problem: str | None) -> None:
    if problem is None:
        assert callable(parse_schedule(expression))
        return
    with pytest.raises(ValueError) as caught:
        parse_schedule(expression)
    assert problem in str(caught.value)


def test_settings_and_zones() -> None:
    assert resolve_app_settings("%Every% * * * *", {"Every": "0 0"}) == "0 0 * * * *"
    assert resolve_app_settings("%every%", {"EVERY": "x"}) == "x"
    with pytest.raises(ValueError, match="there is no app setting 'Nope'"):
        resolve_app_settings("%Nope%", {})
    assert time_zone("") is timezone.utc
    for name in ("Eastern Standard Time", "../etc/passwd", "Nowhere/Else"):
        with pytest.raises(ValueError, match="not a time zone of the IANA database"):
            time_zone(name)


# -- running ---------------------------------------------------------------------------------------------------
class Clock(RealClock):
    """A clock that stands still until it is moved."""

    def __init__(self, start: str) -> None:
        super().__init__()
        self.moment_now = at(start)
        self.sleeping = asyncio.Event()
        self._moved = asyncio.Condition()

    def time_ns(self) -> int:
        return int(self.moment_now.timestamp()) * 1_000_000_000

    async def sleep_until(self, due: float, wake_up: asyncio.Event | None = None) -> None:
        async with self._moved:
            while self.time() < due:
                self.sleeping.set()
                await self._moved.wait()

    async def move(self, minutes: float) -> None:
        """Wait until the code sleeps, then advance the clock."""
        await self.sleeping.wait()
        self.sleeping.clear()
        self.moment_now += timedelta(minutes=minutes)
        async with self._moved:
            self._moved.notify_all()


BODY = """
import json
ran = []

@app.timer_trigger(schedule="{schedule}", arg_name="tick", run_on_startup={at_start})
def tick(tick: func.TimerRequest) -> None:
    ran.append((tick.past_due, tick.schedule_status.get("Last"), tick.schedule_status.get("Next")))
"""


async def run_timers(
    folder: Path, schedule: str, script: Callable[[Clock, RecordingLog], Any], at_start: bool = False
) -> tuple[list[Any], RecordingLog]:
    log, clock = RecordingLog(), Clock("2026-01-01T00:00:00")
    folder = write_app(folder, BODY.format(schedule=schedule, at_start=at_start))
    async with started_runner(folder, log) as (runner, _):
        timers = TimerTriggers(runner, log, clock)
        timers.start()
        try:
            await script(clock, log)
        finally:
            await timers.close()
    return loaded_module().ran, log


async def test_a_timer_runs_when_it_is_due_and_not_before(tmp_path: Path) -> None:
    async def script(clock: Clock, log: RecordingLog) -> None:
        await clock.move(minutes=59)
        await clock.sleeping.wait()
        assert log.entries == []
        await clock.move(minutes=1)
        await log.entry("finished", "tick", "timer")
        await clock.move(minutes=60)
        await log.entry("finished", "tick", "timer", count=2)

    ran, _ = await run_timers(tmp_path, "0 0 * * * *", script)
    assert ran == [
        (False, "0001-01-01T00:00:00+00:00", "2026-01-01T02:00:00+00:00"),
        (False, "2026-01-01T01:00:00+00:00", "2026-01-01T03:00:00+00:00"),
    ]


async def test_an_occurrence_missed_during_sleep_is_past_due(tmp_path: Path) -> None:
    async def script(clock: Clock, log: RecordingLog) -> None:
        await clock.move(minutes=330)
        await log.entry("finished", "tick", "timer")
        await clock.move(minutes=30)
        await log.entry("finished", "tick", "timer", count=2)

    ran, _ = await run_timers(tmp_path, "0 0 * * * *", script)
    assert [past_due for past_due, _, _ in ran] == [True, False]


async def test_run_on_startup(tmp_path: Path) -> None:
    async def script(clock: Clock, log: RecordingLog) -> None:
        await log.entry("finished", "tick", "timer")

    ran, _ = await run_timers(tmp_path, "0 0 * * * *", script, at_start=True)
    assert ran == [(False, "0001-01-01T00:00:00+00:00", "2026-01-01T01:00:00+00:00")]


@pytest.mark.parametrize("more", [", use_monitor=False", ""])
async def test_a_timer_without_monitor_has_an_empty_status(tmp_path: Path, more: str) -> None:
    # The host monitors nothing that comes more often than once a minute.
    schedule = "0 0 * * * *" if more else "*/30 * * * * *"
    folder = write_app(
        tmp_path,
        f"""
        statuses = []

        @app.timer_trigger(schedule="{schedule}", arg_name="tick", run_on_startup=True{more})
        def runs(tick: func.TimerRequest) -> None: statuses.append(tick.schedule_status)
        """,
    )
    log, clock = RecordingLog(), Clock("2026-01-01T00:00:00")
    async with started_runner(folder, log) as (runner, _):
        timers = TimerTriggers(runner, log, clock)
        timers.start()
        await log.entry("finished", "runs")
        await timers.close()
    assert sys.modules["function_app"].statuses == [{}]


async def test_a_timer_that_fails_runs_again(tmp_path: Path) -> None:
    folder = write_app(
        tmp_path,
        """
        @app.timer_trigger(schedule="00:01:00", arg_name="t")
        async def fails(t) -> None: raise ValueError("tick")
        """,
    )
    log, clock = RecordingLog(), Clock("2026-01-01T00:00:00")
    async with started_runner(folder, log) as (runner, _):
        timers = TimerTriggers(runner, log, clock)
        timers.start()
        for count in (1, 2):
            await clock.move(minutes=1)
            assert (await log.entry("failed", "fails", count=count))[3] == "ValueError: tick"
        await timers.close()


async def test_an_interval_that_ends_after_all_time_is_noted(tmp_path: Path) -> None:
    async def script(clock: Clock, log: RecordingLog) -> None:
        await log.entry("note")

    ran, log = await run_timers(tmp_path, "9999999.00:00:00", script)
    assert ran == []
    assert log.notes == ["tick will not run again: its next occurrence would be after the year 9999."]


async def test_a_bad_schedule_is_noted_and_the_others_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBSITE_TIME_ZONE", "Nowhere/Else")
    monkeypatch.setenv("EVERY", "00:01:00")
    folder = write_app(
        tmp_path,
        """
        @app.timer_trigger(schedule="every day", arg_name="t")
        def bad(t) -> None: ...
        @app.timer_trigger(schedule="%MISSING%", arg_name="t")
        def unset(t) -> None: ...
        @app.timer_trigger(schedule="%EVERY%", arg_name="t")
        def good(t) -> None: ...
        """,
    )
    log, clock = RecordingLog(), Clock("2026-01-01T00:00:00")
    async with started_runner(folder, log) as (runner, _):
        timers = TimerTriggers(runner, log, clock)
        timers.start()
        await clock.move(minutes=1)
        await log.entry("finished", "good", "timer")
        await timers.close()
    assert log.notes == [
        "WEBSITE_TIME_ZONE: 'Nowhere/Else' is not a time zone of the IANA database, such as Europe/Paris; "
        "timers use UTC.",
        "bad never runs, because its schedule 'every day' cannot be read: "
        "it has neither five or six fields nor the form hh:mm:ss.",
        "unset never runs, because its schedule '%MISSING%' cannot be read: there is no app setting 'MISSING'.",
    ]


SLOW = """
import threading
gate = threading.Event()

@app.timer_trigger(schedule="0 0 * * * *", arg_name="tick", run_on_startup=True)
def tick(tick: func.TimerRequest) -> None:
    assert gate.wait(60)
"""


async def test_after_a_reload_timers_follow_their_new_schedules_and_never_overlap(tmp_path: Path) -> None:
    log, clock = RecordingLog(), Clock("2026-01-01T00:00:00")
    async with started_runner(write_app(tmp_path, SLOW), log) as (runner, app):
        timers = TimerTriggers(runner, log, clock)
        timers.start()
        await log.entry("started", "tick")
        (tick,) = app.info.timers
        often = FunctionInfo(tick.name, {**tick.trigger, "schedule": "0 */10 * * * *"}, tick.bindings)
        for functions in ([tick], [often]):
            timers.change_app(AppInfo(tmp_path, functions))
            await asyncio.sleep(0)
            assert [entry[0] for entry in log.entries] == ["started"]
        loaded_module().gate.set()
        await log.entry("finished", "tick", count=2)  # the last one, as `run_on_startup` asks
        await clock.move(minutes=10)
        await log.entry("finished", "tick", count=3)
        await clock.sleeping.wait()
        timers.change_app(AppInfo(tmp_path, []))
        await asyncio.sleep(0)
        assert timers.unfinished == 0
        await timers.close()
        timers.change_app(app.info)  # a reload that comes too late
        assert timers.unfinished == 0


def test_an_app_without_timers_does_not_pay_for_croniter() -> None:
    import subprocess
    import sys

    code = "import sys, dfhost.triggers.timer_triggers; sys.exit('croniter' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
