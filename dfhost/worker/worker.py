"""`Worker`: loads the app, takes calls from the host, and answers them.

As in the real worker, the main thread imports the app and then has the loop of its async functions, which also reads
the channel. An async function that blocks therefore holds up what comes by the channel. Sync functions run in threads
of a pool, replays and entities in the threads of the call connections.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from dfhost.app import exceptions
from dfhost.app.in_process import InProcessRunner
from dfhost.app.threads import UserThreads
from dfhost.background_tasks import BackgroundTasks
from dfhost.engine import failures
from dfhost.engine.replay_result import ReplayResult
from dfhost.errors import AppError, UserLoopEnded
from dfhost.garbage import GarbageByVolume, large_text, resume_collector
from dfhost.runner.app_runner import (
    ActivityCall,
    ActivityOutcome,
    AsgiMessage,
    EntityCall,
    FunctionCall,
    HostServices,
    ReplayCall,
    StreamingCall,
)
from dfhost.running_calls import CurrentCall, RunningCalls
from dfhost.worker import protocol
from dfhost.worker.call_connections import CallListener
from dfhost.worker.channel import Channel, Message, pack
from dfhost.worker.output import WorkerStream

_LARGE = 20_000  # characters of a history; less is no garbage to speak of


class Worker:
    """`run` returns when the host says so. `streams`: what the app writes to, whose lines end with their calls."""

    def __init__(
        self, root: Path, only: list[str], peer: socket.socket, secret: str, streams: Sequence[WorkerStream]
    ) -> None:
        self._secret = secret
        self._peer = peer
        self._threads = UserThreads(on_loop_ended=self._user_loop_ended)
        self._loop = self._threads.loop
        self._channel = Channel()
        self._runner = InProcessRunner(
            root,
            _CallLog(self._send),
            only=only,
            threads=self._threads,
            pass_on_outcomes=self._channel.flush,
        )
        self._running_calls = _CallsByThread(streams)
        self._failure: AppError | None = None
        self._replays: dict[int, ReplayResult] = {}  # with a generator, by its number
        self._generator_numbers = count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._asks = count(1)
        self._tasks = BackgroundTasks()
        self._garbage = GarbageByVolume()
        self._calls: dict[str, Callable[..., None]] = {
            "activity": self._activity,
            "invoke": self._invoke,
            "stream": self._stream,
        }
        self._blocking_calls: dict[str, Callable[..., Any]] = {
            "replay": self._replay,
            "go on": self._go_on,
            "describe tasks": self._describe_tasks,
            "entity": self._entity,
            "running operation": self._runner.running_operation,
            "stacks": self._stacks,
        }

    def say_hello(self) -> None:
        """Tell the host who has connected to it."""
        listener = CallListener(self._secret, self._answer_call)
        self._peer.sendall(pack([("hello", protocol.VERSION, self._secret, os.getpid(), listener.port)]))

    def run(self) -> None:
        try:
            self._runner.load()
        except AppError as error:
            self._failure = error
        except KeyboardInterrupt as error:  # the app's own: ctrl-C does not reach a worker
            _end_by(error)
        resume_collector()
        exceptions.end_process = _end_by
        self._loop.call_soon(self._tasks.start, self._open())
        self._threads.serve_loop()

    # -- the channel -----------------------------------------------------------------------------------------

    async def _open(self) -> None:
        channel = self._channel
        channel.on_message, channel.on_lost = self._receive, end_process
        await channel.open(self._peer)
        if self._failure is not None:  # the host ends this process
            self._send("not loaded", str(self._failure), getattr(self._failure, "traceback", None))
            return
        await self._runner.start()
        self._send("loaded", protocol.app_to_wire(self._runner.app, self._runner.streams_http))

    async def _stop(self) -> None:
        await self._runner.stop()
        self._threads.stop()

    def _send(self, *message: Any) -> None:
        self._channel.send(message)

    def _receive(self, message: Message) -> None:
        match message:
            case ("call", number, kind, *arguments):
                try:
                    self._calls[kind](number, *arguments)
                except Exception as error:  # a defect: the host must not wait until functionTimeout
                    self._send("result", number, tuple(failures.not_answered(error)))
                    raise
            case ("answer", number, value):
                if not (answer := self._asked.pop(number)).done():
                    answer.set_result(value)
            case ("drop", generator):
                self._replays.pop(generator, None)
            case ("connect", clients, client_url):
                services = HostServices(
                    lambda app: clients, client_url, self._ask_client, self._running_calls, self._put_messages
                )
                self._tasks.start(self._runner.connect(services))
            case ("stop",):
                self._tasks.start(self._stop())

    async def _ask(self, *question: Any) -> Any:
        """The host's answer."""
        number, answer = next(self._asks), self._loop.create_future()
        self._asked[number] = answer
        self._send("ask", number, *question)
        return await answer

    # -- durable functions -----------------------------------------------------------------------------------

    def _activity(self, number: int, *call: Any) -> None:
        self._runner.run_activity(ActivityCall(*call), _ActivityResult(self._channel, number))

    def _answer_call(self, message: Message) -> Any:
        """On the thread of a call connection."""
        kind, *arguments = message
        return self._blocking_calls[kind](*arguments)

    def _replay(
        self, function: str, instance_id: str, trigger: str, keeps: bool, is_silent: bool, describes: bool
    ) -> Any:
        result = self._runner.replay(ReplayCall(function, instance_id, trigger, keeps, is_silent))
        if len(trigger) > _LARGE and (large := large_text(len(trigger), trigger.count('"EventType"'))):
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._garbage.add, large)
        return self._replayed(result, describes)

    def _go_on(self, generator: int, texts: list[str]) -> Any:
        kept = self._replays.pop(generator).generator
        assert kept is not None
        result = kept.go_on(texts)
        # Without a generator nobody could be asked for the tasks later.
        return self._replayed(result, describes=result.generator is None)

    def _replayed(self, result: ReplayResult, describes: bool) -> Any:
        generator = None
        if result.generator is not None:
            generator = next(self._generator_numbers)
            self._replays[generator] = result
        return protocol.replay_to_wire(result, generator, describes)

    def _describe_tasks(self, generator: int) -> Any:
        tasks = self._replays[generator].sdk_tasks
        return protocol.tasks_to_wire(tasks) if tasks is not None else {}

    def _entity(self, *call: Any) -> Any:
        return protocol.entity_reply_to_wire(self._runner.run_entity(EntityCall(*call)))

    def _stacks(self) -> list[tuple[str | None, str | None, str]]:
        """What each thread that runs user code does: function, instance and the user's lines.

        Function and instance are None where that is unknown, as in threads of the app's own.
        """
        frames, calls = sys._current_frames(), self._running_calls.by_thread
        found = []
        for thread, frame in frames.items():
            if stack := exceptions.user_stack(frame):
                call = calls.get(thread)
                found.append((call and call.function, call and call.instance_id, stack))
        return found

    # -- other functions -------------------------------------------------------------------------------------

    def _invoke(self, number: int, function: str, kind: str, data: Any, retry_count: int) -> None:
        call = FunctionCall(function, protocol.data_from_wire(kind, data), retry_count)

        async def invoke() -> None:
            try:
                self._send("result", number, protocol.reply_to_wire(await self._runner.invoke(call)))
            except Exception as error:  # the host must not wait until functionTimeout
                self._send("result", number, tuple(failures.not_answered(error)))

        self._tasks.start(invoke())

    def _stream(self, number: int, *call: Any) -> None:
        async def receive() -> AsgiMessage:
            message = await self._ask("receive", number)
            if isinstance(message, str):
                raise ConnectionResetError(message)
            return dict(message)

        async def send(message: AsgiMessage) -> None:
            if problem := await self._ask("send", number, _plain(message)):
                raise ConnectionResetError(problem)

        async def stream() -> None:
            problem = None
            try:
                await self._runner.stream(StreamingCall(*call), receive, send)
            except Exception as error:  # a ConnectionResetError; of any other the host must hear as well
                problem = str(error) or type(error).__name__
            self._send("result", number, problem)

        self._tasks.start(stream())

    async def _ask_client(
        self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, origin: str
    ) -> _ClientReply:
        pairs = [(str(name), value) for name, value in headers.items()]
        return _ClientReply(*await self._ask("client", method, path, query, pairs, body, origin))

    async def _put_messages(self, queue: str, texts: Sequence[str]) -> str:
        return str(await self._ask("put", queue, list(texts)))

    def _user_loop_ended(self, error: UserLoopEnded) -> None:
        print(
            f"The app has ended the event loop in which all its async functions run: {error.cause}. "
            "Its worker ends, as on Azure. Let the app's tasks return instead.",
            file=sys.stderr,
        )
        os._exit(1)


