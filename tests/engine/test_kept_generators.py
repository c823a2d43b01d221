"""A generator that is kept between episodes gives the same as a replay of the history in every episode.

Random programs of every task kind run twice, side by side, on the same arrivals: one execution replays in every
episode, as Azure does, the other keeps its generator and loses it at random moments. Every episode must be equal, and
so must what the user's code sees.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import azure.durable_functions as df
from azure.durable_functions.models.Task import TimerTask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dfhost.app.kept_orchestrator import sdk_is_as_expected
from dfhost.app.sdk import Replayer
from dfhost.engine import history as h
from dfhost.engine.episode import Episode
from dfhost.engine.execution import Execution
from dfhost.engine.history import Event
from dfhost.engine.options import EngineOptions
from dfhost.engine.replay_gate import ReplayNeed
from dfhost.engine.replay_result import ReplayResult
from dfhost.timestamps import parse_timestamp, timestamp

from .simulation import EveryFunction

bounded = settings(
    max_examples=int(os.environ.get("PROPERTY_EXAMPLES") or min(25, settings().max_examples // 2)),
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

START = datetime(2026, 11, 22, 15, 0, tzinfo=timezone.utc)
EVENTS = ("e", "f", "E")
CALLS = (
    "activity", "retried activity", "child", "retried child", "timer", "long timer", "event", "entity", "http",
)  # fmt: skip
OPTIONS = EngineOptions(keep_generator_from=None)

# (what, numbers): see `_run`.
Op = tuple[str, tuple[int, ...]]
numbers = st.integers(0, 7)
calls = st.tuples(st.just("call"), st.tuples(st.integers(0, len(CALLS) - 1), numbers))
yields = st.tuples(
    st.sampled_from(("one", "all", "any")), st.lists(numbers, min_size=1, max_size=3).map(tuple)
)
others = st.tuples(
    st.sampled_from(("made", "cancel", "signal", "status", "uuid", "call and yield", "timeout", "histories")),
    st.tuples(numbers, numbers),
)
programs = st.tuples(
    st.lists(st.one_of(calls, yields, yields, others), min_size=3, max_size=30),
    st.sampled_from(("return", "return", "raise", "continue as new")),
)
Program = tuple[list[Op], str]


class Traces(list[list[Any]]):
    """What the user's code has seen: a list for each time that it was started."""

    @property
    def longest(self) -> list[Any]:
        return max(self, key=len)


