"""What host and workers say to each other.

The worker connects to the host's port on 127.0.0.1 and says hello. The host's port and a secret are in the JSON line
that the worker finds on its stdin. A message is a tuple, and goes over the wire with others (`channel.py`); its first
element says what it is:

    ("hello", version, secret, pid, port)      worker: the first message; the port for call connections
    ("loaded", app)                            worker: `app` as `app_to_wire` makes it
    ("not loaded", sentence, traceback)        worker: it ends then; the traceback may be None
    ("connect", clients, client_url)           host: before its first call
    ("call", number, kind, ...)                host: see below
    ("result", number, value)                  worker: the end of a call
    ("drop", generator)                        host: a generator that is of no more use
    ("ask", number, what, ...)                 worker: see below
    ("answer", number, value)                  host: to an "ask"
    ("note", sentence)                         worker: for the console
    ("started" | "finished" | "failed", ...)   worker: a streamed call, with the arguments of `CallLog`
    ("stop",)                                  host: end; what still runs is given up

The calls, and their values:

    "activity", function, instance id, input, retry count        an outcome: the result's JSON, None, or a failure
    "invoke", function, data's kind, data, retry count           a reply, None, or a failure
    "stream", function, params, headers, scope                   None, or the text of a disconnection

The calls on a connection of their own (`call_connections.py`) are messages without a number; the value comes back as
a tuple of one, and so does a failure if the worker cannot send the value:

    "replay", function, instance id, trigger, keeps generator, is silent, describes tasks
                                                                 a replay, see `replay_to_wire`
    "go on", generator, texts                                    a replay
    "describe tasks", generator                                  the open tasks: id -> task
    "entity", function, entity id, trigger                       [the reply's JSON, place -> failure], or a failure
    "running operation", entity id                               a `RunningOperation` or None
    "stacks"                                                     a tuple (function, instance id, text) for each thread

What a worker asks:

    "client", method, path, query, headers, body, origin
                                            [status, body]: a request of the app's durable clients
    "put", queue, texts                     why these messages cannot be put into the queue, or ""
    "receive", call number                  the next message of a streamed request, or the text of a disconnection
    "send", call number, message            None, or the text of a disconnection

A failure is a tuple of four texts (`Failure`), which no other value is. Payloads are JSON texts and cross once. A
later SDK whose protocol is another (2.x speaks protobuf) needs other "replay" and "entity" payloads, not another
channel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from dfhost.engine.actions import WITH_RETRY, Action
from dfhost.engine.failures import Failure
from dfhost.engine.replay_result import AwaitedTasks, ReplayResult, SdkTask, SdkTasks
from dfhost.runner.app_runner import (
    EntityReply,
    FunctionCall,
    HttpReply,
    HttpRequest,
    QueueDelivery,
    TimerOccurrence,
    TriggerText,
)
from dfhost.runner.functions import AppInfo, FunctionInfo
from dfhost.runner.retry_policy import RetryPolicy

VERSION = 4

_FEW_TASKS = 100  # are described in less time than a second question would take


# -- the app -------------------------------------------------------------------------------------------------
def app_to_wire(app: AppInfo, streams_http: bool) -> list[Any]:
    groups = [
        [_function_to_wire(each) for each in group] for group in (app.functions, app.disabled, app.excluded)
    ]
    return [str(app.root), *groups, app.notes, app.mistakes, streams_http]


def app_from_wire(wire: list[Any]) -> tuple[AppInfo, bool]:
    """The app, and whether its HTTP functions stream."""
    root, functions, disabled, excluded, notes, mistakes, streams_http = wire
    app = AppInfo(
        Path(root),
        map(_function_from_wire, functions),
        map(_function_from_wire, disabled),
        map(_function_from_wire, excluded),
        notes,
        mistakes,
    )
    return app, streams_http


def _function_to_wire(function: FunctionInfo) -> list[Any]:
    policy = function.retry
    retry = policy and [policy.max_retry_count, policy.minimum, policy.maximum]
    return [function.name, function.trigger, list(function.bindings), retry]


def _function_from_wire(wire: list[Any]) -> FunctionInfo:
    name, trigger, bindings, retry = wire
    return FunctionInfo(name, trigger, tuple(bindings), RetryPolicy(*retry) if retry else None)


# -- outcomes ------------------------------------------------------------------------------------------------
def answer_from_wire(wire: Any) -> Any:
    """The value of a call on a connection of its own, or its failure."""
    return Failure(*wire) if isinstance(wire, tuple) and len(wire) == len(Failure._fields) else wire


def outcome_to_wire(outcome: str | Failure | None) -> Any:
    return tuple(outcome) if isinstance(outcome, Failure) else outcome


def outcome_from_wire(wire: Any) -> Any:
    return Failure(*wire) if isinstance(wire, tuple) else wire


def entity_reply_to_wire(reply: EntityReply | Failure) -> Any:
    if isinstance(reply, EntityReply):
        return [reply.text, {place: tuple(failure) for place, failure in reply.raised.items()}]
    return tuple(reply)


def entity_reply_from_wire(wire: Any) -> EntityReply | Failure:
    if isinstance(wire, list):
        text, raised = wire
        return EntityReply(text, {place: Failure(*failure) for place, failure in raised.items()})
    return Failure(*wire)


def reply_to_wire(reply: HttpReply | Failure | None) -> Any:
    if isinstance(reply, HttpReply):
        return [reply.status, reply.headers, bytes(reply.body), reply.problem]
    return outcome_to_wire(reply)


def reply_from_wire(wire: Any) -> HttpReply | Failure | None:
    if isinstance(wire, list):
        status, headers, body, problem = wire
        return HttpReply(status, headers, body, problem)
    failure: Failure | None = outcome_from_wire(wire)
    return failure


_DATA = {"http": HttpRequest, "timer": TimerOccurrence, "queue": QueueDelivery, "text": TriggerText}


def data_to_wire(call: FunctionCall) -> tuple[str, tuple[Any, ...]]:
    kind = next(kind for kind, form in _DATA.items() if isinstance(call.data, form))
    return kind, tuple(call.data)


def data_from_wire(kind: str, wire: tuple[Any, ...]) -> Any:
    return _DATA[kind](*wire)


# -- replays -------------------------------------------------------------------------------------------------
class _ReplayWire(NamedTuple):
    """A `ReplayResult` as plain values; it travels as a tuple. `generator`: its number in the worker."""

    actions: Any
    is_done: Any
    output: Any
    custom_status: Any
    error: Any
    raised: Any
    crash: Any
    awaited: Any
    waits_in: Any
    sdk_tasks: Any  # None, or the ids of the open tasks, and these tasks by id or None
    known_actions: Any
    changed_actions: Any
    generator: Any


def replay_to_wire(
    result: ReplayResult, generator: int | None, describes_tasks: bool = False
) -> tuple[Any, ...]:
    """`generator`: the number under which the worker keeps the result's generator.

    The open tasks are ids. Each is described as well if the engine will probably ask for it: because of a retry, or
    because `describes_tasks` says that it has.
    """
    tasks, sdk_tasks = result.sdk_tasks, None
    if tasks is not None and not result.has_ended:
        are_few_retried = len(tasks.ids) <= _FEW_TASKS and _with_retry(result.actions)
        is_described = describes_tasks or are_few_retried
        sdk_tasks = (list(tasks.ids), tasks_to_wire(tasks) if is_described else None)
    wire = _ReplayWire(
        actions=result.actions,
        is_done=result.is_done,
        output=result.output,
        custom_status=result.custom_status,
        error=result.error,
        raised=result.raised and tuple(result.raised),
        crash=result.crash and tuple(result.crash),
        awaited=result.awaited and (list(result.awaited.keys), *result.awaited[1:]),
        waits_in=result.waits_in,
        sdk_tasks=sdk_tasks,
        known_actions=result.known_actions,
        changed_actions=dict(result.changed_actions),
        generator=generator,
    )
    return tuple(wire)


def _with_retry(actions: Iterable[Action]) -> bool:
    return any(
        action["actionType"] in WITH_RETRY or _with_retry(action.get("compoundActions", ()))
        for action in actions
    )


def tasks_to_wire(tasks: SdkTasks) -> dict[int, Any]:
    described = ((task_id, tasks.get(task_id)) for task_id in tasks.ids)
    return {task_id: tuple(task) for task_id, task in described if task is not None}


def replay_from_wire(
    wire: tuple[Any, ...], describe: Callable[[int | None], dict[int, Any]]
) -> tuple[ReplayResult, int | None]:
    """The result, and the number of its generator. `describe` asks for the tasks if they are needed after all."""
    sent = _ReplayWire(*wire)
    result = ReplayResult(
        actions=sent.actions,
        is_done=sent.is_done,
        output=sent.output,
        custom_status=sent.custom_status,
        error=sent.error,
        raised=sent.raised and Failure(*sent.raised),
        crash=sent.crash and Failure(*sent.crash),
        awaited=sent.awaited and AwaitedTasks(frozenset(sent.awaited[0]), *sent.awaited[1:]),
        waits_in=sent.waits_in,
        sdk_tasks=sent.sdk_tasks and _SdkTasks(partial(describe, sent.generator), *sent.sdk_tasks),
        known_actions=sent.known_actions,
        changed_actions=sent.changed_actions,
    )
    return result, sent.generator


def sdk_tasks_of(wire: tuple[Any, ...]) -> dict[int, Any]:
    """The described tasks in a replay's result."""
    sdk_tasks = _ReplayWire(*wire).sdk_tasks
    return (sdk_tasks[1] if sdk_tasks else None) or {}


class _SdkTasks:
    """The engine's `SdkTasks`, from the wire."""

    def __init__(
        self, describe: Callable[[], dict[int, Any]], ids: list[int], tasks: dict[int, Any] | None
    ) -> None:
        self.ids = frozenset(ids)
        self._tasks = tasks
        self._describe = describe

    def get(self, task_id: int) -> SdkTask | None:
        if self._tasks is None:
            self._tasks = self._describe()
        task = self._tasks.get(task_id)
        return None if task is None else SdkTask(*task)
