"""A simulation of one instance: its tasks end in a given order and in given batches.

No threads, no clock, no store: episodes are run one after the other, each a second later.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from dfhost.app.sdk import Replayer
from dfhost.engine import history as h
from dfhost.engine.episode import Episode
from dfhost.engine.execution import Execution
from dfhost.engine.history import Event
from dfhost.engine.options import EngineOptions
from dfhost.engine.replay_gate import ReplayNeed
from dfhost.engine.replay_result import ReplayResult

from .random_orchestrators import RETRY, Leaf, Program, event_names, orchestrator

BEGINNING = datetime(2026, 11, 22, 15, 0, tzinfo=timezone.utc)
# What may arrive: ("activity", task id), ("timer", id), ("child", id), ("event", name), ("pause", 1 or 2).
Work = tuple[str, Any]
PAUSE: Work = ("pause", 1)
MOST_EPISODES = 300


class Everything:
    """An app that has every function."""

    def explain_missing(self, kind: str, name: str) -> str | None:
        return None

    def explain_disabled(self, kind: str, name: str) -> str | None:
        return None


@dataclass
class Simulation:
    """One instance from its start to its end."""

    program: Program
    order: list[Work] = field(default_factory=list)  # in which everything arrived
    actions: list[Any] = field(default_factory=list)  # the newest list, timers without their times
    stored: list[str] = field(default_factory=list)  # the history's texts
    episode: Episode | None = None

    def __post_init__(self) -> None:
        self.replayer = Replayer(orchestrator(self.program))
        self.execution = Execution()
        self.open: dict[Work, Callable[[str], Event]] = {}
        self.episodes = 0
        self.attempts: dict[str, int] = {}
        self.leaves: dict[str, Leaf] = {leaf.name: leaf for step in self.program for leaf in step.leaves}
        for name in event_names(self.program):
            self.open["event", name] = lambda at, name=name: h.event_raised(at, name, json.dumps(f"<{name}>"))

        self.open[PAUSE] = self.suspended

    # -- running -----------------------------------------------------------------------------------------------
    def start(self) -> None:
        started = h.execution_started(
            h.timestamp(BEGINNING), instance_id="i", execution_id="e", name="o", version=None, input=None
        )
        self.run_episode([started], ReplayNeed.REPLAY)

    @property
    def now(self) -> str:
        return h.timestamp(BEGINNING + timedelta(seconds=self.episodes))

    @property
    def finished(self) -> bool:
        return self.episode is not None and self.episode.finished

    def run_episode(self, arrived: list[Event], need: ReplayNeed) -> None:
        self.episodes += 1
        assert self.episodes < MOST_EPISODES, "it does not end"
        episode = self.execution.run_episode(
            arrived, self.now, self.replay, Everything(), EngineOptions(), need
        )
        self.episode = episode
        self.stored += [event.text for event in episode.events]
        for activity in episode.activities:
            self.open["activity", activity.task_id] = self.activity_end(
                activity.task_id, json.loads(activity.input)
            )
        for timer in episode.timers:
            self.open["timer", timer.timer_id] = lambda at, timer=timer: h.timer_fired(
                at, timer.timer_id, timer.fire_at
            )
        for child in episode.children:
            self.open["child", child.task_id] = self.child_end(
                child.task_id, child.instance_id.removeprefix("child-")
            )

    def replay(self, trigger: str) -> ReplayResult:
        reply = self.replayer(trigger)
        assert reply.crash is None, reply.crash
        self.actions = timeless(reply.actions)
        return reply

    def activity_end(self, task_id: int, name: str) -> Callable[[str], Event]:
        attempt = self.attempts[name] = self.attempts.get(name, 0) + 1
        leaf = self.leaves[name]
        fails = attempt <= leaf.fails if leaf.kind == RETRY else bool(leaf.fails)
        if fails:
            return lambda at: h.task_failed(at, task_id, f"{name} went wrong", "details")
        return lambda at: h.task_completed(at, task_id, json.dumps(f"<{name}>"))

    def suspended(self, at: str) -> Event:
        """The instance is suspended once, and some time later resumed."""
        self.open["pause", 2] = lambda at: h.resumed(at, "on")
        return h.suspended(at, "hold")

    def child_end(self, task_id: int, name: str) -> Callable[[str], Event]:
        if self.leaves[name].fails:
            return lambda at: h.sub_orchestration_failed(at, task_id, f"{name} went wrong", "details")
        return lambda at: h.sub_orchestration_completed(at, task_id, json.dumps(f"<{name}>"))

    def arrive(self, work: Work) -> Event:
        self.order.append(work)
        return self.open.pop(work)(self.now)

    def reload(self) -> None:
        """Forget the execution and build it again from the stored texts, as a host that restarts does."""
        self.execution = Execution([h.parse(text) for text in self.stored])

    # -- the outcome ------------------------------------------------------------------------------------------
    @property
    def ids(self) -> list[tuple[int, int, str]]:
        """(kind, task id, function) of everything that was started, by id."""
        events = [json.loads(text) for text in self.stored]
        return sorted(
            (event["EventType"], event["EventId"], event.get("Name") or "")
            for event in events
            if event["EventType"] in h.SCHEDULING
        )

    @property
    def outcome(self) -> tuple[str, str | None]:
        assert self.episode is not None
        return self.episode.status, self.episode.output


def timeless(action: Any) -> Any:
    """An action list without the times of its timers, which depend on when an episode ran."""
    if isinstance(action, dict):
        return {key: timeless(value) for key, value in action.items() if key != "fireAt"}
    return [timeless(one) for one in action] if isinstance(action, list) else action


# -- ways to run it -----------------------------------------------------------------------------------------------
def in_any_order(program: Program, rng: random.Random, batches: bool) -> Simulation:
    """What is open ends in a random order; with `batches` several at a time."""
    simulation = Simulation(program)
    simulation.start()
    while not simulation.finished:
        assert simulation.open, f"nothing is open, and it is {simulation.outcome}"
        waiting = list(simulation.open)
        rng.shuffle(waiting)
        count = rng.randint(1, len(waiting)) if batches else 1
        batch = waiting[: together(waiting[:count])]
        simulation.run_episode([simulation.arrive(work) for work in batch], ReplayNeed.REPLAY)
    return simulation


def in_this_order(
    program: Program, order: list[Work], rng: random.Random, *, cuts: bool = False
) -> Simulation:
    """The same arrivals in the same order, in random batches of what is open; with `cuts` reloaded at times."""
    simulation = Simulation(program)
    simulation.start()
    rest = iter(batches_of(order, simulation, rng))
    for batch in rest:
        assert not simulation.finished, f"ended before {batch} arrived"
        if cuts and rng.random() < 0.5:
            simulation.reload()
        simulation.run_episode([simulation.arrive(work) for work in batch], ReplayNeed.REPLAY)
    return simulation


def batches_of(order: list[Work], simulation: Simulation, rng: random.Random) -> Iterator[list[Work]]:
    """Only what is open can arrive together."""
    at = 0
    while at < len(order):
        count = 0
        wanted = rng.randint(1, 5)
        while at + count < len(order) and count < wanted and order[at + count] in simulation.open:
            count += 1
        assert count, f"{order[at]} should have been started, open: {sorted(map(str, simulation.open))}"
        count = together(order[at : at + count])
        yield order[at : at + count]
        at += count


def together(works: list[Work]) -> int:
    """How many of these may be one batch: what a suspension comes with in one batch starts nothing any more."""
    return works.index(PAUSE) or 1 if PAUSE in works else len(works)


def held_back(program: Program, order: list[Work]) -> Simulation:
    """The same arrivals, each seen by the replay gate; an episode is run only when that asks for one."""
    simulation = Simulation(program)
    simulation.start()
    inbox: list[Event] = []
    need = ReplayNeed.NONE
    for work in order:
        assert work in simulation.open, (
            f"{work} should have been started, and {len(inbox)} arrivals were held back"
        )
        event = simulation.arrive(work)
        inbox.append(event)
        need = max(need, simulation.execution.gate.arrive(event))
        if need > ReplayNeed.NONE:
            simulation.run_episode(inbox, need)
            inbox, need = [], ReplayNeed.NONE
    return simulation