class _ActivityResult:
    """The `ActivityListener` of one activity: sends its outcome to the host, which knows that it has begun."""

    __slots__ = ("_channel", "_number")

    def __init__(self, channel: Channel, number: int) -> None:
        self._channel = channel
        self._number = number

    def begun(self) -> None:
        pass

    def ended(self, outcome: ActivityOutcome, worker: int | None = None) -> None:
        self._channel.send_at_flush(("result", self._number, protocol.outcome_to_wire(outcome)))


class _CallsByThread(RunningCalls):
    """Knows the newest call that has begun in each thread, by the thread's identifier."""

    def __init__(self, streams: Sequence[WorkerStream]) -> None:
        super().__init__()
        self._streams = streams
        self.by_thread: dict[int, CurrentCall] = {}

    def begin(self, kind: str, function: str, instance_id: str | None) -> int:
        self.by_thread[threading.get_ident()] = CurrentCall(kind, function, instance_id)
        return super().begin(kind, function, instance_id)

    def end(self, entry: int) -> None:
        for stream in self._streams:
            stream.end_call()
        self.by_thread.pop(threading.get_ident(), None)
        super().end(entry)


class _ClientReply(NamedTuple):
    status: int
    body: bytes


class _CallLog:
    """The `CallLog` of a worker: the host shows what is logged."""

    def __init__(self, send: Callable[..., None]) -> None:
        self.started = partial(send, "started")
        self.finished = partial(send, "finished")
        self.failed = partial(send, "failed")
        self.note = partial(send, "note")


def _plain(message: AsgiMessage) -> dict[str, Any]:
    """An ASGI message as the channel carries it: frameworks have own kinds of bytes and lists in it."""
    plain = dict(message)
    if "headers" in plain:
        plain["headers"] = [(bytes(name), bytes(value)) for name, value in plain["headers"]]
    if "body" in plain:
        plain["body"] = bytes(plain["body"])
    return plain


def end_process() -> None:
    """End it without waiting for threads that run user code.

    What the app has begun by multiprocessing would stay for ever, such as the processes of a ProcessPoolExecutor,
    which wait for their next task. Python ends it where it ends by itself.
    """
    with suppress(Exception):
        if (multiprocessing := sys.modules.get("multiprocessing")) is not None:
            for child in multiprocessing.active_children():
                child.terminate()
    os._exit(0)


def _end_by(error: BaseException) -> None:
    """SystemExit and KeyboardInterrupt in a function end the process, with the real worker's exit codes."""
    traceback.print_exception(type(error), error, exceptions.user_traceback(error))
    sys.stderr.flush()
    os._exit(1 if isinstance(error, SystemExit) else 130)
