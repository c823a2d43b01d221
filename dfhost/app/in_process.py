"""The runner that calls the app in this process: `AppRunner` over the app's functions and their threads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from azure.functions.meta import Datum

from dfhost.app.activity_threads import ActivityThreads
from dfhost.app.bindings import http_streaming_enabled
from dfhost.app.entities import run_batch
from dfhost.app.exceptions import describe_exception
from dfhost.app.functions import App, Function, InvocationResult
from dfhost.app.http_messages import http_reply, request_datum
from dfhost.app.http_streaming import StreamingWebApp, run_on_loop
from dfhost.app.invocation import Invocation
from dfhost.app.loader import load_app
from dfhost.app.loop_watch import LoopWatch
from dfhost.app.loopback import LoopbackSession
from dfhost.app.sdk import Replayer
from dfhost.app.sdk_patches import close_client_session, wrap_client_session
from dfhost.app.threads import UserThreads
from dfhost.app.trigger_data import trigger_data
from dfhost.app_output import silence
from dfhost.engine.failures import Failure
from dfhost.engine.replay_result import KeptGenerator, ReplayResult
from dfhost.errors import HostError, UserLoopEnded
from dfhost.host_log import CallLog
from dfhost.runner.app_runner import (
    ActivityCall,
    ActivityListener,
    EntityCall,
    EntityReply,
    FunctionCall,
    HostServices,
    HttpReply,
    HttpRequest,
    Receive,
    ReplayCall,
    RunningOperation,
    Send,
    StreamingCall,
)
from dfhost.runner.functions import AppInfo
from dfhost.settings.model import processor_count

_SESSION_CLOSES_WITHIN = 1.0  # seconds
T = TypeVar("T")


class InProcessRunner:
    """The app in the folder `root`. `only`: the names of the functions that run, all if empty.

    `on_failure` is called, on any thread, if the app ends the event loop of its async functions: nothing can go on
    then. `threads`: where user code runs, if not in threads of the runner's own. `reuses_import`: see `load_app`.
    `pass_on_outcomes`: see `ActivityThreads`.
    """

    def __init__(
        self,
        root: Path,
        log: CallLog,
        *,
        only: Collection[str] = (),
        on_failure: Callable[[HostError], None] | None = None,
        threads: UserThreads | None = None,
        reuses_import: bool = False,
        pass_on_outcomes: Callable[[], None] = lambda: None,
    ) -> None:
        self._reuses_import = reuses_import
        self._pass_on_outcomes = pass_on_outcomes
        self._root = root
        self._log = log
        self._only = only
        self._threads = threads or UserThreads(on_loop_ended=on_failure)
        self._owns_threads = threads is None
        self._loopbacks: list[LoopbackSession] = []
        self._undo: list[Callable[[], None]] = []
        self.loaded: App | None = None
        self._loop_watch: LoopWatch | None = None
        self._operations: dict[str, RunningOperation] = {}  # by the id of the entity
        self._stopped = False
        self.replays_at_once = max(2, processor_count())
        self.streams_http = self.applies_timeout = False
        self.ready_since = 0.0

    # -- its life --------------------------------------------------------------------------------------------

    def load(self) -> App:
        """Import the app, in this thread. `start` does it, if nobody has."""
        with self._threads.loop_for_import():
            self.loaded = load_app(self._root, self._log, self._only, reuses_import=self._reuses_import)
        return self.loaded

    async def start(self) -> None:
        threads = self._threads
        try:
            app = self.loaded or self.load()
        except BaseException:
            threads.stop()
            raise
        if self._owns_threads:
            threads.start()
        self.app: AppInfo = app.info
        self._functions = _ByName({function.name: function for function in app.functions})
        self._replayers = _ByName({each.name: Replayer(each.callable) for each in app.orchestrators})
        self._activities = ActivityThreads(threads, self._pass_on_outcomes)
        self._loop_watch = watch = LoopWatch(threads, app.functions, self._log)
        watch.start()
        self.streams_http = http_streaming_enabled()
        self._web_app = StreamingWebApp(threads, self._log) if self.streams_http else None

    async def connect(self, services: HostServices) -> None:
        app, host_loop = self.loaded, asyncio.get_running_loop()
        assert app is not None and self._loop_watch is not None
        self._loop_watch.reported.clear()

        def loopback(session: Any) -> LoopbackSession:
            self._loopbacks.append(
                LoopbackSession(session, services.client_url, services.answer_client, host_loop)
            )
            return self._loopbacks[-1]

        self._threads.calls = services.calls
        app.connect(services.clients(self.app))
        app.outputs.connect(services.put_messages)
        self._undo.append(wrap_client_session(loopback))

    async def disconnect(self) -> None:
        """Leave the host. Another one may `connect` then."""
        for each in self._loopbacks:
            each.close()
        self._loopbacks.clear()
        while self._undo:
            self._undo.pop()()

    def expect_stop(self) -> None:
        """Nothing is started beforehand."""

    async def stop(self) -> None:
        if self._stopped:
            return
        self._stopped = True
        await self.disconnect()
        if self._loop_watch is not None:
            self._loop_watch.stop()
        if self.loaded is not None:
            # The app's own code may have ended the loop, or an async function may block it.
            with suppress(UserLoopEnded, asyncio.TimeoutError):
                await asyncio.wait_for(self._threads.run_async(close_client_session), _SESSION_CLOSES_WITHIN)
        if self._owns_threads:
            self._threads.stop()

    # -- durable functions -----------------------------------------------------------------------------------

    def wait_until_ready(self) -> None:
        """Returns at once: no call waits for a worker process here."""

    def run_activity(self, call: ActivityCall, listener: ActivityListener) -> None:
        listener.begun()
        self._activities.run(self._functions[call.function], call, listener)

    def replay(self, call: ReplayCall) -> ReplayResult:
        def replay() -> ReplayResult:
            with silence() if call.is_silent else nullcontext():
                return self._replayers[call.function](call.trigger, call.keeps_generator)

        return self._run_orchestrator(call.function, call.instance_id, replay)

    def _run_orchestrator(
        self, function: str, instance_id: str, run: Callable[[], ReplayResult]
    ) -> ReplayResult:
        """A replay, or the next turn of a generator that was kept."""
        with self._threads.calls.entered("orchestrator", function, instance_id):
            result = run()
        if (generator := result.generator) is not None:
            result.generator = _EnteredGenerator(
                generator, partial(self._run_orchestrator, function, instance_id)
            )
        return result

    def run_entity(self, call: EntityCall) -> EntityReply | Failure:
        def begun(place: int | None) -> None:
            self._operations[call.entity_id] = RunningOperation(place, time.time())

        with self._threads.calls.entered("entity", call.function, call.entity_id):
            begun(None)
            try:
                return run_batch(self._functions[call.function].callable, call.trigger, begun)
            except BaseException as error:  # user code may raise anything, SystemExit included
                return describe_exception(error)
            finally:
                self._operations.pop(call.entity_id, None)  # it may run twice at once, if it was purged

    def running_operation(self, entity_id: str) -> RunningOperation | None:
        return self._operations.get(entity_id)

    # -- other functions -------------------------------------------------------------------------------------

    async def invoke(self, call: FunctionCall) -> HttpReply | Failure | None:
        function = self._functions[call.function]
        outcome = await self._outcome(function, call)
        if isinstance(outcome, Failure):
            return outcome
        try:
            await function.send_outputs(outcome)
            return http_reply(function, outcome) if isinstance(call.data, HttpRequest) else None
        except Exception as error:  # an output that cannot be sent, or a value that nobody has thought of
            return describe_exception(error)

    async def _outcome(self, function: Function, call: FunctionCall) -> InvocationResult | Failure:
        """Exceptions are described on the user's thread, because a future cannot carry every one."""
        data, metadata, headers = _trigger(function, call)
        invocation = _invocation(function, headers, call.retry_count)

        def run() -> InvocationResult | Failure:
            with self._threads.calls.entered(function.kind, function.name, None):
                try:
                    return function.invoke(data, metadata, invocation)
                except BaseException as error:
                    return describe_exception(error)

        async def run_async() -> InvocationResult | Failure:
            with self._threads.calls.entered(function.kind, function.name, None):
                try:
                    return await function.invoke_async(data, metadata, invocation)
                except BaseException as error:
                    return describe_exception(error)

        try:
            return await (self._threads.run_async(run_async) if function.is_async else self._threads.run(run))
        except UserLoopEnded as error:
            return describe_exception(error)

    async def stream(self, call: StreamingCall, receive: Receive, send: Send) -> None:
        assert self._web_app is not None
        function, loop = self._functions[call.function], asyncio.get_running_loop()
        await self._web_app.call(
            function,
            call.params,
            _invocation(function, call.headers),
            call.scope,
            run_on_loop(loop, receive),
            run_on_loop(loop, send),
        )


