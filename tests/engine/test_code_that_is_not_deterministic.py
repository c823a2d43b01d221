"""Code that is not deterministic fails as on Azure, though its generator is kept: what is found, and how late.

Azure replays in every episode, so it finds a difference in the next one. Here a short history does so too. A long one
finds it when the history has grown fourfold, when the code has ended, or after the instance was loaded again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import azure.durable_functions as df
import pytest

from dfhost.app.sdk import Replayer
from dfhost.engine import history as h
from dfhost.engine.episode import Episode
from dfhost.engine.execution import Execution
from dfhost.engine.options import EngineOptions
from dfhost.timestamps import timestamp

from .simulation import EveryFunction

START = datetime(2026, 11, 22, 15, 0, tzinfo=timezone.utc)
# With four events for a step, the sixth episode is the first with so many.
KEPT_FROM = 20
KEPT_AT, GROWN_AT = 6, 23  # episodes
PREFIX = "Non-Deterministic workflow detected: A previous execution of this orchestration scheduled "

Context = df.DurableOrchestrationContext
Step = Callable[[Context], Any]


def work(context: Context) -> Any:
    return context.call_activity("work", 1)


def timer(context: Context) -> Any:
    return context.create_timer(context.current_utc_datetime + timedelta(seconds=1))


class Instance:
    """Calls `before` in each of its `steps`; once `changed` is set, code that starts calls `after` in the third."""

    def __init__(
        self, before: Step, after: Step | None, *, steps: int = 40, kept_from: int | None = KEPT_FROM
    ) -> None:
        self.before, self.after, self.steps = before, after, steps
        self.options = EngineOptions(keep_generator_from=kept_from)
        self.result = "1"  # of each activity
        self.changed = False
        self.episodes = 0
        self.execution = Execution()
        self.replayer = Replayer(df.Orchestrator.create(self.code))
        self.event = h.execution_started(
            self.now, instance_id="i", execution_id="e", name="o", version=None, input=None
        )

    def code(self, context: Context) -> Generator[Any, Any, Any]:
        changed = self.changed
        for number in range(self.steps):
            if number != 2 or not changed:
                yield self.before(context)
            elif self.after is not None:
                yield self.after(context)
            else:
                return "early"
        return "done"

    @property
    def now(self) -> str:
        return timestamp(START + timedelta(seconds=self.episodes))

    def run(self, episodes: int = 100) -> Episode:
        """Until it has ended, or for so many more episodes."""
        for _ in range(episodes):
            episode = self.execution.run_episode(
                [self.event], self.now, self.replayer, EveryFunction(), self.options
            )
            self.episodes += 1
            if episode.ends_instance:
                break
            self.event = self.next_event(episode)
        return episode

    def next_event(self, episode: Episode) -> h.Event:
        for activity in episode.activities:
            return h.task_completed(self.now, activity.task_id, self.result)
        for child in episode.children:
            return h.sub_orchestration_completed(self.now, child.task_id, "1")
        for each in episode.timers:
            return h.timer_fired(self.now, each.timer_id, each.fire_at)
        for message in episode.entity_messages:
            request_id = json.loads(message.request)["id"]
            return h.event_raised(self.now, request_id, json.dumps({"result": "1"}))
        return h.event_raised(self.now, "go", "1")


DIFFERENCES = {
    "another activity": (
        work,
        lambda context: context.call_activity("other", 1),
        "an activity task with sequence number 2 named 'work', but the current orchestration replay instead "
        "scheduled an activity task named 'other' with this sequence number.",
    ),
    "another child": (
        lambda context: context.call_sub_orchestrator("child"),
        lambda context: context.call_sub_orchestrator("other"),
        "a sub-orchestration task with sequence number 2 named 'child', but",
    ),
    "a timer for an activity": (work, timer, "an activity task with sequence number 2 named 'work', but"),
    "an activity for a timer": (timer, work, "a timer task with sequence number 2 named but"),
    "a child for an activity": (
        work,
        lambda context: context.call_sub_orchestrator("child"),
        "an activity task with sequence number 2 named 'work', but",
    ),
    "an activity for a call of an entity": (
        lambda context: context.call_entity(df.EntityId("counter", "a"), "get"),
        work,
        "an external event task with sequence number 2 named 'op', but",
    ),
    "a wait for an activity": (
        work,
        lambda context: context.wait_for_external_event("never"),
        "an activity task with sequence ID 2 and name 'work' (version ''), but",
    ),
    "an early end": (work, None, "an activity task with sequence ID 2 and name 'work' (version ''), but"),
    "two at once": (
        work,
        lambda context: context.task_all([context.create_timer(START), work(context)]),
        "an activity task with sequence number 2 named 'work', but",
    ),
}
each_difference = pytest.mark.parametrize(
    ("before", "after", "sentence"), DIFFERENCES.values(), ids=DIFFERENCES.keys()
)


def assert_failed(instance: Instance, episode: Episode, sentence: str, at: int) -> None:
    assert episode.status == "Failed"
    assert episode.output is not None and episode.output.startswith(PREFIX + sentence), episode.output
    assert instance.episodes == at


@each_difference
def test_replays_in_every_episode_find_it_in_the_next(
    before: Step, after: Step | None, sentence: str
) -> None:
    """What Azure does, and `dfhost start --replay always`."""
    instance = Instance(before, after, kept_from=None)
    instance.run(14)
    instance.changed = True
    assert_failed(instance, instance.run(), sentence, at=15)


@each_difference
def test_a_short_history_finds_it_in_the_next_episode(
    before: Step, after: Step | None, sentence: str
) -> None:
    instance = Instance(before, after)
    instance.run(KEPT_AT - 2)
    instance.changed = True
    assert_failed(instance, instance.run(), sentence, at=KEPT_AT - 1)


@each_difference
def test_a_long_history_finds_it_when_it_has_grown_fourfold(
    before: Step, after: Step | None, sentence: str
) -> None:
    instance = Instance(before, after)
    instance.run(14)
    assert instance.execution.code.generator_length
    instance.changed = True
    assert_failed(instance, instance.run(), sentence, at=GROWN_AT)


@each_difference
def test_it_is_found_before_a_completion_is_committed(
    before: Step, after: Step | None, sentence: str
) -> None:
    instance = Instance(before, after, steps=18)
    instance.run(14)
    assert instance.execution.code.generator_length
    instance.changed = True
    assert_failed(instance, instance.run(), sentence, at=19)


@each_difference
def test_a_loaded_instance_finds_it_in_its_next_episode(
    before: Step, after: Step | None, sentence: str
) -> None:
    instance = Instance(before, after)
    instance.run(14)
    instance.changed = True
    instance.execution = Execution([h.parse(event.text) for event in instance.execution.past])
    assert_failed(instance, instance.run(), sentence, at=15)


@each_difference
def test_a_generator_that_was_evicted_finds_it_in_the_next_episode(
    before: Step, after: Step | None, sentence: str
) -> None:
    instance = Instance(before, after)
    instance.run(14)
    instance.changed = True
    instance.execution.code.drop_generator()
    assert_failed(instance, instance.run(), sentence, at=15)


CAUSES = {
    "another activity": "activity 'work'; the code now asks for activity 'other' in its place.",
    "another child": "sub-orchestration 'child'; the code now asks for sub-orchestration 'other' in its place.",
    "a timer for an activity": "activity 'work'; the code now asks for a timer in its place.",
    "an activity for a timer": "a timer; the code now asks for activity 'work' in its place.",
    "a child for an activity": "activity 'work'; the code now asks for sub-orchestration 'child' in its place.",
    "an activity for a call of an entity": "a message to @counter@a; the code now asks for activity 'work' in its "
    "place.",
    "a wait for an activity": "activity 'work'; the code now yields wait_for_external_event('never') before it.",
    "an early end": "activity 'work'; the code now ends without it.",
    "two at once": "activity 'work'; the code now asks for a timer in its place.",
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_the_cause_says_what_the_history_has_and_what_the_code_asks_for(name: str) -> None:
    before, after, _ = DIFFERENCES[name]
    instance = Instance(before, after)
    instance.run(14)
    instance.changed = True
    loaded = Execution([h.parse(event.text) for event in instance.execution.past])
    loaded.replay_history(instance.replayer, instance.options)
    recorded, _, now = CAUSES[name].partition("; ")
    expected = f"Its history has {recorded} (sequence number 2); {now}"
    place = f" ({Path(__file__).name}, line {line_of('yield self.after(context)')}, in code)" if after else ""
    assert loaded.misfit == f"{expected.removesuffix('.')}{place}."
    instance.execution = Execution(loaded.past)
    assert instance.run().cause == expected  # code that fails is not run once more


def line_of(code: str) -> int:
    lines = Path(__file__).read_text("utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.strip() == code)


def test_the_cause_names_an_error_that_the_code_raises_before_what_the_history_has() -> None:
    def fails(context: Context) -> Any:
        raise KeyError("customer")

    instance = Instance(work, fails)
    instance.run(5)
    instance.changed = True
    cause = instance.run().cause or ""
    assert re.fullmatch(
        r"Its history has activity 'work' \(sequence number 2\); the code now raises KeyError: 'customer' "
        r"\(test_code_that_is_not_deterministic\.py, line \d+, in fails\) before it asks for that\.",
        cause,
    ), cause


def test_much_text_makes_a_history_long_too() -> None:
    before, after, sentence = DIFFERENCES["another activity"]
    instance = Instance(before, after)
    instance.result = json.dumps("x" * 8000)  # as much as 20 events
    instance.run(3)
    assert instance.execution.code.generator_length > len(instance.execution.past)
    instance.run(1)
    instance.changed = True
    assert_failed(instance, instance.run(), sentence, at=6)  # four times the second's 22 events' worth


@pytest.mark.parametrize("kept_from", [None, KEPT_FROM])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (work, lambda context: context.call_activity("work", "another input")),
        (timer, lambda context: context.create_timer(context.current_utc_datetime + timedelta(days=1))),
    ],
    ids=["another input", "another time"],
)
def test_what_azure_does_not_compare_is_not_compared_here(
    before: Step, after: Step, kept_from: int | None
) -> None:
    instance = Instance(before, after, kept_from=kept_from)
    instance.run(14)
    instance.changed = True
    episode = instance.run()
    assert (episode.status, episode.output) == ("Completed", '"done"')
    assert instance.episodes == 41


def test_an_output_that_depends_on_the_replay_is_that_of_the_code_which_ran_to_its_end() -> None:
    """Code that has ended runs to its end once, as on Azure, although its history is replayed after that."""
    ends: list[bool] = []

    def code(context: Context) -> Generator[Any, Any, Any]:
        for _ in range(18):
            yield work(context)
        ends.append(context.is_replaying)
        return "done"

    instance = Instance(work, None)
    instance.replayer = Replayer(df.Orchestrator.create(code))
    assert instance.run().status == "Completed"
    assert ends == [False]
