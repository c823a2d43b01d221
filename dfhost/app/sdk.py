"""The seam to the SDK's classic protocol: one JSON text in, one JSON text out, for orchestrators and entities.

The orchestrator's handle is made again by the SDK's own public `Orchestrator.create`, around a generator that
passes everything through and notes two things on the way: the context, whose open tasks carry the SDK's ids,
and the task that the user's code is parked at. An orchestrator that is not a plain SDK handle (someone
wrapped it) is called as it is, without the notes.

Three things are put under the SDK, which change its pace alone: see `_spare_the_replays` and
`stand_before_client_session`.

A second protocol (the SDK's 2.x speaks gRPC) would be a second module like this one.
"""

from __future__ import annotations

import json
import re
import sys
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Set
from datetime import datetime
from functools import lru_cache
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

from azure.durable_functions import Orchestrator
from azure.durable_functions.models.actions.NoOpAction import NoOpAction
from azure.durable_functions.models.Task import AtomicTask, RetryAbleTask, TaskBase, WhenAllTask, WhenAnyTask
from azure.durable_functions.models.utils import http_utils

from dfhost.app.exceptions import describe_exception
from dfhost.engine.failures import MARKER, Failure
from dfhost.engine.payloads import loads
from dfhost.engine.replay_result import AwaitedTasks, OpenTask, ReplayResult

# What the SDK's own handles run; a wrapper someone put around one has other code.
_ANY_FUNCTION: Any = None
_HANDLE_CODE = Orchestrator.create(_ANY_FUNCTION).__code__

# As `engine.history.timestamp` writes it.
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)

# The SDK warns of completions that find no task, which is every late one; that is no news to anybody.
warnings.filterwarnings("ignore", message="Potential duplicate Task completion")


def _spare_the_replays() -> None:
    """Let the SDK work out once what it works out at every replay, with the same answers.

    Its HistoryEvent reads each event's timestamp with dateutil, 30 to 60 us each: three quarters of a replay. And
    each replay defines one and the same namedtuple anew, 150 us. Without both, two replays of 1,000 items take a
    third of the time, of 5 half. An SDK that does neither is left as it is.
    """
    _replace("history.HistoryEvent", "dt_parse", _reading)
    _replace("TaskOrchestrationExecutor", "namedtuple", lru_cache(maxsize=16))


def _replace(module_name: str, name: str, better: Callable[[Any], Any]) -> None:
    module: Any = sys.modules.get(f"azure.durable_functions.models.{module_name}")
    function = getattr(module, name, None)
    if function is not None:
        setattr(module, name, better(function))


def _reading(parse: Callable[..., datetime]) -> Callable[..., datetime]:
    """`parse`, which is asked once for each second: a stamp of dfhost's is that, and a fraction."""
    second = lru_cache(maxsize=4096)(parse)

    def read(text: Any, *more: Any, **options: Any) -> datetime:
        if more or options or not isinstance(text, str) or not _STAMP.fullmatch(text):
            return parse(text, *more, **options)
        return second(f"{text[:19]}Z").replace(microsecond=int(text[20:26]))

    return read


_spare_the_replays()


# What the SDK's three HTTP functions are made of, the session and the response of aiohttp included.
_HTTP_NAMES = frozenset(
    "_get_session post get delete json status aiohttp ClientError asyncio TimeoutError _handle_request_error".split()
)


def stand_before_client_session(front: Callable[[Any], Any]) -> Callable[[], None]:
    """Let the SDK's clients use `front(session)` in place of the HTTP session they share, until the result is called.

    `front` is called once for each session, on the loop to which that belongs. An SDK that asks more of a session
    than post, get, delete, or more of a response than status and json keeps its own.
    """
    names = {name for verb in ("post", "get", "delete") for name in _names(f"{verb}_async_request")}
    session_of = getattr(http_utils, "_get_session", None)
    if session_of is None or not names <= _HTTP_NAMES:
        return lambda: None
    stands = True
    latest: tuple[Any, Any] = (None, None)

    async def get_session() -> Any:
        nonlocal latest
        session = await session_of()
        if not stands:
            return session
        known, before = latest
        if known is not session:
            before = front(session)
            latest = session, before
        return before

    def stand_aside() -> None:
        nonlocal stands, latest, front
        # Another's wrapper may still hold this one: nothing of the host is to live on in it.
        stands, latest, front = False, (None, None), _itself
        if http_utils._get_session is get_session:
            http_utils._get_session = session_of

    http_utils._get_session = get_session
    return stand_aside


