"""Replays orchestrators through the SDK's classic protocol: one JSON text in, one JSON text out.

Public parts of the SDK that this relies on: `Orchestrator.create` and the two texts. The user's function is handed to
`Orchestrator.create` again, inside a generator that passes everything through and observes two things: the context
and the task that the user's code waits at.

Private parts: the attribute `orchestrator_function` of the SDK's handle, and what `sdk_tasks` reads. They only add
knowledge. An orchestrator that is not a plain SDK handle, because someone wrapped it, is replayed without
observation. `kept_orchestrator` keeps a generator after a replay, `sdk_patches` changes the SDK's speed; both look
first whether the SDK still has the form that they were written for.

A second protocol (the SDK's 2.x speaks gRPC) would be a second module like this one.
"""

from __future__ import annotations

import contextvars
import inspect
import warnings
from collections.abc import Callable, Generator, Sequence
from functools import partial
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

from azure.durable_functions import Orchestrator
from azure.durable_functions.models.Task import TaskBase

from dfhost.app.exceptions import describe_exception, place_of_frame, place_of_generator, raw_description
from dfhost.app.json_values import find_not_json
from dfhost.app.kept_orchestrator import (
    KeptExecutor,
    KeptOrchestrator,
    sdk_is_as_expected,
    show_is_replaying,
)
from dfhost.app.sdk_patches import install_replay_caches
from dfhost.app.sdk_tasks import OpenTasks, awaited_tasks
from dfhost.app.suspended_code import closing_runs_code
from dfhost.credentials import hide_credentials
from dfhost.engine.failures import MARKER, Failure
from dfhost.engine.payloads import NESTING_LIMIT, is_nested_too_deeply, loads
from dfhost.engine.replay_result import ReplayResult
from dfhost.instance_failure import read_failure

# The code of the SDK's own handles. A wrapper around one has other code.
_ANY_FUNCTION: Any = None
_HANDLE_CODE = Orchestrator.create(_ANY_FUNCTION).__code__

# The SDK warns of every completion that finds no task, and every late completion is one.
warnings.filterwarnings("ignore", message="Potential duplicate Task completion")

install_replay_caches()

_YIELDED_NONE_TEXT = (
    "the orchestrator yielded None, which is not a task; to wait, yield context.create_timer(...)"
)
_YIELDED_NONE = Failure("TypeError", _YIELDED_NONE_TEXT, f"TypeError: {_YIELDED_NONE_TEXT}", "")


class _ReplayObservation:
    """What the user's code did during one replay."""

    __slots__ = ("context", "generator", "has_returned", "has_yielded", "result", "thrown", "waits_at")

    def __init__(self) -> None:
        self.context: Any = None
        self.generator: Any = None
        self.waits_at: Any = None  # what it yielded last
        self.has_yielded = self.has_returned = False
        self.result: Any = None
        # The failure of a task that the SDK has thrown into the user's code last.
        self.thrown: BaseException | None = None


def plain_function(handle: Any) -> Any:
    """What the user wrote, beneath the SDK's handle and whatever is wrapped around it."""
    return inspect.unwrap(getattr(handle, "orchestrator_function", handle))