def orchestrator(program: Program, traces: Traces) -> Any:
    ops, end = program

    def start(context: df.DurableOrchestrationContext, kind: str, number: int) -> Any:
        retry = df.RetryOptions(1000, 1 + number % 3)
        name = f"{number}-{context.new_uuid()[:4]}"
        return {
            "activity": lambda: context.call_activity("work", name),
            "retried activity": lambda: context.call_activity_with_retry("work", retry, name),
            "child": lambda: context.call_sub_orchestrator("child", name),
            "retried child": lambda: context.call_sub_orchestrator_with_retry("child", retry, name),
            "timer": lambda: context.create_timer(context.current_utc_datetime + timedelta(seconds=number)),
            "long timer": lambda: context.create_timer(context.current_utc_datetime + timedelta(days=7)),
            "event": lambda: context.wait_for_external_event(EVENTS[number % len(EVENTS)]),
            "entity": lambda: context.call_entity(df.EntityId("counter", str(number)), "get", name),
            "http": lambda: context.call_http("GET", f"http://x/{name}"),
        }[kind]()

    def run(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        trace: list[Any] = []
        traces.append(trace)
        tasks: list[Any] = []
        compounds: list[Any] = []

        def see(what: Any, momentary: Any = None) -> None:
            """`momentary`: what a replay sees in another way than the first run."""
            trace.append(((context.is_replaying, momentary), str(context.current_utc_datetime), repr(what)))

        see(context.get_input())
        for what, numbers in ops:
            if what in ("call", "call and yield"):
                tasks.append(start(context, CALLS[numbers[0] % len(CALLS)], numbers[1]))
            if what == "call and yield":
                numbers, what = (len(tasks) - 1,), "one"
            chosen = (
                list({id(t): t for t in (tasks[n % len(tasks)] for n in numbers)}.values()) if tasks else []
            )
            if what in ("one", "all", "any", "made"):
                if not chosen:
                    continue
                if what == "one":
                    task = chosen[0]
                else:
                    task = context.task_any(chosen) if what == "any" else context.task_all(chosen)
                if what == "made":  # a compound of what may be done already, yielded later or never
                    tasks.append(task)
                    compounds.append(task)
                    continue
                try:
                    value = yield task
                    see(value if what == "one" and task not in compounds else [t.result for t in chosen])
                except Exception as error:
                    see(error)
            elif what == "timeout":
                call = start(context, CALLS[numbers[0] % len(CALLS)], numbers[1])
                timer: Any = context.create_timer(context.current_utc_datetime + timedelta(hours=1))
                see((yield context.task_any([call, timer])) is timer)
                if not timer.is_completed:
                    timer.cancel()
                tasks.append(call)
            elif what == "cancel":
                for task in tasks:
                    if isinstance(task, TimerTask) and not task.is_completed:
                        task.cancel()
                        break
            elif what == "signal":
                context.signal_entity(df.EntityId("counter", str(numbers[0])), "add", numbers[1])
            elif what == "status":
                context.set_custom_status({"at": len(trace), "now": str(context.current_utc_datetime)})
            elif what == "uuid":
                see(context.new_uuid())
            elif what == "histories":
                see("", [(e.event_type, e.event_id, e.is_played, e.timestamp) for e in context.histories])
        see("the end")
        if end == "raise":
            raise ValueError("the end")
        if end == "continue as new" and (context.get_input() or 0) < 1:
            context.continue_as_new(1)
            return None
        return [str(seen) for _, *seen in trace]

    return df.Orchestrator.create(run)


@dataclass
class Side:
    """One of the two executions."""

    program: Program
    options: EngineOptions
    execution: Execution = field(default_factory=Execution)
    traces: Traces = field(default_factory=Traces)
    replays: int = 0

    def __post_init__(self) -> None:
        self._replayer = Replayer(orchestrator(self.program, self.traces))

    def run(self, arrived: list[Event], at: str, need: ReplayNeed) -> Episode:
        return self.execution.run_episode(arrived, at, self._replay, EveryFunction(), self.options, need)

    def _replay(self, trigger: str, keeps_generator: bool) -> ReplayResult:
        self.replays += 1
        return self._replayer(trigger, keeps_generator)


def comparable(episode: Episode) -> dict[str, Any]:
    values = {each.name: getattr(episode, each.name) for each in fields(episode)}
    values["next_generation"] = episode.next_generation and [
        event.text for event in episode.next_generation.history
    ]
    # An execution that was loaded again reports them once more: the store keeps the first time.
    del values["cancelled_timers"]
    values["raised"] = episode.raised and (episode.raised.type_name, episode.raised.text)
    return values


def run_side_by_side(program: Program, rng: random.Random, options: EngineOptions, losses: str) -> int:
    """Returns how many episodes the kept generators ran."""
    replaying, keeping = Side(program, OPTIONS), Side(program, options)
    open_tasks: dict[Any, Callable[[str], Event]] = {}
    seen = kept_episodes = 0
    at = timestamp(START)
    arrived = [h.execution_started(at, instance_id="i", execution_id="e", name="o", version=None, input=None)]
    need = ReplayNeed.REPLAY
    for _ in range(60):
        at = timestamp(parse_timestamp(at) + timedelta(seconds=1))
        replays = keeping.replays
        expected, actual = replaying.run(arrived, at, need), keeping.run(arrived, at, need)
        kept_episodes += need is ReplayNeed.REPLAY and keeping.replays == replays
        assert comparable(actual) == comparable(expected)
        assert {*actual.cancelled_timers} >= {*expected.cancelled_timers}
        old, new = replaying.traces.longest, keeping.traces.longest
        assert [each[1:] for each in new] == [each[1:] for each in old]
        assert new[seen:] == old[seen:], f"{new[seen:]} {old[seen:]}"
        seen = len(old)
        if expected.ends_instance:
            return kept_episodes
        if expected.next_generation is not None and actual.next_generation is not None:
            replaying.execution = Execution(expected.next_generation.history)
            keeping.execution = Execution(actual.next_generation.history)
            replaying.traces.clear()
            keeping.traces.clear()
            open_tasks.clear()
            seen, arrived, need = 0, [], ReplayNeed.REPLAY
            continue
        open_tasks |= started_by(expected, rng)
        if losses == "generator" and rng.random() < 0.3:
            keeping.execution.code.drop_generator()
        elif losses == "all" and rng.random() < 0.3:
            keeping.execution = reloaded(keeping.execution)
        inbox: list[Event] = []
        needs = [ReplayNeed.NONE]
        while max(needs) < ReplayNeed.ENGINE and len(inbox) < 8:
            event = arrival(open_tasks, replaying.execution.interpreter.next_id, rng, at)
            if event.event_type == h.TIMER_FIRED:
                at = max(at, json.loads(event.text)["FireAt"])
            inbox.append(event)
            needs.append(replaying.execution.gate.need_after(event))
            if not losses == "all":
                assert keeping.execution.gate.need_after(event) == needs[-1]
        arrived, need = inbox, max(needs)
        if losses == "all" or rng.random() < 0.5:
            need = ReplayNeed.REPLAY
    return kept_episodes


def started_by(episode: Episode, rng: random.Random) -> dict[Any, Callable[[str], Event]]:
    def ends(task_id: int, done: Any, failed: Any) -> Callable[[str], Event]:
        if rng.random() < 0.3:
            return lambda at: failed(at, task_id, "it went wrong", "details")
        return lambda at: done(at, task_id, json.dumps(f"result {task_id}"))

    started: dict[Any, Callable[[str], Event]] = {}
    for activity in episode.activities:
        started["task", activity.task_id] = ends(activity.task_id, h.task_completed, h.task_failed)
    for child in episode.children:
        started["task", child.task_id] = ends(
            child.task_id, h.sub_orchestration_completed, h.sub_orchestration_failed
        )
    for timer in episode.timers:
        started["task", timer.timer_id] = lambda at, t=timer: h.timer_fired(at, t.timer_id, t.fire_at)  # type: ignore[misc]
    for message in episode.entity_messages:
        request = json.loads(message.request)
        if not request.get("signal"):
            response: dict[str, Any] = {"result": json.dumps(request["id"])}
            if rng.random() < 0.3:
                response["exceptionType"] = "ValueError"
            started["entity", request["id"]] = lambda at, i=request["id"], r=response: h.event_raised(  # type: ignore[misc]
                at, i, json.dumps(r)
            )
    return started


def arrival(
    open_tasks: dict[Any, Callable[[str], Event]], next_id: int, rng: random.Random, at: str
) -> Event:
    """The end of an open task, or something that may come at any moment."""
    if open_tasks and rng.random() < 0.75:
        return open_tasks.pop(rng.choice(list(open_tasks)))(at)
    what = rng.random()
    if what < 0.6:
        return h.event_raised(at, rng.choice(EVENTS), json.dumps(str(what)))
    if what < 0.75 and next_id:  # a second end of a task, or one that comes after all
        return h.task_completed(at, rng.randrange(next_id), '"once more"')
    if what < 0.85:
        return h.suspended(at, "hold")
    return h.resumed(at, "on")


def reloaded(execution: Execution) -> Execution:
    """Built again from the stored texts, as by a restarted host, or when an evicted instance is loaded."""
    return Execution([h.parse(event.text) for event in execution.past])


@bounded
@given(programs, st.randoms(use_true_random=False))
def test_a_generator_that_is_kept_gives_what_replays_give(program: Program, rng: random.Random) -> None:
    run_side_by_side(program, rng, replace(OPTIONS, keep_generator_from=0), losses="")


@bounded
@given(programs, st.randoms(use_true_random=False))
def test_a_generator_can_be_lost_at_any_moment(program: Program, rng: random.Random) -> None:
    run_side_by_side(program, rng, replace(OPTIONS, keep_generator_from=0), losses="generator")


@bounded
@given(programs, st.randoms(use_true_random=False))
def test_the_execution_can_be_loaded_again_at_any_moment(program: Program, rng: random.Random) -> None:
    run_side_by_side(program, rng, replace(OPTIONS, keep_generator_from=0), losses="all")


def test_the_installed_sdk_lets_generators_be_kept() -> None:
    assert sdk_is_as_expected()
    ops: list[Op] = [("call and yield", (kind, 1)) for kind in (0, 2, 4) * 5]
    assert (
        run_side_by_side((ops, "return"), random.Random(1), replace(OPTIONS, keep_generator_from=0), "") > 8
    )