def _itself(session: Any) -> Any:
    return session


def _names(function: str) -> tuple[str, ...]:
    code = getattr(getattr(http_utils, function, None), "__code__", None)
    return ("unknown",) if code is None else code.co_names


async def close_client_session() -> None:
    """Close the HTTP session that the SDK's clients share; on the users' loop, to which it belongs."""
    # The SDK closes it in an atexit handler only, too late for whoever runs a host inside another program.
    close = getattr(http_utils, "_close_session", None)
    if close is not None:
        await close()


_NO_TASK = "the orchestrator has yielded None, which is no task; to wait, yield context.create_timer(...)"
_YIELDED_NONE = Failure("TypeError", _NO_TASK, f"TypeError: {_NO_TASK}", "")


class _Notes:
    """What was seen during one replay."""

    __slots__ = ("context", "parked_at", "result", "returned", "thrown", "yielded")

    def __init__(self) -> None:
        self.context: Any = None
        self.parked_at: Any = None
        self.yielded = self.returned = False
        self.result: Any = None
        self.thrown: BaseException | None = None  # a task's failure, as the SDK hands it to the user's code


class Replayer:
    """Replays one orchestrator function. Thread-safe: each call keeps its own notes."""

    def __init__(self, handle: Callable[[Any], str]) -> None:
        self._handle = handle
        user_function = getattr(handle, "orchestrator_function", None)
        watched = getattr(handle, "__code__", None) is _HANDLE_CODE and user_function is not None
        self._user_function = user_function if watched else None

    def __call__(self, trigger: str) -> ReplayResult:
        """One replay. `trigger` is the orchestration trigger's JSON; nothing is raised."""
        notes = _Notes()
        try:
            text = self._watching(notes)(trigger)
        except BaseException as error:  # user code may raise anything, SystemExit included
            reply = _raised(describe_exception(error))
            reply.raised = _told(error, reply, notes)
        else:
            reply = _returned(text)
            if notes.yielded and notes.parked_at is None and not reply.ended and reply.crash is None:
                # The SDK and the extension wait on then, and nothing will ever come.
                reply = ReplayResult(crash=_YIELDED_NONE, raised=_YIELDED_NONE)
        if notes.context is not None:
            reply.open = _OpenTasks(notes.context.open_tasks)
            if not reply.ended and isinstance(notes.parked_at, TaskBase):
                reply.awaited = _awaited(notes.parked_at)
        return reply

    def _watching(self, notes: _Notes) -> Callable[[Any], str]:
        user_function = self._user_function
        if user_function is None:
            return self._handle

        def watched(context: Any) -> Any:
            notes.context = context
            result = user_function(context)
            if isinstance(result, GeneratorType):
                return _watch(result, notes)
            if isinstance(result, CoroutineType):
                result.close()  # or Python would say, some time later, that nobody has awaited it
            notes.result, notes.returned = result, True
            return result

        handle: Callable[[Any], str] = Orchestrator.create(watched)
        handle.__dict__.update({k: v for k, v in vars(self._handle).items() if k != "orchestrator_function"})
        return handle


def _watch(generator: Generator[Any, Any, Any], notes: _Notes) -> Generator[Any, Any, Any]:
    """Pass everything through and note what was yielded last."""
    try:
        task = next(generator)
        while True:
            notes.parked_at, notes.yielded = task, True
            try:
                value = yield task
            except GeneratorExit:
                generator.close()
                raise
            except BaseException as error:
                notes.thrown = error
                task = generator.throw(error)
            else:
                task = generator.send(value)
    except StopIteration as stop:
        notes.result, notes.returned = stop.value, True
        return stop.value