class _ByName(dict[str, T]):
    """A call may have the name in another case, from before a reload: it is the same function."""

    def __missing__(self, name: str) -> T:
        for each, value in self.items():
            if each.lower() == name.lower():
                return value
        raise KeyError(name)


class _EnteredGenerator:
    """A kept generator each of whose turns is a call of user code like a replay."""

    def __init__(
        self, generator: KeptGenerator, run: Callable[[Callable[[], ReplayResult]], ReplayResult]
    ) -> None:
        self._generator = generator
        self._run = run

    def go_on(self, texts: Sequence[str]) -> ReplayResult:
        return self._run(partial(self._generator.go_on, texts))


def _trigger(function: Function, call: FunctionCall) -> tuple[Datum, Any, dict[str, str]]:
    """The trigger's data, its metadata, and the headers of the request."""
    if isinstance(call.data, HttpRequest):
        headers = {name.lower(): value for name, value in call.data.headers}
        return request_datum(call.data), None, headers
    return (*trigger_data(function, call.data), {})


def _invocation(function: Function, headers: dict[str, str], retry_count: int = 0) -> Invocation | None:
    """The invocation context, with the caller's trace if the request names it; None if the function takes none."""
    if not function.signature.wants_context:
        return None
    return function.new_invocation(retry_count, headers.get("traceparent", ""), headers.get("tracestate", ""))
