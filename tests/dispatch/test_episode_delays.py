"""When an episode runs whose messages may gather, on a loop whose time the test moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from dfhost.dispatch.episode_delays import EpisodeDelays
from dfhost.engine.replay_gate import ReplayNeed

MS = 0.001


class Timetable:
    """What `EpisodeDelays` uses of an event loop."""

    def __init__(self) -> None:
        self.now = 100.0
        self._calls: list[Call] = []

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, function: Callable[..., None], *arguments: Any) -> Call:
        call = Call(self.now + seconds, lambda: function(*arguments))
        self._calls.append(call)
        return call

    def pass_until(self, moment: float) -> None:
        while due := [call for call in self._calls if not call.cancelled and call.at <= moment]:
            call = min(due, key=lambda each: each.at)
            self._calls.remove(call)
            self.now = call.at
            call.function()
        self.now = moment


@dataclass
class Call:
    at: float
    function: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class Case:
    """An instance that waits for 100 tasks; `episodes`: when its delays were over, since its last episode."""

    took: float
    need: ReplayNeed = ReplayNeed.REPLAY
    open_tasks: int = 100
    episodes: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.loop = Timetable()
        self.began = self.loop.now
        loop: Any = self.loop
        self.delays = EpisodeDelays(lambda _: self.episodes.append(self.elapsed), loop)
        gate = SimpleNamespace(may_gather_more=lambda arrived: arrived < self.open_tasks)
        self.instance: Any = SimpleNamespace(
            instance_id="i",
            execution=SimpleNamespace(gate=gate),
            messages=[],
            replay_need=self.need,
            delayed_episode=None,
            last_episode_seconds=self.took,
            last_episode_at=self.began,
        )

    @property
    def elapsed(self) -> float:
        return round(self.loop.now - self.began, 6)

    def message_at(self, seconds: float) -> bool:
        """Whether the episode is put off after a message that comes then."""
        self.loop.pass_until(self.began + seconds)
        self.instance.messages.append("message")
        return self.delays.applies_to(self.instance)

    def wait(self) -> None:
        self.loop.pass_until(self.loop.now + 60)


def test_a_cheap_episode_is_not_put_off() -> None:
    assert not Case(took=1 * MS).message_at(0)


def test_an_episode_begins_no_earlier_after_the_last_than_that_took() -> None:
    case = Case(took=40 * MS)
    assert case.message_at(10 * MS)
    assert len(case.delays) == 1
    case.wait()
    assert case.episodes == [40 * MS]
    assert len(case.delays) == 0


def test_a_message_that_comes_late_waits_a_millisecond_for_others() -> None:
    case = Case(took=40 * MS)
    assert case.message_at(300 * MS)
    case.wait()
    assert case.episodes == [301 * MS]


def test_while_messages_come_it_is_put_off_until_they_pause() -> None:
    case = Case(took=10 * MS)
    for at in (8, 9.5, 10.5, 11.4, 12.3):
        assert case.message_at(at * MS)
    case.wait()
    assert case.episodes == [pytest.approx(14 * MS)]  # looked at after 10, 11, 12, 13 and 14 ms


def test_messages_that_never_pause_put_it_off_for_three_times_what_it_takes() -> None:
    case = Case(took=10 * MS, open_tasks=1000)
    for number in range(40):
        if case.episodes:
            break
        case.message_at((8 + number * 0.8) * MS)
    assert case.episodes == [pytest.approx(30 * MS, abs=1.01 * MS)]


def test_when_all_have_come_it_runs_at_once() -> None:
    case = Case(took=10 * MS, open_tasks=2)
    assert case.message_at(1 * MS)
    assert not case.message_at(2 * MS)
    case.delays.cancel(case.instance)
    case.wait()
    assert case.episodes == []  # it is the caller that runs it
    assert len(case.delays) == 0


def test_a_retry_after_a_long_history_is_hardly_put_off() -> None:
    case = Case(took=5.0, need=ReplayNeed.ENGINE)
    assert case.message_at(1 * MS)
    case.wait()
    assert case.episodes[0] <= 8 * MS
