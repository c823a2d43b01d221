"""`AppRunner`: everything that the host asks of the function app.

The host has one runner and knows nothing else of user code. `dfhost.app` has the runner that calls the app in this
process. A runner may wrap another one: to replace functions, or to let calls fail.

A runner makes one attempt of each call. Retry policies, time limits and the log are the caller's. Functions are
named by their indexed names (`FunctionInfo.name`); payloads are JSON texts as stored.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from dfhost.engine.failures import Failure
from dfhost.engine.replay_result import ReplayResult
from dfhost.runner.functions import AppInfo
from dfhost.running_calls import RunningCalls

#: The durable clients of each function: function -> parameter -> the client's JSON.
ClientTexts = Mapping[str, Mapping[str, str]]

#: The messages of one streamed HTTP exchange, as ASGI has them.
AsgiMessage = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[AsgiMessage]]
Send = Callable[[AsgiMessage], Awaitable[None]]


class ManagementReply(Protocol):
    @property
    def status(self) -> int: ...
    @property
    def body(self) -> bytes: ...


#: Puts texts into a queue, by the queue's name in the app's code. Returns why it could not, as a sentence, or "".
PutMessages = Callable[[str, Sequence[str]], Coroutine[Any, Any, str]]

#: Answers a request of the app's durable clients: method, path, query, headers, body, origin. Raises nothing.
AnswerClient = Callable[[str, str, str, Mapping[str, str], bytes, str], Coroutine[Any, Any, ManagementReply]]


@dataclass(frozen=True, slots=True)
class HostServices:
    """What the host gives to the app's functions.

    `clients` makes the durable clients' JSON for an app; it raises AppError. `client_url`: the base of the URLs that
    `answer_client` answers, on the host's loop. `calls`: where every call of user code in this process is entered.
    `put_messages` takes what functions write to queues, on the host's loop.
    `change_app`: the runner has loaded the app again. To be called on the host's loop, with the app before and now,
    while no call begins. It returns sentences for a person, or raises AppError if the host cannot serve the app.
    """

    clients: Callable[[AppInfo], ClientTexts]
    client_url: str
    answer_client: AnswerClient
    calls: RunningCalls
    put_messages: PutMessages
    change_app: Callable[[AppInfo, AppInfo], Sequence[str]] = lambda before, app: ()


class ActivityCall(NamedTuple):
    """`input`: JSON text. `retry_count`: of the function's own retry policy, so far."""

    function: str
    instance_id: str
    input: str
    retry_count: int = 0


class ReplayCall(NamedTuple):
    """`trigger`: the orchestration trigger's JSON. `keeps_generator`: the result's `generator` is wanted.

    `is_silent`: what the code logs and prints is not shown, because nothing of the replay counts.
    """

    function: str
    instance_id: str
    trigger: str
    keeps_generator: bool = False
    is_silent: bool = False


class EntityCall(NamedTuple):
    """`trigger`: the entity trigger's JSON, with a batch of operations."""

    function: str
    entity_id: str
    trigger: str


class RunningOperation(NamedTuple):
    """`place`: in the batch that runs, None if unknown. `since`: a `time.time()`; then that of the whole batch."""

    place: int | None
    since: float


class EntityReply(NamedTuple):
    """`text`: the SDK's reply as JSON. `raised`: how operations failed, by their places in the batch, where known."""

    text: str
    raised: Mapping[int, Failure]


class HttpRequest(NamedTuple):
    """`url`: as the function sees it. `query`: its values by name. `params`: those of the route."""

    method: str
    url: str
    headers: list[tuple[str, str]]
    query: dict[str, str]
    params: dict[str, str]
    body: bytes


class TimerOccurrence(NamedTuple):
    """Moments in ISO 8601. `last`: the occurrence before. `following`: the next; "" where it is not monitored."""

    last: str
    following: str
    is_past_due: bool = False


