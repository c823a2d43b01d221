"""`WorkerRunner`: the `AppRunner` over worker processes.

`WorkerPool` has the processes. Calls go to them in turn, and a call that finds none ready waits for the next one.
What ran in a worker that has died fails with the words of the Functions host.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from multidict import CIMultiDict

from dfhost.background_tasks import BackgroundTasks
from dfhost.engine import failures
from dfhost.engine.failures import Failure
from dfhost.engine.replay_result import GeneratorLost, ReplayResult
from dfhost.host_log import HostLog
from dfhost.runner.app_runner import (
    ActivityCall,
    ActivityListener,
    AsgiMessage,
    EntityCall,
    EntityReply,
    FunctionCall,
    HostServices,
    HttpReply,
    Receive,
    ReplayCall,
    RunningOperation,
    Send,
    StreamingCall,
)
from dfhost.runner.functions import AppInfo
from dfhost.worker import protocol
from dfhost.worker.calls import OUTDATED, ActivityInWorker, AwaitedCall, BlockingCall, StreamedCall, Streams
from dfhost.worker.channel import Message
from dfhost.worker.deaths import RESTART_INTERVAL
from dfhost.worker.output import Terminal
from dfhost.worker.pool import OUTDATED_GRACE, WorkerPool
from dfhost.worker.process import WorkerOptions, WorkerProcess

_REPLAY_ATTEMPTS = 3  # of an orchestrator that times out


class WorkerRunner:
    """`count`: how many workers there are. `timeout`: functionTimeout in seconds, None for none.

    `restart_interval`: seconds between two starts, if workers die. `outdated_grace`: seconds that the old code may
    still take after a reload.

    The first workers are started here, so that they load the app while the host is loaded.
    """

    def __init__(
        self,
        options: WorkerOptions,
        log: HostLog,
        sink: Terminal,
        *,
        count: int = 1,
        timeout: float | None = None,
        restart_interval: float = RESTART_INTERVAL,
        outdated_grace: float = OUTDATED_GRACE,
    ) -> None:
        self._log = log
        self._timeout = timeout
        self._pool = WorkerPool(options, log, sink, count, restart_interval, outdated_grace, self._receive)
        self.replays_at_once = 2 * count + 1
        self.applies_timeout = True
        self._services: HostServices | None = None
        self._streams: Streams = {}
        self._tasks = BackgroundTasks()

    @property
    def ready_since(self) -> float:
        return self._pool.turns.ready_since

    @property
    def app(self) -> AppInfo:
        return self._pool.app

    @property
    def streams_http(self) -> bool:
        return self._pool.streams_http

    # -- its life --------------------------------------------------------------------------------------------

    async def start(self) -> None:
        await self._pool.start()
        self._tasks.start(self._watch_timeouts())

    async def connect(self, services: HostServices) -> None:
        self._services = services
        self._pool.connect(services)

    def reload(self, options: WorkerOptions, timeout: float | None) -> None:
        """Have the app loaded again, in new workers. To be called on the host's loop, once it is connected.

        The log says what becomes of it. What the old workers run they may end.
        """
        self._timeout = timeout
        self._pool.reload(options)

    def expect_stop(self) -> None:
        self._pool.expect_stop()

    async def stop(self) -> None:
        self._tasks.cancel()
        await self._pool.stop()

    # -- what workers say ------------------------------------------------------------------------------------

    def _receive(self, process: WorkerProcess, message: Message) -> None:
        match message:
            case ("ask", number, what, *question):
                self._tasks.start(self._answer(process, number, what, question))
            case ("note", sentence):
                self._log.note(sentence)
            case (("started" | "finished" | "failed") as verb, *arguments):
                getattr(self._log, verb)(*arguments)

    async def _answer(self, process: WorkerProcess, number: int, what: str, question: list[Any]) -> None:
        """A worker waits for each answer, so every question gets one."""
        answer: Any
        if what == "client":
            answer = await self._answer_client(*question)
        elif what == "put":
            assert self._services is not None
            answer = await self._services.put_messages(*question)
        else:
            answer = await self._answer_stream(what, process.pid, *question)
        process.send("answer", number, answer)

    async def _answer_client(
        self, method: str, path: str, query: str, headers: list[tuple[str, str]], body: bytes, origin: str
    ) -> list[Any]:
        assert self._services is not None
        reply = await self._services.answer_client(method, path, query, CIMultiDict(headers), body, origin)
        return [reply.status, reply.body]

    async def _answer_stream(self, what: str, pid: int, call_number: int, *message: AsgiMessage) -> Any:
        """What `receive` or `send` of a streamed call returns, or the text of what it raises: a disconnection."""
        ends = self._streams.get((pid, call_number))
        if ends is None:
            return "the host has given the request up"
        receive, send = ends
        try:
            return dict(await receive()) if what == "receive" else await send(*message)
        except Exception as error:  # a ConnectionError, or aiohttp's own for a body that is no HTTP
            return str(error) or "disconnected"

    # -- calls, on any thread --------------------------------------------------------------------------------

    def wait_until_ready(self) -> None:
        self._pool.turns.wait_until_ready()

    def run_activity(self, call: ActivityCall, listener: ActivityListener) -> None:
        self._pool.turns.give(ActivityInWorker(call, listener, self.run_activity))

    def _call_blocking(
        self, kind: str, function: str, instance_id: str, *message: Any
    ) -> tuple[Any, WorkerProcess]:
        """The value of a blocking call, or its Failure, and the worker that has made it. Blocks."""
        while True:
            call = BlockingCall(kind, function, instance_id)
            self._pool.turns.give(call)
            process, number = call.place()
            value = process.call_blocking(number, call, *message)
            if value is not OUTDATED:
                return value, process

    def replay(self, call: ReplayCall) -> ReplayResult:
        for _ in range(_REPLAY_ATTEMPTS):
            value, process = self._replay(call, False)
            if not (isinstance(value, Failure) and failures.is_timeout(value)):
                return self._replay_result(value, process, call)
        return ReplayResult(
            no_answer=f"it did not return within the functionTimeout, {_REPLAY_ATTEMPTS} times",
            cause=f"It did not return within the functionTimeout, {_REPLAY_ATTEMPTS} times.",
        )

    def _replay(self, call: ReplayCall, describes_tasks: bool) -> tuple[Any, WorkerProcess]:
        return self._call_blocking(
            "orchestrator", call.function, call.instance_id, "replay", *call, describes_tasks
        )

    def _replay_result(self, value: Any, process: WorkerProcess, call: ReplayCall) -> ReplayResult:
        if isinstance(value, Failure):
            if failures.is_worker_exit(value):
                cause = (
                    f"The app's worker process ended ({process.how_it_ended}) while it ran this orchestrator."
                )
            else:
                cause = value.message
            return ReplayResult(no_answer=value.message, cause=cause)

        def describe(generator: int | None) -> dict[int, Any]:
            if generator is not None:
                tasks = self._call_generator(process, call, "describe tasks", generator)
            else:
                again, _ = self._replay(call._replace(keeps_generator=False, is_silent=True), True)
                tasks = again if isinstance(again, Failure) else protocol.sdk_tasks_of(again)
            if tasks is None or isinstance(tasks, Failure):
                raise GeneratorLost
            return dict(tasks)

        result, generator = protocol.replay_from_wire(value, describe)
        if generator is not None:
            result.generator = _RemoteGenerator(self, process, generator, call)
        return result

    def _call_generator(self, process: WorkerProcess, call: ReplayCall, *message: Any) -> Any:
        """The value of a call of a generator that `process` has, or its Failure; None if the generator is lost."""
        blocking = BlockingCall("orchestrator", call.function, call.instance_id)
        number = self._pool.turns.place_in(process, blocking)
        value = None if number is None else process.call_blocking(number, blocking, *message)
        return None if value is OUTDATED else value

    def go_on(
        self, process: WorkerProcess, generator: int, call: ReplayCall, texts: list[str]
    ) -> ReplayResult:
        """See `KeptGenerator.go_on`. After a time-out a replay has attempts of its own."""
        value = self._call_generator(process, call, "go on", generator, texts)
        if value is None or (isinstance(value, Failure) and failures.is_timeout(value)):
            raise GeneratorLost
        return self._replay_result(value, process, call)

    def run_entity(self, call: EntityCall) -> EntityReply | Failure:
        while True:
            value, _ = self._call_blocking("entity", call.function, call.entity_id, "entity", *call)
            reply = protocol.entity_reply_from_wire(value)
            if not (isinstance(reply, Failure) and failures.is_worker_exit(reply)):
                return reply
            # As on Azure, the batch is done again when its worker has died.

    def running_operation(self, entity_id: str) -> RunningOperation | None:
        for process in list(self._pool.processes):
            for call in list(process.calls.values()):
                if (call.kind, call.instance_id) == ("entity", entity_id):
                    found = process.running_operation(entity_id)
                    return found or RunningOperation(None, time.time() - (time.monotonic() - call.since))
        return None

    async def invoke(self, call: FunctionCall) -> HttpReply | Failure | None:
        kind, data = protocol.data_to_wire(call)
        while True:
            running = AwaitedCall("invoke", call.function, (call.function, kind, data, call.retry_count))
            self._pool.turns.give(running)
            value = await running.result
            if value is not OUTDATED:
                return protocol.reply_from_wire(value)

    async def stream(self, call: StreamingCall, receive: Receive, send: Send) -> None:
        running = StreamedCall(call, self._streams, (receive, send))
        self._pool.turns.give(running)
        try:
            problem = await running.result
        finally:
            running.end()
        if problem is not None:
            text = problem.text if isinstance(problem, Failure) else str(problem)
            raise ConnectionResetError(text)

    # -- functionTimeout -------------------------------------------------------------------------------------

    async def _watch_timeouts(self) -> None:
        while True:
            timeout = self._timeout
            await asyncio.sleep(0.5 if timeout is None else min(0.5, timeout / 4))
            if timeout is None:
                continue
            oldest = time.monotonic() - timeout
            for process in list(self._pool.processes):
                # Other threads change `calls`. A list of its keys is made in one step, one of its items is not.
                known = [(number, process.calls.get(number)) for number in list(process.calls)]
                numbers = [number for number, call in known if call is not None and call.since < oldest]
                late = [call for number in numbers if (call := process.calls.pop(number, None)) is not None]
                if late:
                    self._pool.replace(process, late)
                for call in late:
                    call.resolve(failures.timed_out(call.function, timeout))


class _RemoteGenerator:
    """The engine's `KeptGenerator` in a worker."""

    def __init__(
        self, runner: WorkerRunner, process: WorkerProcess, generator: int, call: ReplayCall
    ) -> None:
        self._runner = runner
        self._process = process
        self._generator: int | None = generator
        self._call = call._replace(trigger="")

    def go_on(self, texts: Any) -> ReplayResult:
        generator, self._generator = self._generator, None
        assert generator is not None
        return self._runner.go_on(self._process, generator, self._call, list(texts))

    def __del__(self) -> None:
        if self._generator is not None:
            self._process.drop_generator(self._generator)
