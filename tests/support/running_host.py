"""A whole host in the test's process, so that gates and its log are at hand; its clients speak HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from dfhost.app.in_process import InProcessRunner
from dfhost.clock import Clock
from dfhost.dispatch.call_http import CallHttp, call_http
from dfhost.host import Host
from dfhost.settings import Settings
from dfhost.worker.process import WorkerOptions
from dfhost.worker.runner import WorkerRunner
from tests.support import gates
from tests.support.apps import APPS, kept_app
from tests.support.http_client import ENDED, MANAGEMENT
from tests.support.recording_log import RecordingLog
from tests.support.waiting import DEADLINE, eventually


class Output:
    """A `Terminal` that keeps what workers print: `lines` of text, each log record with its level before it.

    `puts`: how many lines there are.
    """

    verbose = False

    def __init__(self) -> None:
        self._parts: list[str] = []
        self.puts = 0

    @property
    def text(self) -> str:
        return "".join(self._parts)

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def print(self, label: str, text: str, at: float | None = None) -> None:
        self.write(f"{label} {text}\n" if label else f"{text}\n")

    def count_records(self, level: str, logger: str, number: int = 1) -> None:
        self.write(f"{level} of {logger}\n" * number)

    def write(self, text: str) -> None:
        self._parts.append(text)
        self.puts += text.count("\n")

    def flush(self) -> None:
        pass


class RunningHost:
    """The host, its log, and the verbs of `HttpClient` as coroutines."""

    def __init__(self, host: Host, log: RecordingLog, session: aiohttp.ClientSession) -> None:
        self.host = host
        self.log = log
        self._session = session
        self._base = host.url.replace("localhost", "127.0.0.1") + MANAGEMENT

    async def request(self, method: str, path: str, body: Any = None, **query: str) -> tuple[int, Any]:
        """Status and body (JSON decoded, None if empty); `path` without the management API's prefix."""
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json"}
        url = f"{self._base}/{path}"
        async with self._session.request(method, url, data=data, headers=headers, params=query) as response:
            text = await response.text()
            return response.status, json.loads(text) if text else None

    async def send_as(self, content_type: str, method: str, path: str, body: bytes) -> int:
        """The status of the response to a body that is sent as it is."""
        headers = {"Content-Type": content_type}
        async with self._session.request(
            method, f"{self._base}/{path}", data=body, headers=headers
        ) as response:
            return response.status

    async def start(
        self, orchestrator: str, input: Any = None, instance_id: str | None = None, **query: str
    ) -> str:
        """The id of a new instance, once the host has answered 202. The input is sent as the SDK's client does."""
        path = f"orchestrators/{orchestrator}" + (f"/{quote(instance_id)}" if instance_id else "")
        status, body = await self.request("POST", path, None if input is None else json.dumps(input), **query)
        assert status == 202, (status, body)
        return str(body["id"])

    async def status(self, instance_id: str, **query: str) -> dict[str, Any]:
        code, body = await self.request("GET", f"instances/{quote(instance_id)}", **query)
        assert code in (200, 202), (code, body)
        return dict(body)

    async def history(self, instance_id: str) -> list[dict[str, Any]]:
        status = await self.status(instance_id, showHistory="true", showHistoryOutput="true")
        return list(status["historyEvents"])

    async def explain(self, instance_id: str) -> dict[str, Any]:
        return await self.status(instance_id, explain="true")

    async def until(self, instance_id: str, holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """The instance's status, once it satisfies `holds`."""
        return await eventually(lambda: self.status(instance_id), holds)

    async def until_custom_status(self, instance_id: str, value: Any) -> None:
        await self.until(instance_id, lambda status: status["customStatus"] == value)

    async def until_explained(
        self, instance_id: str, holds: Callable[[dict[str, Any]], object]
    ) -> dict[str, Any]:
        """The instance's explanation, once it satisfies `holds`."""
        return await eventually(lambda: self.explain(instance_id), holds)

    async def until_waiting(self, instance_id: str, kind: str) -> None:
        """Until the instance waits for something of this kind, say an event."""
        await self.until_explained(
            instance_id, lambda explained: any(entry["kind"] == kind for entry in explained["waitsFor"])
        )

    async def ended(self, instance_id: str) -> dict[str, Any]:
        return await self.until(instance_id, lambda status: status["runtimeStatus"] in ENDED)

    async def output(self, instance_id: str) -> Any:
        """The output of an instance that must complete."""
        status = await self.ended(instance_id)
        assert status["runtimeStatus"] == "Completed", status
        return status["output"]

    async def failure(self, instance_id: str) -> str:
        """The output of an instance that must fail."""
        status = await self.ended(instance_id)
        assert status["runtimeStatus"] == "Failed", status
        return str(status["output"])

    async def run(self, orchestrator: str, input: Any = None, **query: str) -> Any:
        """The output of a new instance that must complete."""
        return await self.output(await self.start(orchestrator, input, **query))

    async def send(self, instance_id: str, verb: str, body: Any = None, **query: str) -> None:
        """`verb`: terminate, suspend, resume, rewind, or raiseEvent/NAME."""
        status, answer = await self.request("POST", f"instances/{quote(instance_id)}/{verb}", body, **query)
        assert status == 202, (status, answer)

    async def send_refused(self, instance_id: str, verb: str, code: int) -> None:
        status, answer = await self.request("POST", f"instances/{quote(instance_id)}/{verb}", 1)
        assert status == code, (status, answer)

    async def signal(self, entity: str, key: str, operation: str, input: Any) -> None:
        """The input is sent as the SDK's client does."""
        path = f"entities/{entity}/{quote(key)}"
        status, answer = await self.request("POST", path, json.dumps(input), op=operation)
        assert status == 202, (status, answer)

    async def fence(self) -> None:
        """An orchestration with an activity, start to end: all work committed earlier is dispatched by then."""
        assert await self.run("fan", {"activity": "echo", "inputs": [1]}) == [1]


@asynccontextmanager
async def running_host(
    folder: str | Path = "worker",
    database: Path | None = None,
    clock: Clock | None = None,
    dashboard: bool = True,
    workers: int = 0,
    output: Output | None = None,
    outdated_grace: float = 30.0,
    restart_interval: float = 0.0,
    finishes: bool = True,
    call_http: CallHttp = call_http,
    **settings: Any,
) -> AsyncIterator[RunningHost]:
    """The app in `folder` (of tests/apps, or a path) on a free port; `settings` as in `Settings`.

    "worker" is loaded once for all tests (`kept_app`); give its path if a test is about its loading.

    `workers`: it runs in so many processes of its own, which print to `output`; 0 for this process. `finishes`: what
    runs at the end of the block can end, and is waited for.
    """
    log = RecordingLog()
    options = Settings(**settings)
    runner = (
        WorkerRunner(
            WorkerOptions((APPS / folder).resolve(), only=sorted(options.functions)),
            log,
            output or Output(),
            count=workers,
            timeout=options.function_timeout,
            restart_interval=restart_interval,
            outdated_grace=outdated_grace,
        )
        if workers
        else InProcessRunner(APPS / folder, log, only=options.functions)
    )
    if isinstance(runner, InProcessRunner) and folder == "worker" and not options.functions:
        runner.loaded = kept_app("worker")
    host = Host(
        runner,
        settings=options,
        database=database,
        port=0,
        log=log,
        clock=clock,
        dashboard=dashboard,
        call_http=call_http,
    )
    timeout = aiohttp.ClientTimeout(total=DEADLINE)
    async with host, aiohttp.ClientSession(timeout=timeout) as session:
        yield RunningHost(host, log, session)
        gates.open_all()
        if finishes:
            await asyncio.wait_for(host.finish(), DEADLINE)  # nothing of this host outlives it
