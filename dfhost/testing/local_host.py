"""The host in this process, with a clock, stubs and faults. It outlives its crashes: a new host takes up what is stored."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

from dfhost.engine import failures
from dfhost.errors import HostError
from dfhost.host import Host
from dfhost.settings import Settings
from dfhost.store.store import Store
from dfhost.testing import client_patches
from dfhost.testing.apps import LoadedApp
from dfhost.testing.clock import ManualClock
from dfhost.testing.durations import as_arguments, spoken
from dfhost.testing.errors import NotDeterministic, NotIdle
from dfhost.testing.faults import Faults, Stub
from dfhost.testing.host_loop import host_loop
from dfhost.testing.records import AppLog, HostReports, Records, inside_user_code
from dfhost.testing.replays import check_history
from dfhost.testing.responses import read_response, request_bytes
from dfhost.testing.runner import TestRunner

T = TypeVar("T")

CALL_HTTP = "call_http"
CLIENT = "client."


class LocalHost:
    """Its public methods are for the test's thread."""

    def __init__(
        self, app: LoadedApp, settings: Settings, *, now: datetime, timeout: float, port: int | None
    ) -> None:
        self._app = app
        self._settings = settings
        self._timeout = timeout
        self._port = port
        self._clock = ManualClock(now)
        self._faults = Faults()
        self._records = Records()
        self._loop = host_loop()
        self._exit = ExitStack()
        self._crashed = asyncio.Event()
        self._crash_error: HostError | None = None

    # -- its life --------------------------------------------------------------------------------------------

    def open(self) -> None:
        with ExitStack() as undo:
            undo.enter_context(self._app.active())
            undo.enter_context(AppLog(self._records).listening())
            undo.enter_context(client_patches.virtual_time(self._clock, self._loop.loop))
            self._call(self._start(None))
            undo.callback(lambda: self._call(self._stop()))
            self._exit = undo.pop_all()

    def close(self) -> None:
        self._exit.close()

    async def _start(self, copy_of: Store | None) -> None:
        self._crashed.clear()
        self._runner = TestRunner(self._app.runner, self._faults, self._records, self._clock)
        self._store = Store(None, copy_of=copy_of)
        self._host = Host(
            self._app.root,
            settings=self._settings,
            database=None,
            store=self._store,
            runner=self._runner,
            port=self._port,
            log=HostReports(self._records),
            clock=self._clock,
            on_failure=self._failed,
        )
        await self._host.__aenter__()
        self._clock.on_pause = self._host.recheck_idle

    async def _stop(self) -> None:
        await self._host.__aexit__(None, None, None)

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        __tracebackhide__ = True
        return self._loop.call(coroutine)