class TriggerText(NamedTuple):
    """What a person sends to a function that is run by hand: a message, an event's JSON, the content of a blob."""

    text: str


class QueueDelivery(NamedTuple):
    """A message that a function takes from a queue, for the `dequeue_count`-th time. Moments in ISO 8601."""

    text: str
    message_id: str
    dequeue_count: int
    inserted_at: str
    expires_at: str
    visible_again_at: str
    pop_receipt: str


class FunctionCall(NamedTuple):
    """A call of a function that is not durable. An HttpRequest belongs to an HTTP function, and so on."""

    function: str
    data: HttpRequest | TimerOccurrence | QueueDelivery | TriggerText
    retry_count: int = 0


@dataclass(frozen=True, slots=True)
class HttpReply:
    """The response to a client. `headers` are in order, and names may repeat.

    `problem` says why what the function returned cannot be sent; the other fields mean nothing then.
    """

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""
    problem: str = ""


class StreamingCall(NamedTuple):
    """An HTTP function whose request and response are streams. `scope`: ASGI's. `params`: the route's."""

    function: str
    params: dict[str, str]
    headers: dict[str, str]
    scope: AsgiMessage


#: The result of an activity as JSON text, None for none; or how it failed.
ActivityOutcome = str | None | Failure


class ActivityListener(Protocol):
    """What a runner calls while it runs one activity, on any thread. Neither method may raise."""

    def begun(self) -> None:
        """A worker has the call. Called again if another one has to begin it."""

    def ended(self, outcome: ActivityOutcome, worker: int | None = None) -> None:
        """Called once. `worker`: the pid of the worker process that ran it, None if it ran in this process."""


class AppRunner(Protocol):
    """Asynchronous methods are called on the host's loop, the others on any thread."""

    @property
    def app(self) -> AppInfo:
        """What the app has, once `start` has returned. Another one after a reload: ask again for each call."""

    @property
    def streams_http(self) -> bool:
        """Whether the app's HTTP functions are called by `stream`: it uses azurefunctions-extensions-http-fastapi."""

    @property
    def applies_timeout(self) -> bool:
        """Whether it applies functionTimeout itself; else `invoke_function` does, and to nothing else."""

    @property
    def replays_at_once(self) -> int:
        """How many replays are worth starting at once. They only compute."""

    @property
    def ready_since(self) -> float:
        """The `time.time()` since when calls begin at once; infinite while they wait for a worker process."""

    async def start(self) -> None:
        """Load the app. Raises AppError if it cannot be loaded."""

    async def connect(self, services: HostServices) -> None:
        """To be called once, after `start` and before the first call. Raises AppError."""

    def expect_stop(self) -> None:
        """The host takes no new work, and stops once what runs has ended."""

    async def stop(self) -> None:
        """Nothing is called any more, and no result of a call that still runs is of interest. May be repeated."""

    def wait_until_ready(self) -> None:
        """Block while calls wait for a worker process."""

    def run_activity(self, call: ActivityCall, listener: ActivityListener) -> None:
        """Run an activity. `listener` is told when it begins, and its outcome."""

    def replay(self, call: ReplayCall) -> ReplayResult:
        """Replay an orchestrator. Blocks; raises nothing."""

    def run_entity(self, call: EntityCall) -> EntityReply | Failure:
        """Run a batch of an entity's operations: the SDK's reply, or how the function itself failed. Blocks."""

    def running_operation(self, entity_id: str) -> RunningOperation | None:
        """The operation of this entity that runs now; None if none does. Blocks, but not for long."""

    async def invoke(self, call: FunctionCall) -> HttpReply | Failure | None:
        """Call an HTTP function (the reply), or a function with another trigger (None); or how it failed."""

    async def stream(self, call: StreamingCall, receive: Receive, send: Send) -> None:
        """Answer one request by a function that streams. It logs the call itself.

        Raises only ConnectionResetError: the client has disconnected, or the function cannot answer.
        """