def _told(error: BaseException, reply: ReplayResult, notes: _Notes) -> Failure | None:
    """What to tell people of `error`, where the reply's text leaves out its type, its place or its reason."""
    if reply.crash is not None:
        if notes.parked_at is None or isinstance(notes.parked_at, TaskBase):
            return reply.crash
        kind = type(notes.parked_at).__name__
        hint = f"the orchestrator has yielded a value of type {kind}, which is no task"
        return reply.crash._replace(text=f"{reply.crash.text} ({hint})", stack="")
    cause = error.__cause__
    if cause is None or notes.context is None or cause is notes.thrown:
        return None
    raised = describe_exception(cause)
    if notes.returned:  # what it has returned is no JSON: the frames are the SDK's
        return raised._replace(text=f"{raised.text} ({_returned_badly(notes.result)})", stack="")
    return raised


def _returned_badly(result: Any) -> str:
    if isinstance(result, TaskBase):
        return "the orchestrator has returned a task: is a `yield` missing before it?"
    if isinstance(result, (CoroutineType, AsyncGeneratorType)):
        return "the orchestrator is an `async def`: it wants `def`, and `yield` where it awaits"
    return "it is what the orchestrator has returned"


def _returned(text: str) -> ReplayResult:
    try:
        state = loads(text)
        return ReplayResult(
            actions=state["actions"][0] if state["actions"] else [],
            is_done=state["isDone"],
            output=state.get("output"),
            custom_status=state.get("customStatus"),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        message = f"the orchestrator answered {str(text)[:200]!r}"
        return ReplayResult(crash=Failure("ValueError", message, f"ValueError: {message}", ""))


def _raised(failure: Failure) -> ReplayResult:
    """The SDK raises a failed orchestration: message, marker, and the state as JSON. Only the JSON is read.

    It is looked for from the end, so that a message which contains the marker itself does no harm.
    """
    head, marker, tail = failure.message.rpartition(MARKER)
    while marker:
        try:
            state = loads(tail)
            return ReplayResult(
                actions=state["actions"][0] if state["actions"] else [],
                custom_status=state.get("customStatus"),
                error=state["error"],
            )
        except (ValueError, TypeError, KeyError):
            head, marker, more = head.rpartition(MARKER)
            tail = more + MARKER + tail
    return ReplayResult(crash=failure)


def _awaited(task: Any) -> AwaitedTasks | None:
    """What `task` needs, from the SDK's own tree of tasks."""
    if isinstance(task, RetryAbleTask):
        return AwaitedTasks(frozenset((task.children[0].id,)), True)
    if not isinstance(task, (WhenAllTask, WhenAnyTask)):
        return None if task.id is None else AwaitedTasks(frozenset((task.id,)), True)
    keys: list[int | str] = []
    together = isinstance(task, WhenAllTask)
    for child in task.pending_tasks:
        if type(child) is AtomicTask and child.id is not None:  # nearly all of a wide fan-out
            keys.append(child.id)
            continue
        part = _awaited(child)
        if part is None:
            return None
        keys += part.keys
        together = together and part.all
    known = frozenset(keys)
    # Two waits of one name share a key: then every arrival counts.
    return AwaitedTasks(known, together and len(known) == len(keys))


class _OpenTasks(Mapping[int, OpenTask]):
    """The SDK's open tasks by the ids it gave them, described when they are asked for."""

    def __init__(self, tasks: Mapping[Any, Any]) -> None:
        self._tasks = tasks
        self._ids = frozenset(i for i, task in tasks.items() if type(i) is int and type(task) is not list)

    def __getitem__(self, task_id: int) -> OpenTask:
        if task_id not in self._ids:
            raise KeyError(task_id)
        task = self._tasks[task_id]
        action = task.action_repr
        if isinstance(action, NoOpAction):
            role = "timer" if task.parent.is_waiting_on_timer else "attempt"
            return OpenTask(role, task.parent.children[0].id, None)
        return OpenTask("call", task_id, json.loads(json.dumps(action.to_json(), default=str)))

    def __iter__(self) -> Iterator[int]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    def same_ids(self, ids: Set[int]) -> bool:
        return self._ids == ids
