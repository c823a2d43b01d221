"""`WorkerRunner`: the `AppRunner` over worker processes.

Calls go to the workers in turn. A call that finds none ready waits for the next one. When a worker ends, what ran in
it fails with the words of the Functions host, and another takes its place: the first time at once, later not before
ten seconds after the last start, as there.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any

from multidict import CIMultiDict

from dfhost.app_output import OutputSink
from dfhost.background_tasks import BackgroundTasks
from dfhost.engine import failures
from dfhost.engine.failures import Failure
from dfhost.engine.replay_result import ReplayResult
from dfhost.errors import AppError, AppImportFailed
from dfhost.host_log import HostLog
from dfhost.runner.app_runner import (
    ActivityCall,
    ActivityDone,
    EntityCall,
    EntityReply,
    FunctionCall,
    HostServices,
    HttpReply,
    Receive,
    ReplayCall,
    Send,
    StreamingCall,
)
from dfhost.runner.functions import AppInfo
from dfhost.worker import protocol
from dfhost.worker.channel import Message
from dfhost.worker.deaths import RESTART_INTERVAL, DeathReport
from dfhost.worker.process import RunningCall, WorkerOptions, WorkerProcess

_GRACE = 3.0  # seconds that the calls beside one that has timed out may still take
_REPLAY_ATTEMPTS = 3  # of an orchestrator that times out
_STOPS_WITHIN = 1.5  # seconds
_GENERATOR_LOST = Failure("GeneratorLost", "", "", "")  # the engine replays


class WorkerRunner:
    """`count`: how many workers there are. `timeout`: functionTimeout in seconds, None for none.

    `restart_interval`: seconds between two starts, if workers die.

    The first workers are started here, so that they load the app while the host is loaded.
    """

    def __init__(
        self,
        options: WorkerOptions,
        log: HostLog,
        sink: OutputSink,
        *,
        count: int = 1,
        timeout: float | None = None,
        restart_interval: float = RESTART_INTERVAL,
    ) -> None:
        self._options = options
        self._log = log
        self._sink = sink
        self._count = count
        self._timeout = timeout
        self._restart_interval = restart_interval
        self.replays_at_once = 2 * count + 1
        self.streams_http = False
        self.applies_timeout = True
        self._lock = threading.Lock()  # of the three below
        self._ready: list[WorkerProcess] = []
        self._turn = 0
        self._waiting: deque[Callable[[WorkerProcess], None]] = deque()
        self._processes = [WorkerProcess(options, sink) for _ in range(count)]
        self._started_at = time.monotonic()
        self._deaths = DeathReport(log, count, restart_interval)
        self._services: HostServices | None = None
        self._clients: Any = None
        self._streams: dict[tuple[WorkerProcess, int], tuple[Receive, Send]] = {}
        self._tasks = BackgroundTasks()
        self._stopping = False

    # -- its life --------------------------------------------------------------------------------------------

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loaded: asyncio.Future[None] = self._loop.create_future()
        for process in self._processes:
            await self._open(process)
        try:
            await self._loaded
        except BaseException:
            await self.stop()
            raise
        if self._timeout is not None:
            self._tasks.start(self._watch_timeouts(self._timeout))

    async def connect(self, services: HostServices) -> None:
        self._services = services
        self._clients = services.clients(self.app)
        for process in self._processes:
            if process.is_loaded:
                self._make_ready(process)

    async def stop(self) -> None:
        if self._stopping:
            return
        self._stopping = True
        self._tasks.cancel()
        for process in self._processes:
            process.abandon_calls()
            process.send("stop")
        await self._wait_for_ends(_STOPS_WITHIN)
        for process in self._processes:
            process.kill()
        await self._wait_for_ends(_STOPS_WITHIN)

    async def _wait_for_ends(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self._processes and time.monotonic() < deadline:
            await asyncio.sleep(0.005)

    async def _open(self, process: WorkerProcess) -> None:
        await process.open(self._receive, self._lost, self._ended)

    def _start_process(self) -> None:
        """Start a worker in the place of one that has ended."""
        if self._stopping:
            return
        process = WorkerProcess(self._options, self._sink)
        self._processes.append(process)
        self._started_at = process.started_at
        self._tasks.start(self._open(process))

    def _make_ready(self, process: WorkerProcess) -> None:
        assert self._services is not None
        process.send("connect", self._clients, self._services.client_url)
        with self._lock:
            self._ready.append(process)
            waiting, self._waiting = self._waiting, deque()
        for send in waiting:
            self._assign(send)

    def _lost(self, process: WorkerProcess) -> None:
        with self._lock:
            if process in self._ready:
                self._ready.remove(process)

    def _ended(self, process: WorkerProcess) -> None:
        self._processes.remove(process)
        if self._stopping:
            return
        if not self._loaded.done():
            self._loaded.set_exception(
                AppError(f"The app's worker process ended while it loaded the app ({process.end}).")
            )
            return
        if not process.is_expected_to_end:
            delay = self._deaths.restart_delay(self._started_at)
            self._deaths.report(process, delay)
            self._loop.call_later(delay, self._start_process)
        process.fail_calls()

    def _replace(self, process: WorkerProcess) -> None:
        """Give it no more calls, and start another; it is killed as soon as only calls are left that hang."""
        if process.is_expected_to_end:
            return
        process.is_expected_to_end = True
        self._lost(process)
        self._start_process()
        self._tasks.start(self._kill_after_grace(process))

    async def _kill_after_grace(self, process: WorkerProcess) -> None:
        deadline = time.monotonic() + _GRACE
        while process.calls and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        process.kill()

    # -- what workers say ------------------------------------------------------------------------------------

    def _receive(self, process: WorkerProcess, message: Message) -> None:
        match message:
            case ("ask", number, what, *question):
                self._tasks.start(self._answer(process, number, what, question))
            case ("note", sentence):
                self._log.note(sentence)
            case (("started" | "finished" | "failed") as verb, *arguments):
                getattr(self._log, verb)(*arguments)
            case ("loaded", app):
                self._app_loaded(process, *protocol.app_from_wire(app))
            case ("not loaded", sentence, traceback):
                self._app_not_loaded(process, sentence, traceback)

    def _app_loaded(self, process: WorkerProcess, app: AppInfo, streams_http: bool) -> None:
        process.is_loaded = True
        if not self._loaded.done():
            self.app, self.streams_http = app, streams_http
            self._loaded.set_result(None)
        if self._services is not None:
            self._make_ready(process)

    def _app_not_loaded(self, process: WorkerProcess, sentence: str, traceback: str | None) -> None:
        if not self._loaded.done():
            error = AppImportFailed(sentence, traceback) if traceback else AppError(sentence)
            self._loaded.set_exception(error)
            return
        self._log.note(f"{sentence} The app is loaded again in {self._restart_interval:.0f} s.")
        process.is_expected_to_end = True
        process.kill()
        self._loop.call_later(self._restart_interval, self._start_process)

    async def _answer(self, process: WorkerProcess, number: int, what: str, question: list[Any]) -> None:
        answer: Any
        if what == "client":
            assert self._services is not None
            method, path, query, headers, body, origin = question
            try:
                reply = await self._services.answer_client(
                    method, path, query, CIMultiDict(headers), body, origin
                )
                answer = [reply.status, reply.body]
            except Exception:  # the store has failed, and the host stops
                answer = [500, b""]
        else:
            receive, send = self._streams[process, question[0]]
            if what == "receive":
                answer = dict(await receive())
            else:
                try:
                    await send(question[1])
                    answer = None
                except ConnectionError as error:
                    answer = str(error) or "disconnected"
        process.send("answer", number, answer)

    # -- calls, on any thread --------------------------------------------------------------------------------

    def _assign(self, send: Callable[[WorkerProcess], None]) -> None:
        """`send` a call to the worker whose turn it is, now or when there is one."""
        with self._lock:
            if not self._ready:
                self._waiting.append(send)
                return
            self._turn = (self._turn + 1) % len(self._ready)
            process = self._ready[self._turn]
        send(process)

    def _call(self, call: RunningCall, *message: Any) -> None:
        def send(process: WorkerProcess) -> None:
            process.call(call, call.kind, *message)

        self._assign(send)

    def run_activity(self, call: ActivityCall, done: ActivityDone) -> None:
        def resolve(value: Any) -> None:
            done(protocol.outcome_from_wire(value), running.worker)

        running = RunningCall("activity", call.function, call.instance_id, resolve)
        self._call(running, *call)

    def replay(self, call: ReplayCall) -> ReplayResult:
        for _ in range(_REPLAY_ATTEMPTS):
            process = self._next_process()
            value = self._replay(process, call, False)
            if not (isinstance(value, Failure) and failures.is_timeout(value)):
                return self._result(value, process, call)
        message = f"it did not return within the functionTimeout, {_REPLAY_ATTEMPTS} times"
        return ReplayResult(crash=Failure("", message, message, ""))

    def _replay(self, process: WorkerProcess, call: ReplayCall, describes_tasks: bool) -> Any:
        return process.call_and_wait(
            "orchestration", call.function, call.instance_id, "replay", *call, describes_tasks
        )

    def _result(self, value: Any, process: WorkerProcess, call: ReplayCall) -> ReplayResult:
        if isinstance(value, Failure):
            return ReplayResult(crash=Failure("", value.message, value.message, ""))

        def describe(generator: int | None) -> dict[int, Any]:
            if generator is None:
                again = self._replay(self._next_process(), call._replace(keeps_generator=False), True)
                return {} if isinstance(again, Failure) else protocol.open_tasks_of(again)
            tasks = process.call_and_wait(
                "orchestration", call.function, call.instance_id, "describe tasks", generator
            )
            return {} if isinstance(tasks, Failure) else tasks

        result, generator = protocol.replay_from_wire(value, describe)
        if generator is not None:
            result.generator = _RemoteGenerator(self, process, generator, call)
        return result

    def go_on(
        self, process: WorkerProcess, generator: int, call: ReplayCall, texts: list[str]
    ) -> ReplayResult:
        with self._lock:
            if process not in self._ready:
                return ReplayResult(crash=_GENERATOR_LOST)
        value = process.call_and_wait(
            "orchestration", call.function, call.instance_id, "go on", generator, texts
        )
        if isinstance(value, Failure) and failures.is_timeout(value):
            return ReplayResult(crash=_GENERATOR_LOST)
        return self._result(value, process, call)

    def run_entity(self, call: EntityCall) -> EntityReply | Failure:
        while True:
            value = self._next_process().call_and_wait(
                "entity", call.function, call.entity_id, "entity", *call
            )
            reply = protocol.entity_reply_from_wire(value)
            if not (isinstance(reply, Failure) and failures.is_worker_exit(reply)):
                return reply
            # As on Azure, the batch is done again when its worker has died.

    def _next_process(self) -> WorkerProcess:
        """The worker whose turn it is. Blocks until there is one."""
        chosen: SimpleQueue[WorkerProcess] = SimpleQueue()
        self._assign(chosen.put)
        return chosen.get()

    async def invoke(self, call: FunctionCall) -> HttpReply | Failure | None:
        result: asyncio.Future[Any] = self._loop.create_future()
        kind, data = protocol.data_to_wire(call)
        running = RunningCall("invoke", call.function, None, partial(_set, result))
        self._call(running, call.function, kind, data, call.retry_count)
        return protocol.reply_from_wire(await result)

    async def stream(self, call: StreamingCall, receive: Receive, send: Send) -> None:
        result: asyncio.Future[Any] = self._loop.create_future()
        running = RunningCall("stream", call.function, None, partial(_set, result))
        keys: list[tuple[WorkerProcess, int]] = []

        def begin(process: WorkerProcess) -> None:
            number = process.call(running, "stream", *call)
            keys.append((process, number))
            self._streams[process, number] = receive, send

        self._assign(begin)
        try:
            problem = await result
        finally:
            for key in keys:
                self._streams.pop(key, None)
        if problem is not None:
            text = problem.text if isinstance(problem, Failure) else problem
            raise ConnectionResetError(text)

    # -- functionTimeout -------------------------------------------------------------------------------------

    async def _watch_timeouts(self, timeout: float) -> None:
        while True:
            await asyncio.sleep(min(0.5, timeout / 4))
            oldest = time.monotonic() - timeout
            for process in list(self._processes):
                late = [(n, call) for n, call in list(process.calls.items()) if call.since < oldest]
                for number, call in late:
                    if process.calls.pop(number, None) is not None:
                        call.resolve(failures.timed_out(call.function, timeout))
                if late:
                    self._replace(process)


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
            self._process.send("drop", self._generator)


def _set(result: asyncio.Future[Any], value: Any) -> None:
    if not result.done():
        result.set_result(value)
