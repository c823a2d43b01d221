"""Replays a history that has the ids of all tasks, as the engine would: in one replay, whose actions must fit."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from dfhost.engine import actions as act
from dfhost.engine import history as h
from dfhost.engine.execution import Execution
from dfhost.engine.interpreter import ActionInterpreter
from dfhost.engine.nondeterminism import NonDeterminismError, difference
from dfhost.engine.options import EngineOptions
from dfhost.engine.replay_result import ReplayResult

__tracebackhide__ = True  # pytest shows errors at the line of the test

Json = dict[str, Any]
_FAILED = 3  # an OrchestrationStatus

# A history of any version is replayed from the beginning: whether an instance of it may run is another question.
OPTIONS = EngineOptions(keep_generator_from=None, version_match="None")


def replay_with_ids(events: Sequence[Json], replay: Callable[[str, bool], ReplayResult]) -> None:
    """NonDeterminismError if today's code does not fit the history."""
    past = [h.parse(json.dumps(event, separators=(",", ":"))) for event in events]
    execution = Execution(past)
    texts = [event.text for event in past]
    ended = next(
        (event for event in past if event.event_type in (h.EXECUTION_COMPLETED, h.CONTINUED_AS_NEW)), None
    )
    if ended is not None:  # its code had ended; what it did last is compared without that
        texts = texts[: past.index(ended)]
    result = replay(execution.info.trigger(texts, True, OPTIONS), False)
    has_failed = ended is not None and json.loads(ended.text)["OrchestrationStatus"] == _FAILED
    if result.crash is not None:
        if has_failed:
            return  # perhaps by the same crash
        raise NonDeterminismError(f"today's code cannot be replayed: {result.crash.text}")
    interpreter = ActionInterpreter(result.actions)
    try:
        for event in past:
            interpreter.apply(event)
    except NonDeterminismError as error:
        place = execution.place_of(error, replay, OPTIONS)
        sentence = difference(error, result, interpreter.awaited_task(), place)
        raise NonDeterminismError(sentence or str(error)) from None
    if ended is None or any(event.event_type == h.EXECUTION_TERMINATED for event in past):
        return  # nothing is known of what its code did last
    last_episode = max(
        n for n, event in enumerate(past[: len(texts)]) if event.event_type == h.ORCHESTRATOR_STARTED
    )
    if any(event.event_type == h.EXECUTION_STARTED for event in past[:last_episode]):
        before = replay(execution.info.trigger(texts[:last_episode], True, OPTIONS), False)
        if before.has_ended:
            raise NonDeterminismError("today's code has ended where the recorded instance still waited.")
    if not (result.has_ended or has_failed):
        raise NonDeterminismError(
            f"the recorded instance has ended, today's code waits for {awaited_action(interpreter, result)}."
        )


def awaited_action(interpreter: ActionInterpreter, result: ReplayResult) -> str:
    awaited = interpreter.awaited_task()
    return act.describe(awaited.action) + result.waits_in if awaited is not None else "nothing that is known"
