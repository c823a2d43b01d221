"""A simulated host around one execution: what it starts ends in an order and in batches that the caller chooses.

No threads, no clock and no store: episodes run one after the other, each a second later than the one before.
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
from dfhost.timestamps import timestamp

from .random_orchestrators import RETRY, Plan, PlannedTask, event_names, orchestrator

START = datetime(2026, 11, 22, 15, 0, tzinfo=timezone.utc)
# (kind, its key): ("activity", task id), ("timer", id), ("child", id), ("event", name), ("pause", 1 or 2).
Arrival = tuple[str, Any]
SUSPENSION: Arrival = ("pause", 1)
ORDINARY = EngineOptions()
MAX_EPISODES = 300


class EveryFunction:
    """The registry of an app that has every function."""

    def explain_missing(self, kind: str, name: str) -> str | None:
        return None

    def explain_disabled(self, kind: str, name: str) -> str | None:
        return None

    def suggest(self, kind: str, name: str) -> str:
        return ""

    def explain_nondeterminism(self, orchestrator: str, began: str) -> str | None:
        return None


@dataclass
class SimulatedInstance:
    """`open`: what was started and has not ended yet, with the event that ends it."""

    plan: Plan
    order: list[Arrival] = field(default_factory=list)  # in which everything arrived
    stored: list[str] = field(default_factory=list)  # the history's texts
    episode: Episode | None = None
    options: EngineOptions = field(default_factory=EngineOptions)
    restarts: bool = False  # between the portions of an episode with many commands

    def __post_init__(self) -> None:
        self.replayer = Replayer(orchestrator(self.plan))
        self.execution = Execution()
        self.open: dict[Arrival, Callable[[str], Event]] = {}
        self.episodes = 0
        self.attempts: dict[str, int] = {}
        self.tasks: dict[str, PlannedTask] = {task.name: task for step in self.plan for task in step.tasks}
        for name in event_names(self.plan):
            self.open["event", name] = self.event(name)
        self.open[SUSPENSION] = self.suspended

    def start(self) -> None:
        started = h.execution_started(
            timestamp(START), instance_id="i", execution_id="e", name="o", version=None, input=None
        )
        self.run_episode([started], ReplayNeed.REPLAY)

    @property
    def now(self) -> str:
        return timestamp(START + timedelta(seconds=self.episodes))

    @property
    def finished(self) -> bool:
        return self.episode is not None and self.episode.ends_instance

    def run_episode(self, arrived: list[Event], need: ReplayNeed) -> None:
        self.episodes += 1
        assert self.episodes < MAX_EPISODES, "the instance does not end"
        episode = self.execution.run_episode(
            arrived, self.now, self.replay, EveryFunction(), self.options, need
        )
        self.episode = episode
        self.stored += [event.text for event in episode.events]
        for activity in episode.activities:
            self.open["activity", activity.task_id] = self.activity_end(
                activity.task_id, json.loads(activity.input)
            )
        for timer in episode.timers:
            self.open["timer", timer.timer_id] = self.timer_end(timer.timer_id, timer.fire_at)
        for child in episode.children:
            self.open["child", child.task_id] = self.child_end(
                child.task_id, child.instance_id.removeprefix("child-")
            )

        if episode.has_more_commands:
            if self.restarts:
                self.reload()
            self.run_episode([], ReplayNeed.ENGINE)

    def replay(self, trigger: str, keeps_generator: bool = False) -> ReplayResult:
        result = self.replayer(trigger, keeps_generator)
        assert result.crash is None, result.crash
        return result

    @property
    def actions(self) -> Any:
        """The SDK's list so far, timers without their times. A kept generator adds to it without a replay."""
        return timeless(self.execution.interpreter.actions)

    def activity_end(self, task_id: int, name: str) -> Callable[[str], Event]:
        attempt = self.attempts[name] = self.attempts.get(name, 0) + 1
        task = self.tasks[name]
        fails = attempt <= task.fails if task.kind == RETRY else bool(task.fails)
        if fails:
            return lambda at: h.task_failed(at, task_id, f"{name} went wrong", "details")
        return lambda at: h.task_completed(at, task_id, json.dumps(f"<{name}>"))

    def event(self, name: str) -> Callable[[str], Event]:
        return lambda at: h.event_raised(at, name, json.dumps(f"<{name}>"))

    def timer_end(self, timer_id: int, fire_at: str) -> Callable[[str], Event]:
        return lambda at: h.timer_fired(at, timer_id, fire_at)

    def suspended(self, at: str) -> Event:
        """The instance is suspended once, and resumed some time later."""
        self.open["pause", 2] = lambda at: h.resumed(at, "on")
        return h.suspended(at, "hold")

    def child_end(self, task_id: int, name: str) -> Callable[[str], Event]:
        if self.tasks[name].fails:
            return lambda at: h.sub_orchestration_failed(at, task_id, f"{name} went wrong", "details")
        return lambda at: h.sub_orchestration_completed(at, task_id, json.dumps(f"<{name}>"))

    def arrive(self, arrival: Arrival) -> Event:
        self.order.append(arrival)
        return self.open.pop(arrival)(self.now)

    def reload(self) -> None:
        """Build the execution again from the stored texts, as a restarted host does."""
        self.execution = Execution([h.parse(text) for text in self.stored])

    # -- results ------------------------------------------------------------------------------------------------
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