class Replayer:
    """Replays one orchestrator function. Thread-safe: each call has an observation of its own."""

    def __init__(self, handle: Callable[[Any], str]) -> None:
        self._handle = handle
        user_function = getattr(handle, "orchestrator_function", None)
        can_observe = getattr(handle, "__code__", None) is _HANDLE_CODE and user_function is not None
        self._user_function = user_function if can_observe else None

    def __call__(self, trigger: str, keeps_generator: bool = False) -> ReplayResult:
        """One replay. `trigger` is the orchestration trigger's JSON; nothing is raised.

        `keeps_generator`: the result has the generator, if it waits and may be kept.
        """
        observation = _ReplayObservation()
        if self._user_function is None:
            return _result_of(partial(self._handle, trigger), observation)
        observed = self._observed(self._user_function, observation)
        if not sdk_is_as_expected():
            return _result_of(partial(self._observed_handle(observed), trigger), observation)
        executor = KeptExecutor()
        input_type = getattr(self._handle, "_df_input_type", None)
        # User code keeps its context variables when it goes on later, in whatever thread.
        variables = contextvars.copy_context()
        result = variables.run(
            _result_of, partial(executor.replay, trigger, observed, input_type), observation
        )
        waits = not result.has_ended and result.crash is None and observation.generator is not None
        if waits:
            result.waits_in = place_of_generator(observation.generator)
        if keeps_generator and waits and not closing_runs_code(observation.generator):
            result.generator = _KeptGenerator(executor, observation, variables)
        return result

    def _observed(
        self, user_function: Callable[[Any], Any], observation: _ReplayObservation
    ) -> Callable[[Any], Any]:
        def observed(context: Any) -> Any:
            observation.context = context
            result = user_function(context)
            if isinstance(result, GeneratorType):
                observation.generator = result
                return _pass_through(result, observation)
            if isinstance(result, CoroutineType):
                result.close()  # else Python warns later that it was never awaited
            observation.result, observation.has_returned = result, True
            return result

        return observed

    def _observed_handle(self, observed: Callable[[Any], Any]) -> Callable[[Any], str]:
        handle: Callable[[Any], str] = Orchestrator.create(observed)
        handle.__dict__.update({k: v for k, v in vars(self._handle).items() if k != "orchestrator_function"})
        return handle


class _KeptGenerator:
    """The engine's `KeptGenerator`: a replay whose generator waits, and which can go on."""

    def __init__(
        self, executor: KeptExecutor, observation: _ReplayObservation, variables: contextvars.Context
    ) -> None:
        self._orchestrator = KeptOrchestrator(executor)
        self._observation = observation
        self._variables = variables

    def go_on(self, texts: Sequence[str]) -> ReplayResult:
        return self._variables.run(self._go_on, texts)

    def _go_on(self, texts: Sequence[str]) -> ReplayResult:
        orchestrator = self._orchestrator

        def state() -> str:
            orchestrator.process(texts)
            return orchestrator.new_state()

        result = _result_of(state, self._observation)
        result.known_actions = orchestrator.known_actions
        result.changed_actions = orchestrator.changed_actions
        if not orchestrator.has_ended:
            orchestrator.known_actions += len(result.actions)
            if result.crash is None and not closing_runs_code(self._observation.generator):
                result.generator = self
        return result


def _result_of(run: Callable[[], str], observation: _ReplayObservation) -> ReplayResult:
    """The result of a replay, or of an episode that goes on from one. Nothing is raised."""
    try:
        text = run()
    except BaseException as error:  # user code may raise anything, SystemExit included
        result = _result_of_exception(raw_description(error))
        result.raised = _clearer_failure(error, result, observation)
    else:
        result = _result_of_text(text)
        if (
            observation.has_yielded
            and observation.waits_at is None
            and not result.has_ended
            and result.crash is None
        ):
            # The SDK and the extension would wait for an event that never comes.
            result = ReplayResult(crash=_YIELDED_NONE, raised=_YIELDED_NONE)
    if too_deep := _nesting_problem(result):
        result = ReplayResult(crash=too_deep, raised=too_deep)
    if observation.context is not None:
        result.sdk_tasks = OpenTasks(observation.context)
        if not result.has_ended and isinstance(observation.waits_at, TaskBase):
            result.awaited = awaited_tasks(observation.waits_at)
    return result


def _pass_through(
    generator: Generator[Any, Any, Any], observation: _ReplayObservation
) -> Generator[Any, Any, Any]:
    """Run `generator` unchanged and observe what it yields, returns and is thrown."""
    try:
        task = next(generator)
        while True:
            observation.waits_at, observation.has_yielded = task, True
            try:
                value = yield task
            except GeneratorExit:
                generator.close()
                raise
            except BaseException as error:
                observation.thrown = error
                show_is_replaying(observation.context)
                task = generator.throw(error)
            else:
                show_is_replaying(observation.context)
                task = generator.send(value)
    except StopIteration as stop:
        observation.result, observation.has_returned = stop.value, True
        return stop.value


