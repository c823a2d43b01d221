"""The host: its parts, built in reading order and released in reverse. The only module that sees them all."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from dfhost.app.functions import App, Function
from dfhost.app.loader import load_app
from dfhost.app.schedule import TimerTriggers
from dfhost.app.sdk import close_client_session, stand_before_client_session
from dfhost.app.threads import UserThreads
from dfhost.engine.execution import EngineOptions
from dfhost.errors import DatabaseError
from dfhost.host_log import HostLog
from dfhost.http.routes import RouteTable
from dfhost.http.server import Server
from dfhost.management.api import ManagementApi
from dfhost.management.loopback import LoopbackSession
from dfhost.management.urls import RPC, WEBHOOKS, client_json
from dfhost.settings import Settings
from dfhost.store.store import Store
from dfhost.task_hub import TaskHub
from dfhost.worker.worker import Worker


class Host:
    """A function app, running. Use as ``async with Host(…) as host``; raises HostErrors on the way in.

    `database` None keeps everything in memory; `port` 0 takes any free one. `on_failure` hears of a database
    that can no longer be written while the host runs: nothing will go on then, leave. `on_ready` sees the host
    when it takes requests and before anything runs, what an earlier host has left included.
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
        port: int = 7071,
        address: str = "127.0.0.1",
        log: HostLog,
        on_failure: Callable[[DatabaseError], None] | None = None,
        on_ready: Callable[[Host], None] = lambda host: None,
    ) -> None:
        self._root = root
        self._settings = settings
        self._database = database
        self._port = port
        self._address = address
        self._log = log
        self._on_failure = on_failure or (lambda error: log.note(str(error)))
        self._on_ready = on_ready
        self._loopbacks: list[LoopbackSession] = []

    async def __aenter__(self) -> Host:
        async with AsyncExitStack() as stack:
            settings = self._settings
            self.app = load_app(self._root, self._log, settings.functions)
            threads, episodes = UserThreads(), UserThreads(_episode_threads(settings))
            for pool in (threads, episodes):
                pool.start()
                stack.callback(pool.stop)
            stack.push_async_callback(_close_session, threads)
            store = Store(self._database)
            store.open()
            stack.callback(store.close)
            self._worker = Worker(
                self.app,
                store,
                threads,
                episodes,
                self._log,
                _options(settings),
                max_activities=settings.max_activities,
                max_orchestrators=settings.max_orchestrators,
                max_entities=settings.max_entities,
                max_entity_batch=settings.entity_batch_size,
                on_store_failure=self._on_failure,
            )
            self.hub = TaskHub(settings.hub, self.app, store, self._worker, settings)
            management = ManagementApi(self.hub, connection=settings.connection)
            self._server = Server(
                self.app,
                threads,
                self._log,
                self._address,
                self._port,
                route_prefix=settings.route_prefix,
                mounts={WEBHOOKS: management.handle, RPC: management.handle},
                cors=settings.cors,
                cors_credentials=settings.cors_credentials,
                timeout=settings.function_timeout,
            )
            # The address first, then the clients that carry it, then the work that may use them.
            await self._server.start()
            stack.callback(self._close_loopbacks)
            stack.push_async_callback(self._server.stop)
            self.url = f"http://localhost:{self._server.port}"
            local = f"http://127.0.0.1:{self._server.port}"
            home = asyncio.get_running_loop()

            def loopback(session: Any) -> LoopbackSession:
                self._loopbacks.append(LoopbackSession(session, f"{local}{RPC}", management.handle, home))
                return self._loopbacks[-1]

            stack.callback(stand_before_client_session(loopback))
            self.app.connect(
                lambda hub, connection: client_json(
                    local, f"{local}{RPC}", hub or settings.hub, connection or settings.connection
                )
            )
            self._on_ready(self)
            self._worker.start()
            stack.push_async_callback(self._worker.stop)
            self._timers = TimerTriggers(self.app, threads, self._log, timeout=settings.function_timeout)
            self._timers.start()
            stack.push_async_callback(self._timers.stop)
            self._stack = stack.pop_all()
        return self

    def _close_loopbacks(self) -> None:
        for each in self._loopbacks:
            each.close()

    @property
    def routes(self) -> RouteTable[Function]:
        """Which of the app's functions takes a request."""
        return self._server.routes

    @property
    def notes(self) -> list[str]:
        """Sentences about the app that a person should read: what is not polled, what no request can reach."""
        return [*self.app.notes, *self._server.notes]

    async def drain(self) -> None:
        """Take no new work and wait until what runs has been stored."""
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
    with suppress(RuntimeError):  # the app's own code has ended the loop
        await threads.run_async(close_client_session)


def _episode_threads(settings: Settings) -> int:
    """Replays are work for the processor: more threads than processors would only take turns."""
    return max(2, min(settings.max_orchestrators, os.cpu_count() or 1))


def _options(settings: Settings) -> EngineOptions:
    return EngineOptions(
        store_inputs=settings.store_inputs,
        default_version=settings.default_version,
        version_match=settings.version_match,
        async_request_sleep_ms=int(settings.http_poll_seconds * 1000),
        max_actions=settings.max_actions,
    )