# -- ways to run it ----------------------------------------------------------------------------------------------
def in_any_order(plan: Plan, rng: random.Random, batches: bool) -> SimulatedInstance:
    """What is open ends in a random order; with `batches` several at a time."""
    instance = SimulatedInstance(plan)
    instance.start()
    while not instance.finished:
        assert instance.open, f"nothing is open, and the instance is {instance.outcome}"
        waiting = list(instance.open)
        rng.shuffle(waiting)
        count = rng.randint(1, len(waiting)) if batches else 1
        batch = waiting[: batch_size(waiting[:count])]
        instance.run_episode([instance.arrive(arrival) for arrival in batch], ReplayNeed.REPLAY)
    return instance


def in_this_order(
    plan: Plan,
    order: list[Arrival],
    rng: random.Random,
    *,
    restarts: bool = False,
    options: EngineOptions = ORDINARY,
) -> SimulatedInstance:
    """The same arrivals in the same order, in random batches of what is open; with `restarts` reloaded at times."""
    instance = SimulatedInstance(plan, options=options, restarts=restarts)
    instance.start()
    for batch in batches_of(order, instance, rng):
        assert not instance.finished, f"ended before {batch} arrived"
        if restarts and rng.random() < 0.5:
            instance.reload()
        instance.run_episode([instance.arrive(arrival) for arrival in batch], ReplayNeed.REPLAY)
    return instance


def batches_of(
    order: list[Arrival], instance: SimulatedInstance, rng: random.Random
) -> Iterator[list[Arrival]]:
    """Only what is open can arrive in one batch."""
    at = 0
    while at < len(order):
        count = 0
        wanted = rng.randint(1, 5)
        while at + count < len(order) and count < wanted and order[at + count] in instance.open:
            count += 1
        assert count, f"{order[at]} should have been started, open: {sorted(map(str, instance.open))}"
        count = batch_size(order[at : at + count])
        yield order[at : at + count]
        at += count


def batch_size(arrivals: list[Arrival]) -> int:
    """How many of these may form one batch: whatever arrives in the batch of a suspension starts nothing."""
    return arrivals.index(SUSPENSION) or 1 if SUSPENSION in arrivals else len(arrivals)


def only_needed_replays(plan: Plan, order: list[Arrival]) -> SimulatedInstance:
    """The same arrivals, each seen by the replay gate; an episode runs only when that asks for one."""
    instance = SimulatedInstance(plan)
    instance.start()
    inbox: list[Event] = []
    need = ReplayNeed.NONE
    for arrival in order:
        assert arrival in instance.open, (
            f"{arrival} should have been started, and {len(inbox)} arrivals were held back"
        )
        event = instance.arrive(arrival)
        inbox.append(event)
        need = max(need, instance.execution.gate.need_after(event))
        if need > ReplayNeed.NONE:
            instance.run_episode(inbox, need)
            inbox, need = [], ReplayNeed.NONE
    return instance
