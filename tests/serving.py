"""What the tests of the app and its front door share: apps written on the spot, a journal that remembers."""

from __future__ import annotations

import asyncio
import json
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from dfhost.app.functions import App
from dfhost.app.loader import load_app
from dfhost.app.threads import UserThreads
from dfhost.http.server import Server
from dfhost.management.urls import RPC_PATH, client_json

APPS = Path(__file__).parent / "apps"

HEAD = """
import azure.durable_functions as df
import azure.functions as func

app = df.DFApp()
"""


def write_app(folder: Path, body: str, head: str = HEAD) -> Path:
    """A folder with a function_app.py made of the usual imports, an `app`, and `body`."""
    folder.mkdir(exist_ok=True)
    (folder / "function_app.py").write_text(head + textwrap.dedent(body))
    return folder


def app_of(folder: Path, body: str) -> App:
    return load_app(write_app(folder, body))


class Remembering:
    """A journal whose entries can be waited for: ``await journal.entry("failed", "x")``."""

    def __init__(self) -> None:
        self.entries: list[tuple[Any, ...]] = []
        self._changed: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def started(self, function: str, trigger: str, instance_id: str | None) -> None:
        self._add("started", function, trigger)

    def finished(self, function: str, trigger: str, instance_id: str | None, seconds: float) -> None:
        self._add("finished", function, trigger)

    def failed(
        self, function: str, trigger: str, instance_id: str | None, seconds: float, error: str, stack: str
    ) -> None:
        self._add("failed", function, trigger, error, stack)

    def refused(self, request: str, status: int, why: str) -> None:
        self._add("refused", request, status, why)

    def note(self, sentence: str) -> None:
        self._add("note", sentence)

    def _add(self, *entry: Any) -> None:
        self.entries.append(entry)
        for loop, event in self._changed:
            loop.call_soon_threadsafe(event.set)

    @property
    def notes(self) -> list[str]:
        return [entry[1] for entry in self.entries if entry[0] == "note"]

    async def entry(self, *start: str, count: int = 1) -> tuple[Any, ...]:
        """The `count`-th entry that begins with `start`, once it is there."""
        event = asyncio.Event()
        watcher = (asyncio.get_running_loop(), event)
        self._changed.append(watcher)
        try:
            while True:
                found = [entry for entry in self.entries if entry[: len(start)] == start]
                if len(found) >= count:
                    return found[count - 1]
                await event.wait()
                event.clear()
        finally:
            self._changed.remove(watcher)


@asynccontextmanager
async def serving(folder: Path, **options: Any) -> AsyncIterator[tuple[str, Remembering, Server]]:
    """The app in `folder` behind a real server on a free port: its base URL, its journal, itself."""
    log = Remembering()
    app = load_app(folder, log)
    with user_threads() as threads:
        server = Server(app, threads, log, port=0, **options)
        await server.start()
        base = f"http://127.0.0.1:{server.port}"
        app.connect(
            lambda hub, connection: client_json(base, base + RPC_PATH, hub or "Hub", connection or "Storage")
        )
        try:
            yield base, log, server
        finally:
            await server.stop(grace_period=5)


@contextmanager
def user_threads() -> Iterator[UserThreads]:
    """Threads for user code that leave nothing open behind them."""
    threads = UserThreads(4)
    threads.start()
    try:
        yield threads
    finally:
        threads.stop()
        while not threads.loop.is_closed():
            time.sleep(0)


async def _serve_until_told(folder: Path) -> None:
    """Print the port, serve until standard input ends, print the journal."""
    async with serving(folder) as (_, log, server):
        print(server.port, flush=True)
        await asyncio.to_thread(sys.stdin.read)
    print(json.dumps(log.entries))


if __name__ == "__main__":
    # For apps that leave their mark on a process, such as one that imports a web extension.
    asyncio.run(_serve_until_told(Path(sys.argv[1])))
