"""The host: its parts, built from top to bottom and released in reverse. The only module that imports them all."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType

from dfhost.clock import Clock
from dfhost.dashboard.dashboard import Dashboard
from dfhost.dispatch.call_http import CallHttp, call_http
from dfhost.dispatch.dispatchers import Dispatchers
from dfhost.engine.options import EngineOptions
from dfhost.errors import HostError
from dfhost.host_log import HostLog
from dfhost.http.function_routes import RouteTable
from dfhost.http.queue_requests import QUEUES_PATH, QueueRequests
from dfhost.http.server import Server
from dfhost.idle_signal import IdleSignal
from dfhost.inspection.removed_functions import missing_orchestrator_notes, removed_function_notes
from dfhost.management.api import ManagementApi
from dfhost.management.urls import RPC_PATH, client_json
from dfhost.runner.app_runner import AppRunner, ClientTexts, HostServices
from dfhost.runner.durable_clients import client_texts
from dfhost.runner.functions import AppInfo, FunctionInfo
from dfhost.running_calls import RunningCalls, interrupted_sentence
from dfhost.settings import Settings
from dfhost.settings.model import DEFAULT_PORT
from dfhost.store.store import Store
from dfhost.task_hub import TaskHub
from dfhost.triggers.queue_notes import queue_notes
from dfhost.triggers.queue_triggers import QueueTriggers
from dfhost.triggers.queues import Queues
from dfhost.triggers.timer_triggers import TimerTriggers, next_runs

_FINISHES_WITHIN = 8.0  # seconds; with all that follows a stop takes ten at most
_CALLS_END_WITHIN = 5.0  # seconds for HTTP functions, if the host is stopped without `finish`


class Host:
    """A function app, running. Use as ``async with Host(…) as host``; raises HostErrors on the way in.

    `runner` has the app, and is started and stopped here. `database` None keeps everything in memory; `store`, if it
    is given, is used instead. `port` 0 takes any free one; None takes none, and only `exchange` and the app's durable
    clients reach the host. `on_failure` is called, from any thread, when the host cannot go on and should be stopped:
    the database can no longer be written. `on_ready` is called when the host takes requests and has not yet run
    anything, not even what an earlier host has left. `host_names`: names that requests may use besides localhost,
    `address` and the app setting WEBSITE_HOSTNAME. `call_http` sends what orchestrators give to `context.call_http`.
    `timer_triggers`: whether the app's timer functions run on their schedules. `check_histories`: whether the start
    says which waiting instances the app's code does not fit.
    """

    hub: TaskHub
    url: str
    unfinished_at_start: int  # orchestrations that an earlier host has left

    def __init__(
        self,
        runner: AppRunner,
        *,
        settings: Settings,
        database: Path | None,
        store: Store | None = None,
        port: int | None = 7071,
        address: str = "127.0.0.1",
        host_names: Sequence[str] = (),
        log: HostLog,
        on_failure: Callable[[HostError], None] | None = None,
        on_ready: Callable[[Host], None] = lambda host: None,
        clock: Clock | None = None,
        call_http: CallHttp = call_http,
        dashboard: bool = True,
        timer_triggers: bool = True,
        check_histories: bool = False,
    ) -> None:
        self._finished = False
        self.runner = runner
        self._settings = settings
        self._database = database
        self._given_store = store
        self._port = port
        self._address = address
        self._host_names = host_names
        self._log = log
        self._on_failure = on_failure or (lambda error: log.note(str(error)))
        self._on_ready = on_ready
        self._clock = clock or Clock()
        self._call_http = call_http
        self._has_dashboard = dashboard
        self._has_timer_triggers = timer_triggers
        self._checks_histories = check_histories

    async def __aenter__(self) -> Host:
        async with AsyncExitStack() as stack:
            settings = self._settings
            self._calls = RunningCalls(self._database and Path(f"{self._database}.running"))
            await self.runner.start()
            stack.push_async_callback(self.runner.stop)
            self._store = store = self._given_store or Store(self._database, self._clock)
            store.open()
            stack.callback(store.close)
            self._calls.open()  # under the lock of the database
            self._dispatchers = self._make_dispatchers(store)
            stack.callback(lambda: self._calls.close(self._dispatchers.activities.any_runs))
            self.hub = TaskHub(settings.hub, store, self._dispatchers, settings, self._clock)
            management = ManagementApi(self.hub, connection=settings.connection, note=self._log.note)
            timeout = None if self.runner.applies_timeout else settings.function_timeout
            self._queues = Queues(store, self._clock, settings.queues.max_bytes)
            self._queue_triggers = QueueTriggers(
                self.runner, store, self._queues, self._log, self._clock, settings.queues, timeout
            )
            self._server = self._make_server(management, timeout)
            # First the address, then the clients that need it, then the work that may use the clients.
            await self._server.start()
            stack.push_async_callback(self._close_server)
            # Without a port: an address at which nobody else may ever be reached.
            self._client_origin = f"http://127.0.0.1:{self._server.port or 0}"
            self.url = f"http://localhost:{self._server.port or DEFAULT_PORT}"
            await self.runner.connect(self._services(management))
            stack.push_async_callback(self.runner.stop)  # before the store is closed, which it asks
            unfinished = store.open_instances_by_name()
            self.unfinished_at_start = sum(unfinished.values())
            self._on_ready(self)
            self._dispatchers.start(
                self.unfinished_at_start,
                check_histories=self._checks_histories,
                left_calls=self._calls.left_calls,
            )
            for note in missing_orchestrator_notes(self.app, unfinished):
                self._log.note(note)
            stack.push_async_callback(self._dispatchers.close)
            self._timers = TimerTriggers(self.runner, self._log, self._clock, timeout=timeout)
            self._idle_signal = IdleSignal(lambda: self.is_idle)
            for part in self._parts:
                part.on_end = self._idle_signal.changed
            if self._has_timer_triggers:
                self._timers.start()
            stack.push_async_callback(self._timers.close)
            await self._queue_triggers.start()
            stack.push_async_callback(self._queue_triggers.close)
            self._stack = stack.pop_all()
        return self

    def _make_dispatchers(self, store: Store) -> Dispatchers:
        settings = self._settings
        return Dispatchers(
            self.runner,
            store,
            self._log,
            self._clock,
            _engine_options(settings),
            max_activities=settings.max_activities,
            max_orchestrators=settings.max_orchestrators,
            max_entities=settings.max_entities,
            max_entity_batch=settings.entity_batch_size,
            call_http=self._call_http,
            on_store_failure=self._on_failure,
        )

    def _make_server(self, management: ManagementApi, timeout: float | None) -> Server:
        settings = self._settings
        queue_requests = QueueRequests(self._queues, self._queue_triggers)
        return Server(
            self.runner,
            self._log,
            self._address,
            self._port,
            clock=self._clock,
            route_prefix=settings.route_prefix,
            mounts={**management.mounts, QUEUES_PATH: queue_requests.handle},
            cors=settings.cors,
            cors_credentials=settings.cors_credentials,
            timeout=timeout,
            host_names=(*self._host_names, os.environ.get("WEBSITE_HOSTNAME", "")),
            custom_headers=settings.custom_headers,
            max_outstanding_requests=settings.max_outstanding_requests,
            max_concurrent_requests=settings.max_concurrent_requests,
            dashboard=self._dashboard() if self._has_dashboard else None,
        )

    def _services(self, management: ManagementApi) -> HostServices:
        return HostServices(
            clients=self._clients,
            client_url=f"{self._client_origin}{RPC_PATH}",
            answer_client=management.handle,
            calls=self._calls,
            put_messages=self._put_messages,
            change_app=self._change_app,
        )

    async def _put_messages(self, queue: str, texts: Sequence[str]) -> str:
        try:
            await self._queues.put(queue, texts)
        except HostError as error:
            return str(error)
        return ""

    def _dashboard(self) -> Dashboard:
        return Dashboard(
            self.hub,
            self._queues,
            self._queue_triggers,
            self.app.root.resolve().name,
            lambda: self.app,
            lambda: self.next_timer_runs,
        )

    async def _close_server(self) -> None:
        await self._server.close(0.0 if self._finished else _CALLS_END_WITHIN)

    def _clients(self, app: AppInfo) -> ClientTexts:
        settings = self._settings
        return client_texts(
            app,
            lambda hub, connection: client_json(
                self._client_origin if self._port is not None else self.url,
                f"{self._client_origin}{RPC_PATH}",
                hub or settings.hub,
                connection or settings.connection,
            ),
        )

    def _change_app(self, before: AppInfo, app: AppInfo) -> list[str]:
        """Whatever has a table of the app's functions gets the new one. Returns the notes that are new."""
        known = self._notes(before)
        self._server.change_app(app)  # the only part that may refuse it
        self._dispatchers.change_app(app)
        self._timers.change_app(app)
        self._queue_triggers.change_app(app)
        new = [note for note in self._notes(app) if note not in known]
        return [*new, *removed_function_notes(before, app, self._store)]

    @property
    def app(self) -> AppInfo:
        return self.runner.app

    @property
    def routes(self) -> RouteTable[FunctionInfo]:
        """The routes of the app's HTTP functions."""
        return self._server.routes

    @property
    def next_timer_runs(self) -> dict[str, datetime]:
        """By timer function; without those that never run."""
        return next_runs(self.app, self._clock.now())

    @property
    def notes(self) -> list[str]:
        """Warnings about the app: triggers that do not run here, routes that no request can reach."""
        return self._notes(self.app)

    def _notes(self, app: AppInfo) -> list[str]:
        triggers = self._notes_on_triggers(app)
        return [
            *app.mistakes,
            *triggers,
            *queue_notes(app.functions),
            *app.notes,
            *self._server.notes,
            *self._notes_on_settings(app),
        ]

    def _notes_on_triggers(self, app: AppInfo) -> list[str]:
        if not app.others:
            return []
        not_polled = ", ".join(f"{each.name} ({each.kind})" for each in app.others)
        name, has_blobs = app.others[0].name, any(each.kind == "blobTrigger" for each in app.others)
        return [
            f"dfhost does not poll these triggers: {not_polled}. Run one with `dfhost trigger {name} --input TEXT`"
            + (", a blob's with --input file:PATH" if has_blobs else "")
            + ", or with: curl -H 'Content-Type: application/json' -d '{\"input\": \"TEXT\"}' "
            + f"{self.url}/admin/functions/{name}"
        ]

    def _notes_on_settings(self, app: AppInfo) -> list[str]:
        if self._settings.has_extensions or not (app.orchestrators or app.activities or app.entities):
            return []
        return [
            "host.json has no extensionBundle, so a real host has no Durable Task extension for this app. Add "
            '"extensionBundle": {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"}.'
        ]

    @property
    def interrupted_calls_note(self) -> str:
        """Which calls ran when the last host died, as a sentence; "" if it stopped."""
        return interrupted_sentence(self._calls.interrupted)

    def release_running_calls(self) -> None:
        """Call this before the process is ended on a person's wish, so that no call is blamed for it."""
        self._calls.release_all()

    async def exchange(self, request: bytes) -> bytes:
        """The response to one whole HTTP/1.1 request, both as bytes, without a socket."""
        return await self._server.exchange(request)

    async def idle(self) -> None:
        """Wait until nothing runs, and nothing can run before the clock moves or somebody asks for more."""
        await self._idle_signal.wait()

    @property
    def serves_calls(self) -> bool:
        """Whether a call of an HTTP function runs, or of one that is run by hand."""
        return self._server.unfinished > 0

    @property
    def is_idle(self) -> bool:
        """Whether `idle` would return at once."""
        return sum(part.unfinished for part in self._parts) <= self._clock.pauses

    @property
    def _parts(self) -> tuple[Dispatchers, TimerTriggers, QueueTriggers, Server]:
        """Those that can have unfinished work."""
        return self._dispatchers, self._timers, self._queue_triggers, self._server

    def recheck_idle(self) -> None:
        """To be called when a pause by the clock has begun."""
        self._idle_signal.changed()

    async def finish(self) -> None:
        """Take no new work and wait until the results of what runs are stored, but not for ever.

        What still runs then is done again at the next start.
        """
        self.runner.expect_stop()
        self._server.stop_accepting()
        self._dispatchers.stop_accepting()
        await self._timers.close()
        self._finished = True
        ending = asyncio.gather(
            self._dispatchers.finish(), self._queue_triggers.finish(), self._server.finish(_FINISHES_WITHIN)
        )
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(ending, _FINISHES_WITHIN)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()


def _engine_options(settings: Settings) -> EngineOptions:
    return EngineOptions(
        store_inputs=settings.store_inputs,
        default_version=settings.default_version,
        version_match=settings.version_match,
        version_failure=settings.version_failure,
        async_request_sleep_ms=int(settings.http_poll_seconds * 1000),
        max_actions=settings.max_actions,
        keep_generator_from=None if settings.replay_always else EngineOptions().keep_generator_from,
    )