def _clearer_failure(
    error: BaseException, result: ReplayResult, observation: _ReplayObservation
) -> Failure | None:
    """The failure to show to people, where `result` lacks its type, place or reason; else None."""
    if result.crash is not None:
        if observation.waits_at is None or isinstance(observation.waits_at, TaskBase):
            return result.crash
        kind = type(observation.waits_at).__name__
        hint = f"the orchestrator yielded a value of type {kind}, which is not a task"
        if isinstance(observation.waits_at, GeneratorType):
            hint += "; a generator is run with yield from"
        frame = getattr(observation.generator, "gi_frame", None)
        place = place_of_frame(frame) if frame else ""
        return result.crash._replace(text=f"{result.crash.text} ({hint}){place}", stack="")
    cause = error.__cause__
    if cause is None or observation.context is None or cause is observation.thrown:
        return None
    raised = describe_exception(cause)
    if observation.has_returned:  # the returned value is not JSON, and the frames are the SDK's
        return raised._replace(text=f"{raised.text} ({_return_value_hint(observation)})", stack="")
    return raised


def _return_value_hint(observation: _ReplayObservation) -> str:
    if isinstance(observation.result, (CoroutineType, AsyncGeneratorType)):
        return "the orchestrator is an `async def`: write `def`, and `yield` instead of `await`"
    path, value = find_not_json(observation.result, takes_objects=False) or ("", None)
    at = f" at {path}" if path else ""
    if isinstance(value, TaskBase):
        return f"the orchestrator returned{at} a task: is a `yield` missing before it?"
    if type(value) is Exception and value is not observation.thrown:  # what the SDK makes of a failed task
        failed = read_failure(str(value))
        name = failed.path[-1] if failed.path else "a task"
        return f"the orchestrator returned{at} the failure of {name}, which task_any does not raise: {failed.text}"
    if hasattr(value, "to_json"):
        return (
            f"the orchestrator returned it{at}; the SDK calls to_json for inputs and for the results of activities, "
            "not for the result of an orchestrator"
        )
    return f"the orchestrator returned it{at}"


def _result_of_text(text: str) -> ReplayResult:
    try:
        state = loads(text)
        return ReplayResult(
            actions=state["actions"][0] if state["actions"] else [],
            is_done=state["isDone"],
            output=state.get("output"),
            custom_status=state.get("customStatus"),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        message = f"the orchestrator answered {str(text)[:200]!r}"
        return ReplayResult(crash=Failure("ValueError", message, f"ValueError: {message}", ""))


def _nesting_problem(result: ReplayResult) -> Failure | None:
    """What could not be shown again once it is stored."""
    for what, value in (("returned a value", result.output), ("set a custom status", result.custom_status)):
        if is_nested_too_deeply(value):
            message = f"the orchestrator {what} that is nested more than {NESTING_LIMIT} levels deep"
            return Failure("ValueError", message, f"ValueError: {message}", "")
    return None


def _result_of_exception(failure: Failure) -> ReplayResult:
    """The SDK raises for a failed orchestration: message, marker, state as JSON. Only the JSON is read.

    The marker is searched from the end, because the message may contain it, too.
    """
    head, marker, tail = failure.message.rpartition(MARKER)
    while marker:
        try:
            state = loads(tail)
            return ReplayResult(
                actions=state["actions"][0] if state["actions"] else [],
                custom_status=state.get("customStatus"),
                error=hide_credentials(state["error"]),
            )
        except (ValueError, TypeError, KeyError):
            head, marker, more = head.rpartition(MARKER)
            tail = more + MARKER + tail
    return ReplayResult(crash=Failure(failure.type_name, *map(hide_credentials, failure[1:])))
