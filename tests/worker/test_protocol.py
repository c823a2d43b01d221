"""What host and worker say to each other: the channel, the call connections, and the values on the wire."""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import resource
import socket
import threading
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import istr

from dfhost.engine.failures import Failure
from dfhost.engine.replay_result import AwaitedTasks, ReplayResult, SdkTask
from dfhost.runner.app_runner import FunctionCall, HttpReply, HttpRequest, TimerOccurrence, TriggerText
from dfhost.runner.functions import AppInfo, FunctionInfo
from dfhost.runner.retry_policy import RetryPolicy
from dfhost.worker import protocol
from dfhost.worker.call_connections import CallConnection, CallListener
from dfhost.worker.channel import Channel, Message

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


class Peers:
    """Two channels that are connected; `received`: what the second has got. To be made on a loop."""

    def __init__(self) -> None:
        self.first, self.second = Channel(), Channel()
        self.received: list[Message] = []
        self.lost = asyncio.Event()
        self.second.on_message = self.received.append
        self.first.on_message = lambda message: None
        self.first.on_lost = lambda: None
        self.second.on_lost = self.lost.set

    async def open(self, least_descriptor: int = 0) -> None:
        """`least_descriptor`: of the first one's socket."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            with socket.create_connection(listener.getsockname()) as some:
                first = socket.socket(fileno=fcntl.fcntl(some, fcntl.F_DUPFD_CLOEXEC, least_descriptor))
            second, _ = listener.accept()
        await self.first.open(first)
        await self.second.open(second)

    async def until(self, count: int) -> list[Message]:
        while len(self.received) < count:
            await asyncio.sleep(0.001)
        return self.received

    async def close(self) -> None:
        self.first.close()
        await self.lost.wait()


@settings(max_examples=min(30, settings().max_examples // 2))  # each makes a connection
@given(st.lists(st.tuples(st.text(), values), max_size=20))
def test_messages_arrive_as_they_were_sent_and_in_order(messages: list[Message]) -> None:
    async def exchange() -> None:
        peers = Peers()
        await peers.open()
        for message in messages:
            peers.first.send(message)
        assert await peers.until(len(messages)) == messages
        await peers.close()

    asyncio.run(exchange())


async def test_a_message_whose_receiver_fails_costs_no_other() -> None:
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))
    peers = Peers()
    await peers.open()

    def receive(message: Message) -> None:
        if message == ("bad",):
            raise ZeroDivisionError
        peers.received.append(message)

    peers.second.on_message = receive
    for message in (("good",), ("bad",), ("better",)):
        peers.first.send_soon(message)
    peers.first.flush()
    assert await peers.until(2) == [("good",), ("better",)]
    assert [type(each["exception"]) for each in failures] == [ZeroDivisionError]
    await peers.close()


async def test_a_large_message_and_many_threads() -> None:
    peers = Peers()
    await peers.open()

    def send(number: int) -> None:
        first = peers.first
        ways = itertools.cycle((first.send, first.send_soon, first.send_at_flush, first.send_at_flush))
        for count in range(200):
            next(ways)((number, count))
        first.flush()

    peers.first.send(("large", "x" * 30_000_000))
    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    messages = await peers.until(1 + 8 * 200)
    assert len(messages[0][1]) == 30_000_000
    for number in range(8):
        assert [message[1] for message in messages if message[0] == number] == list(range(200))
    await peers.close()


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2_000), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_descriptors")
async def test_a_large_message_over_a_descriptor_that_select_does_not_take() -> None:
    peers = Peers()
    await peers.open(least_descriptor=1024)
    peers.first.send(("x" * 30_000_000,))
    peers.first.send(("next",))
    large, following = await peers.until(2)
    assert (len(large[0]), following) == (30_000_000, ("next",))
    await peers.close()


async def test_subclasses_of_plain_types_arrive_as_these() -> None:
    class Colour(IntEnum):
        RED = 1

    peers = Peers()
    await peers.open()
    peers.first.send((istr("Name"), Colour.RED, bytearray(b"x"), Failure("a", "b", "c", "d")))
    (message,) = await peers.until(1)
    assert message == ("Name", 1, b"x", ("a", "b", "c", "d"))
    assert [type(each) for each in message] == [str, int, bytes, tuple]
    await peers.close()


async def test_a_connection_answers_who_knows_the_secret() -> None:
    listener = CallListener("secret", lambda message: [*message, threading.current_thread().name])
    connection, stranger = CallConnection(listener.port, "secret"), CallConnection(listener.port, "guess")
    assert await asyncio.to_thread(connection.call, ("replay", 1)) == (
        ["replay", 1, "ThreadPoolExecutor-1_0"],
    )
    assert await asyncio.to_thread(stranger.call, ("replay", 1)) is None
    connection.release()
    stranger.release()


async def test_an_answer_that_cannot_be_sent_is_a_failure_and_the_connection_goes_on() -> None:
    answers: dict[str, Any] = {"plain": 1, "class": object}
    listener = CallListener("secret", lambda message: answers[message[0]])
    connection = CallConnection(listener.port, "secret")
    for what, why in (
        ("class", "ValueError: unmarshallable object"),
        ("nothing", "KeyError: 'nothing'"),
    ):
        answer = await asyncio.to_thread(connection.call, (what,))
        assert answer is not None
        failure = protocol.answer_from_wire(answer[0])
        assert isinstance(failure, Failure)
        assert failure.message == f"The app's worker process could not answer: {why}."
    assert await asyncio.to_thread(connection.call, ("plain",)) == (1,)
    connection.release()


def test_a_connection_is_served_once_there_can_be_a_thread_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    listener = CallListener("secret", lambda message: message[0])
    start, refused = threading.Thread.start, list(range(3))

    def start_later(thread: threading.Thread) -> None:
        if refused:
            refused.pop()
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_later)
    connection = CallConnection(listener.port, "secret")
    assert connection.call(("served",)) == ("served",)
    assert not refused
    connection.release()


def carried(value: Any) -> Any:
    """`value` as it comes out of a message."""
    import marshal

    return marshal.loads(marshal.dumps(value))


def test_an_app_on_the_wire() -> None:
    trigger = {"type": "activityTrigger", "name": "n", "activity": "price"}
    function = FunctionInfo(
        "work", trigger, ({"type": "durableClient", "name": "c"},), RetryPolicy(3, 1.0, 9.0)
    )
    app = AppInfo(Path("/app"), [function], notes=["a note"])
    again, streams = protocol.app_from_wire(carried(protocol.app_to_wire(app, True)))
    assert (again.root, again.functions, again.notes, streams) == (app.root, [function], ["a note"], True)
    assert again.activities.get("PRICE") == function


def test_calls_and_outcomes_on_the_wire() -> None:
    request = HttpRequest("GET", "http://h/", [("a", "b")], {"q": "1"}, {"id": "2"}, b"body")
    for data in (request, TimerOccurrence("", "2026-01-01"), TriggerText("text")):
        kind, wire = protocol.data_to_wire(FunctionCall("f", data))
        assert protocol.data_from_wire(kind, carried(wire)) == data
    failure = Failure("ValueError", "no", "ValueError: no", "stack")
    for outcome in ("1", None, failure):
        assert protocol.outcome_from_wire(carried(protocol.outcome_to_wire(outcome))) == outcome
    for reply in (HttpReply(200, [("a", "b")], b"x"), HttpReply(500, [], problem="why"), failure, None):
        assert protocol.reply_from_wire(carried(protocol.reply_to_wire(reply))) == reply


class Tasks:
    """The engine's OpenTasks, one of a retry."""

    ids = frozenset((1, 2))

    def get(self, task_id: int) -> SdkTask | None:
        return SdkTask("timer", 1) if task_id == 2 else SdkTask("call", 1, (0, 3))


