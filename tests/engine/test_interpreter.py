"""The interpreter of action lists: ids, order, what is held back, and when it must start over.

Actions are written as an orchestrator writes them: `call`, `any_of`, `all_of`. Each test holds one recorded fact.
"""

from __future__ import annotations

from typing import Any

import pytest

from dfhost.engine import history as h
from dfhost.engine.interpreter import ActionInterpreter
from dfhost.engine.nondeterminism import NonDeterminismError

AT = "2026-01-02T03:04:05.000000Z"


def call(name: str) -> dict[str, Any]:
    return {"actionType": 0, "functionName": name, "input": "null"}


def retried(name: str, attempts: int = 3) -> dict[str, Any]:
    """As the SDK sends it: wrapped in a task_all of one."""
    options = {"firstRetryIntervalInMilliseconds": 1000, "maxNumberOfAttempts": attempts}
    return all_of({"actionType": 1, "functionName": name, "input": "null", "retryOptions": options})


def timer(cancelled: bool = False) -> dict[str, Any]:
    return {"actionType": 5, "fireAt": "2026-01-02T04:00:00.000000Z", "isCanceled": cancelled}


def wait(name: str) -> dict[str, Any]:
    return {"actionType": 6, "externalEventName": name, "reason": "ExternalEvent"}


def any_of(*actions: dict[str, Any]) -> dict[str, Any]:
    return {"actionType": 11, "compoundActions": list(actions)}


def all_of(*actions: dict[str, Any]) -> dict[str, Any]:
    return {"actionType": 12, "compoundActions": list(actions)}


class Run:
    """An interpreter that has been started, and its new commands: (id, name or "timer")."""

    def __init__(self, *actions: dict[str, Any]) -> None:
        self.history: list[h.Event] = []
        self.interpreter = ActionInterpreter(list(actions))
        self.feed(h.orchestrator_started(AT), started())

    def feed(self, *events: h.Event) -> list[tuple[int, str]]:
        for event in events:
            self.interpreter.apply(event)
            self.history.append(event)
        return self.take()

    def take(self) -> list[tuple[int, str]]:
        commands = self.interpreter.take_commands()
        for command in commands:
            self.history.append(recorded(command))
        self.new = [(c.id, c.name or "timer") for c in commands]
        return self.new

    def extend(self, *actions: dict[str, Any]) -> list[tuple[int, str]]:
        """The newest list has these as well."""
        assert self.interpreter.set_actions([*self.interpreter.actions, *actions]), "it should simply go on"
        return self.take()


def recorded(command: Any) -> h.Event:
    if command.event_type == h.TIMER_CREATED:
        return h.timer_created(AT, command.id, command.fire_at)
    return h.task_scheduled(AT, command.id, command.name)


def started() -> h.Event:
    return h.execution_started(AT, instance_id="i", execution_id="e", name="o", version=None, input=None)


def done(task_id: int) -> h.Event:
    return h.task_completed(AT, task_id, '"v"')


def failed(task_id: int) -> h.Event:
    return h.task_failed(AT, task_id, "no", None)


def fired(timer_id: int) -> h.Event:
    return h.timer_fired(AT, timer_id, AT)


def raised(name: str) -> h.Event:
    return h.event_raised(AT, name, "1")


def test_a_compound_starts_its_children_from_left_to_right_and_depth_first() -> None:
    run = Run(all_of(call("a"), any_of(call("b"), timer()), call("c")))
    assert run.new == [(0, "a"), (1, "b"), (2, "timer"), (3, "c")]


def test_an_event_takes_no_id() -> None:
    assert Run(all_of(wait("E"), call("a"))).new == [(0, "a")]


def test_what_follows_starts_when_all_siblings_have_ended_though_one_has_failed() -> None:
    run = Run(all_of(call("a"), call("b")), call("next"))
    assert run.feed(failed(0)) == []
    assert run.feed(done(1)) == [(2, "next")]


def test_a_window_by_task_any_serialises() -> None:
    """The second window lists what is new alone, and the third waits behind it."""
    run = Run(any_of(call("m0"), call("m1")))
    assert run.feed(done(0)) == []
    assert run.extend(any_of(call("m2"))) == [(2, "m2")]
    run.feed(done(1))
    assert run.extend(any_of(call("m3"))) == []
    assert [a["actionType"] for a in run.interpreter.held_back()] == [11]
    assert run.feed(done(2)) == [(3, "m3")]


def test_a_retry_takes_an_id_for_each_timer_and_attempt_and_one_timer_more_at_the_end() -> None:
    run = Run(retried("x", attempts=2))
    assert run.new == [(0, "x")]
    assert run.feed(failed(0)) == [(1, "timer")]
    assert run.feed(fired(1)) == [(2, "x")]
    assert run.feed(failed(2)) == [(3, "timer")]
    assert not run.interpreter.all_done
    run.feed(fired(3))
    assert run.interpreter.all_done and not run.interpreter.open_tasks


def test_retries_take_their_ids_in_the_order_of_the_failures() -> None:
    run = Run(all_of(retried("x"), retried("y")))
    assert run.feed(failed(1)) == [(2, "timer")]
    assert run.feed(failed(0)) == [(3, "timer")]
    assert run.feed(fired(3)) == [(4, "x")]
    assert run.feed(fired(2)) == [(5, "y")]


def test_a_cancelled_timer_is_created_and_waited_for_no_longer() -> None:
    run = Run(timer(cancelled=True), call("next"))
    assert run.new == [(0, "timer"), (1, "next")]
    assert list(run.interpreter.open_tasks) == [1]


