"""The host: its parts, built from top to bottom and released in reverse. The only module that imports them all."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from dfhost.app.functions import App, Function
from dfhost.app.loader import load_app
from dfhost.app.loop_watch import LoopWatch
from dfhost.app.running_calls import RunningCalls, interrupted_sentence
from dfhost.app.sdk_patches import close_client_session, wrap_client_session
from dfhost.app.threads import UserThreads
from dfhost.clock import Clock
from dfhost.dispatch.idle_signal import IdleSignal
from dfhost.dispatch.task_hub_worker import TaskHubWorker
from dfhost.dispatch.timer_triggers import TimerTriggers
from dfhost.engine.options import EngineOptions
from dfhost.errors import HostError, UserLoopEnded
from dfhost.host_log import HostLog
from dfhost.http.function_routes import RouteTable
from dfhost.http.loopback import LoopbackSession
from dfhost.http.server import Server
from dfhost.management.api import ManagementApi
from dfhost.management.urls import RPC_PATH, client_json
from dfhost.settings import Settings
from dfhost.settings.model import DEFAULT_PORT
from dfhost.store.store import Store
from dfhost.task_hub import TaskHub

_SESSION_CLOSES_WITHIN = 1.0  # seconds


class Host:
    """A function app, running. Use as ``async with Host(…) as host``; raises HostErrors on the way in.

    `database` None keeps everything in memory. `port` 0 takes any free one; None takes none, and only `exchange`
    and the SDK's clients reach the host. `app`: the app of `root`, if it is loaded already. `on_failure` is called, from any thread,
    when the host cannot go on and should be stopped: the database can no longer be written, or the app has ended the
    event loop of its async functions. `on_ready` is called when the host takes requests and has not yet run
    anything, not even what an earlier host has left. `host_names`: names that requests may use besides localhost,
    `address` and the app setting WEBSITE_HOSTNAME.
    """

    app: App
    hub: TaskHub
    url: str

    def __init__(
        self,
        root: Path,
        *,
        settings: Settings,
        database: Path | None,
        app: App | None = None,
        port: int | None = 7071,
        address: str = "127.0.0.1",
        host_names: Sequence[str] = (),
        log: HostLog,
        on_failure: Callable[[HostError], None] | None = None,
        on_ready: Callable[[Host], None] = lambda host: None,
        clock: Clock | None = None,
    ) -> None:
        self._root = root
        self._loaded_app = app
        self._settings = settings
        self._database = database
        self._port = port
        self._address = address
        self._host_names = host_names
        self._log = log
        self._on_failure = on_failure or (lambda error: log.note(str(error)))
        self._on_ready = on_ready
        self._clock = clock or Clock()
        self._loopbacks: list[LoopbackSession] = []

    async def __aenter__(self) -> Host:
        async with AsyncExitStack() as stack:
            settings = self._settings
            self._calls = RunningCalls(self._database and Path(f"{self._database}.running"))
            threads = UserThreads(on_loop_ended=self._on_failure, calls=self._calls)
            replay_threads = UserThreads(_replay_thread_count(settings), calls=self._calls)
            for pool in (threads, replay_threads):
                stack.callback(pool.stop)
            if self._loaded_app is not None:
                self.app = self._loaded_app
            else:
                with threads.loop_for_import():
                    self.app = load_app(self._root, self._log, settings.functions)
            for pool in (threads, replay_threads):
                pool.start()
            stack.push_async_callback(_close_session, threads)
            store = Store(self._database)
            store.open()
            stack.callback(store.close)
            self._calls.open()  # under the lock of the database
            stack.callback(self._calls.close)
            self._worker = TaskHubWorker(
                self.app,
                store,
                threads,
                replay_threads,
                self._log,
                self._clock,
                _engine_options(settings),
                max_activities=settings.max_activities,
                max_orchestrators=settings.max_orchestrators,
                max_entities=settings.max_entities,
                max_entity_batch=settings.entity_batch_size,
                on_store_failure=self._on_failure,
            )
            self.hub = TaskHub(settings.hub, store, self._worker, settings, self._clock)
            management = ManagementApi(self.hub, connection=settings.connection, note=self._log.note)
            self._server = Server(
                self.app,
                threads,
                self._log,
                self._address,
                self._port,
                route_prefix=settings.route_prefix,
                mounts=management.mounts,
                cors=settings.cors,
                cors_credentials=settings.cors_credentials,
                timeout=settings.function_timeout,
                host_names=(*self._host_names, os.environ.get("WEBSITE_HOSTNAME", "")),
                custom_headers=settings.custom_headers,
                max_outstanding_requests=settings.max_outstanding_requests,
                max_concurrent_requests=settings.max_concurrent_requests,
            )
            # First the address, then the clients that need it, then the work that may use the clients.
            await self._server.start()
            stack.callback(self._close_loopbacks)
            stack.push_async_callback(self._server.stop)
            if self._server.port is None:
                # No request may ever reach another host that happens to listen on this machine.
                self.url, local = f"http://localhost:{DEFAULT_PORT}", "http://127.0.0.1:0"
            else:
                self.url = f"http://localhost:{self._server.port}"
                local = f"http://127.0.0.1:{self._server.port}"
            host_loop = asyncio.get_running_loop()

            def loopback(session: Any) -> LoopbackSession:
                self._loopbacks.append(
                    LoopbackSession(session, f"{local}{RPC_PATH}", management.handle, host_loop)
                )
                return self._loopbacks[-1]

            stack.callback(wrap_client_session(loopback))
            self.app.connect(
                lambda hub, connection: client_json(
                    local, f"{local}{RPC_PATH}", hub or settings.hub, connection or settings.connection
                )
            )
            watch = LoopWatch(threads, self.app.functions, self._log)
            watch.start()
            stack.callback(watch.stop)
            self._on_ready(self)
            self._worker.start()
            stack.push_async_callback(self._worker.stop)
            self._timers = TimerTriggers(
                self.app, threads, self._log, self._clock, timeout=settings.function_timeout
            )
            self._idle_signal = IdleSignal(lambda: self._is_idle)
            for part in (self._worker, self._timers, self._server.functions):
                part.on_end = self._idle_signal.changed
            self._timers.start()
            stack.push_async_callback(self._timers.stop)
            self._stack = stack.pop_all()
        return self

    def _close_loopbacks(self) -> None:
        for each in self._loopbacks:
            each.close()

    @property
    def routes(self) -> RouteTable[Function]:
        """The routes of the app's HTTP functions."""
        return self._server.routes

    @property
    def notes(self) -> list[str]:
        """Warnings about the app: triggers that do not run here, routes that no request can reach."""
        return [*self.app.notes, *self._server.notes, *self._notes_on_settings()]

    def _notes_on_settings(self) -> list[str]:
        app = self.app
        if self._settings.has_extensions or not (app.orchestrators or app.activities or app.entities):
            return []
        return [
            "host.json has no extensionBundle, so a real host has no Durable Task extension for this app. Add "
            '"extensionBundle": {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"}.'
        ]

    @property
    def last_death(self) -> str:
        """Which calls ran when the last host died, as a sentence; "" if it stopped."""
        return interrupted_sentence(self._calls.interrupted)

    def forget_running_calls(self) -> None:
        """Call this before the process is ended on a person's wish, so that no call is blamed for it."""
        self._calls.forget()

    async def exchange(self, request: bytes) -> bytes:
        """The response to one whole HTTP/1.1 request, both as bytes, without a socket."""
        return await self._server.exchange(request)

    async def idle(self) -> None:
        """Wait until nothing runs and nothing can run before the clock moves or somebody asks for more."""
        await self._idle_signal.wait()

    @property
    def _is_idle(self) -> bool:
        parts = (self._worker, self._timers, self._server.functions)
        return sum(part.unfinished for part in parts) <= self._clock.pauses

    async def drain(self) -> None:
        """Take no new work and wait until the results of what runs are stored."""
        self._server.refuse()
        await self._timers.stop()
        await self._worker.drain()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()


async def _close_session(threads: UserThreads) -> None:
    # The app's own code may have ended the loop, or an async function may block it.
    with suppress(UserLoopEnded, asyncio.TimeoutError):
        await asyncio.wait_for(threads.run_async(close_client_session), _SESSION_CLOSES_WITHIN)


def _replay_thread_count(settings: Settings) -> int:
    """Replays only compute, so more threads than processors would gain nothing."""
    return max(2, min(settings.max_orchestrators, os.cpu_count() or 1))


def _engine_options(settings: Settings) -> EngineOptions:
    return EngineOptions(
        store_inputs=settings.store_inputs,
        default_version=settings.default_version,
        version_match=settings.version_match,
        version_failure=settings.version_failure,
        async_request_sleep_ms=int(settings.http_poll_seconds * 1000),
        max_actions=settings.max_actions,
        live_from=None if settings.replay_always else EngineOptions().live_from,
    )
