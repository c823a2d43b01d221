"""A whole host in the test's process, spoken to over HTTP like any other."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from dfhost.host import Host
from dfhost.settings import Settings
from tests.support import gates
from tests.support.serving import APPS, Remembering

DEADLINE = 20.0  # seconds; nothing waits as long as that when all is well
FINAL = ("Completed", "Failed", "Terminated")


class Hosted:
    """A running host as its clients see it: the management API; and its journal."""

    def __init__(self, host: Host, log: Remembering, session: aiohttp.ClientSession) -> None:
        self.host = host
        self.log = log
        self._session = session
        self._base = f"{host.url.replace('localhost', '127.0.0.1')}/runtime/webhooks/durabletask"

    async def request(self, method: str, path: str, body: Any = None, **query: str) -> tuple[int, Any]:
        """Status and body (JSON decoded, None if empty); `path` behind the management API's prefix."""
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json"}
        url = f"{self._base}/{path}"
        async with self._session.request(method, url, data=data, headers=headers, params=query) as response:
            text = await response.text()
            return response.status, json.loads(text) if text else None

    async def start(
        self, orchestrator: str, input: Any = None, instance_id: str | None = None, **query: str
    ) -> str:
        """A new instance's id, once the host has answered 202. The input is sent as the SDK's client does."""
        path = f"orchestrators/{orchestrator}" + (f"/{quote(instance_id)}" if instance_id else "")
        status, body = await self.request("POST", path, None if input is None else json.dumps(input), **query)
        assert status == 202, (status, body)
        return str(body["id"])

    async def status(self, instance_id: str, **query: str) -> dict[str, Any]:
        status, body = await self.request("GET", f"instances/{quote(instance_id)}", **query)
        assert status in (200, 202), (status, body)
        return dict(body)

    async def history(self, instance_id: str) -> list[dict[str, Any]]:
        told = await self.status(instance_id, showHistory="true", showHistoryOutput="true")
        return list(told["historyEvents"])

    async def until(self, instance_id: str, test: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The instance's status, once it satisfies `test`."""
        return await eventually(lambda: self.status(instance_id), test)

    async def ended(self, instance_id: str) -> dict[str, Any]:
        return await self.until(instance_id, lambda told: told["runtimeStatus"] in FINAL)

    async def completed(self, instance_id: str) -> Any:
        """The output of an instance that must complete."""
        told = await self.ended(instance_id)
        assert told["runtimeStatus"] == "Completed", told
        return told["output"]

    async def failed(self, instance_id: str) -> str:
        """The output of an instance that must fail."""
        told = await self.ended(instance_id)
        assert told["runtimeStatus"] == "Failed", told
        return str(told["output"])

    async def run(self, orchestrator: str, input: Any = None, **query: str) -> Any:
        return await self.completed(await self.start(orchestrator, input, **query))

    async def tell(self, instance_id: str, verb: str, body: Any = None, **query: str) -> None:
        """terminate, suspend, resume, rewind, or raiseEvent/NAME."""
        status, answer = await self.request("POST", f"instances/{quote(instance_id)}/{verb}", body, **query)
        assert status == 202, (status, answer)

    async def refused(self, instance_id: str, verb: str, code: int) -> None:
        status, answer = await self.request("POST", f"instances/{quote(instance_id)}/{verb}", 1)
        assert status == code, (status, answer)

    async def signal(self, entity: str, key: str, operation: str, input: Any) -> None:
        """The input is sent as the SDK's client does."""
        path = f"entities/{entity}/{quote(key)}"
        status, answer = await self.request("POST", path, json.dumps(input), op=operation)
        assert status == 202, (status, answer)

    async def until_waiting(self, instance_id: str, kind: str) -> None:
        """Until the instance waits for something of this kind, say an event."""
        await eventually(
            lambda: self.explain(instance_id),
            lambda told: any(entry["kind"] == kind for entry in told["waitsFor"]),
        )

    async def explain(self, instance_id: str) -> dict[str, Any]:
        return await self.status(instance_id, explain="true")


@asynccontextmanager
async def hosting(
    folder: str | Path = "worker", database: Path | None = None, **settings: Any
) -> AsyncIterator[Hosted]:
    """The app in `folder` (of tests/apps, or a path) on a free port; `settings` as in `Settings`."""
    log = Remembering()
    host = Host(APPS / folder, settings=Settings(**settings), database=database, port=0, log=log)
    timeout = aiohttp.ClientTimeout(total=DEADLINE)
    async with host, aiohttp.ClientSession(timeout=timeout) as session:
        yield Hosted(host, log, session)
        gates.open_all()
        await asyncio.wait_for(host.drain(), DEADLINE)  # nothing of this host outlives it


async def eventually(ask: Callable[[], Awaitable[Any]], test: Callable[[Any], bool]) -> Any:
    """What `ask` answers, once it satisfies `test`."""
    deadline = time.monotonic() + DEADLINE
    while not test(answer := await ask()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {DEADLINE:.0f} s in vain; in the end: {answer}")
        await asyncio.sleep(0.005)
    return answer


async def fence(host: Hosted) -> None:
    """An orchestration with an activity, from start to end: what was committed before it has been handed out."""
    assert await host.run("fan", {"activity": "echo", "inputs": [1]}) == [1]