def test_of_two_waits_of_one_name_the_last_is_served_first_whatever_the_case() -> None:
    run = Run(all_of(wait("E"), wait("E")))
    run.feed(raised("e"))
    assert [task.done for task in run.interpreter.tasks[0].children] == [False, True]  # type: ignore[union-attr]


def test_an_early_event_is_kept_for_the_wait_that_comes() -> None:
    run = Run(call("a"))
    run.feed(raised("E"), done(0))
    run.interpreter = ActionInterpreter([call("a"), wait("E"), call("b")])
    for event in run.history:
        run.interpreter.apply(event)
    assert run.take() == [(1, "b")]


def test_a_suspended_instance_starts_and_ends_nothing() -> None:
    run = Run(call("a"), call("b"))
    assert run.feed(h.suspended(AT, "hold"), done(0)) == []
    assert list(run.interpreter.open_tasks) == [0]
    assert run.feed(h.resumed(AT, "go")) == [(1, "b")]


def test_events_raised_after_continue_as_new_are_carried_over() -> None:
    run = Run(wait("E"), {"actionType": 4, "input": '"next"'})
    run.feed(raised("lost-one"), raised("E"), raised("kept"))
    assert run.interpreter.continues_as_new and run.interpreter.next_input == '"next"'
    assert [event.key for event in run.interpreter.carried_over] == ["kept"]


def test_an_open_entity_call_does_not_hold_the_instance() -> None:
    entity = {"actionType": 7, "instanceId": "@e@k", "operation": "get", "input": "null"}
    run = Run(any_of(call("a"), entity))
    assert not run.interpreter.can_complete
    run.feed(done(0))
    assert run.interpreter.can_complete


def test_a_new_action_among_ids_taken_since_needs_a_replay_from_the_start() -> None:
    """The extension would have started them earlier: with retried tasks a drain is not deterministic on Azure."""
    run = Run(any_of(call("a"), retried("x")))
    run.feed(done(0))
    assert run.interpreter.all_done
    run.feed(failed(1))  # its timer takes id 2, which the extension's next replay gives to the new call
    listed = [*run.interpreter.actions, call("next")]
    assert not run.interpreter.set_actions(listed)
    again = ActionInterpreter(listed)
    with pytest.raises(NonDeterminismError, match="scheduled a timer task with sequence number 2"):
        for event in run.history:
            again.apply(event)


def test_a_new_wait_after_events_of_its_name_needs_a_replay_from_the_start() -> None:
    run = Run(any_of(call("a"), call("b")))
    run.feed(done(0))
    run.feed(raised("E"))
    assert not run.interpreter.set_actions([*run.interpreter.actions, wait("E")])


def test_a_changed_action_needs_a_replay_from_the_start() -> None:
    run = Run(any_of(call("a"), timer()))
    assert not run.interpreter.set_actions([any_of(call("a"), timer(cancelled=True)), call("b")])


@pytest.mark.parametrize(
    ("now", "complaint"),
    [
        (
            [call("other")],
            "an activity task with sequence number 0 named 'work', but the current orchestration replay instead "
            "scheduled an activity task named 'other' with this sequence number.  Was a change made",
        ),
        (
            [timer()],
            "an activity task with sequence number 0 named 'work', but the current orchestration replay instead "
            "produced a CreateTimerOrchestratorAction action with this sequence number. Was a change made",
        ),
        (
            [],
            "an activity task with sequence ID 0 and name 'work' (version ''), but the current replay execution "
            "hasn't (yet?) scheduled this task. Was a change made",
        ),
    ],
)
def test_a_history_that_the_list_does_not_ask_for_fails_in_dtfx_words(
    now: list[dict[str, Any]], complaint: str
) -> None:
    run = Run(call("work"))
    changed = ActionInterpreter(now)
    with pytest.raises(NonDeterminismError) as failure:
        for event in run.history:
            changed.apply(event)
    assert complaint in str(failure.value)


def test_additional_actions_are_no_error() -> None:
    run = Run(call("work"))
    longer = ActionInterpreter([all_of(call("work"), call("more"))])
    for event in run.history:
        longer.apply(event)
    assert [c.id for c in longer.take_commands()] == [1]


def test_a_timer_of_the_awaited_action_is_cancelled_without_starting_over() -> None:
    """The usual timeout: the activity wins, and the next round is started under the ids of a start from scratch."""
    run = Run(any_of(call("a"), timer()))
    cancelled = any_of(call("a"), timer(cancelled=True))
    assert run.interpreter.cancel_timers({0: cancelled})
    assert run.extend(any_of(call("b"), timer())) == [(2, "b"), (3, "timer")]
    again = ActionInterpreter([cancelled, any_of(call("b"), timer())])
    for event in run.history:
        again.apply(event)
    assert again.take_commands() == []
    assert run.interpreter.actions == again.actions
    assert list(run.interpreter.open_tasks) == [0, 2, 3]
    assert set(again.open_tasks) == {0, 2, 3}


def test_a_cancelled_timer_needs_a_start_from_scratch_if_ids_were_taken_since() -> None:
    run = Run(any_of(timer(), retried("x")))
    run.feed(failed(1))  # its timer takes id 2
    assert not run.interpreter.cancel_timers({0: any_of(timer(cancelled=True), retried("x"))})


def test_a_cancelled_timer_needs_a_start_from_scratch_if_an_event_came_since() -> None:
    run = Run(any_of(call("a"), timer()))
    run.feed(raised("E"))
    assert not run.interpreter.cancel_timers({0: any_of(call("a"), timer(cancelled=True))})


def test_a_cancelled_timer_of_an_earlier_action_needs_a_start_from_scratch() -> None:
    run = Run(any_of(call("a"), timer()), call("b"))
    run.feed(done(0))
    assert not run.interpreter.cancel_timers({0: any_of(call("a"), timer(cancelled=True))})