def test_a_replay_on_the_wire() -> None:
    result = ReplayResult(
        actions=[{"actionType": 1, "functionName": "f"}],
        custom_status={"a": [1]},
        awaited=AwaitedTasks(frozenset((1, "event")), True, ((1, "2030-01-01T00:00:00.000000Z"),)),
        sdk_tasks=Tasks(),
        raised=Failure("E", "m", "t", "s"),
    )
    asked: list[int | None] = []

    def describe(generator: int | None) -> dict[int, Any]:
        asked.append(generator)
        return {2: ("attempt", 1, ())}

    again, generator = protocol.replay_from_wire(carried(protocol.replay_to_wire(result, 7)), describe)
    assert generator == 7 and again.sdk_tasks is not None
    assert (again.actions, again.custom_status, again.awaited) == (
        result.actions,
        result.custom_status,
        result.awaited,
    )
    assert again.raised == result.raised and again.sdk_tasks.ids == {1, 2}
    assert again.sdk_tasks.get(1) == SdkTask("call", 1, (0, 3))
    assert again.sdk_tasks.get(2) == SdkTask("timer", 1) and not asked

    result.actions = [{"actionType": 0, "functionName": "f"}]  # nothing is retried: only the ids go
    again, _ = protocol.replay_from_wire(carried(protocol.replay_to_wire(result, 7)), describe)
    assert again.sdk_tasks is not None and again.sdk_tasks.get(2) == SdkTask("attempt", 1)
    assert asked == [7]
