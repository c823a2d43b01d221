"""The host's clock where the wall clock is set, and where the machine sleeps."""

from __future__ import annotations

import asyncio
import time

from dfhost.clock import Clock
from dfhost.timestamps import parse_timestamp, timestamp, timestamp_of

SECOND = 1_000_000_000
START = 1_780_000_000 * SECOND


class Machine:
    """Its two clocks, in seconds since the start."""

    def __init__(self) -> None:
        self.wall = self.elapsed = 0.0
        self.clock = Clock(lambda: START + int(self.wall * SECOND), lambda: int(self.elapsed * SECOND))

    def go_on(self, seconds: float) -> None:
        self.wall += seconds
        self.elapsed += seconds

    @property
    def read(self) -> float:
        return (self.clock.time_ns() - START) / SECOND


def test_it_follows_the_wall_clock_when_that_is_set_ahead() -> None:
    machine = Machine()
    machine.go_on(1)
    assert machine.read == 1
    machine.wall += 3600
    assert machine.read == 3601


def test_it_never_goes_back_and_meets_the_wall_clock_again() -> None:
    machine = Machine()
    machine.go_on(100)
    assert machine.read == 100
    machine.wall -= 60
    readings = []
    for _ in range(240):
        machine.go_on(1)
        readings.append(machine.read)
    assert readings == sorted(readings)
    assert readings[:3] == [100.5, 101, 101.5]
    assert readings[117:121] == [159, 159, 160, 161]  # from here on it is the wall clock
    assert readings[-1] == machine.wall


def test_its_text_is_that_of_an_event() -> None:
    machine = Machine()
    for seconds in (0, 0.25, 0.75, 59, 3600, 1_000_000):
        machine.wall = seconds
        text = machine.clock.timestamp()
        assert text == timestamp(machine.clock.now()) == timestamp_of(machine.clock.time())
        assert parse_timestamp(text) == machine.clock.now()


async def test_a_sleeper_sees_the_wall_clock_that_went_on_while_the_machine_slept() -> None:
    machine = Machine()
    sleeper = asyncio.ensure_future(machine.clock.sleep_until(START / SECOND + 3600))
    await asyncio.sleep(0)
    machine.wall += 3600  # the machine's other clock stood still
    await asyncio.wait_for(sleeper, 60)


async def test_a_sleeper_sleeps_on_when_its_time_has_not_come() -> None:
    machine = Machine()
    sleeper = asyncio.ensure_future(machine.clock.sleep_until(START / SECOND + 0.001))
    began = time.monotonic()
    while time.monotonic() < began + 0.05:  # both clocks of the machine stand still
        await asyncio.sleep(0.01)
    assert not sleeper.done()
    machine.go_on(0.001)
    await asyncio.wait_for(sleeper, 60)


async def test_a_sleeper_is_woken_up() -> None:
    machine, wake_up = Machine(), asyncio.Event()
    sleeper = asyncio.ensure_future(machine.clock.sleep_until(START / SECOND + 3600, wake_up))
    await asyncio.sleep(0)
    wake_up.set()
    await asyncio.wait_for(sleeper, 60)
