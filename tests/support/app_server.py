"""An app behind dfhost's HTTP server, without the durable half; and the threads that run user code."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from dfhost.app.functions import App
from dfhost.app.in_process import InProcessRunner
from dfhost.app.threads import UserThreads
from dfhost.clock import Clock
from dfhost.http.server import Server
from dfhost.management.urls import RPC_PATH, client_json
from dfhost.runner.durable_clients import client_texts
from tests.support.apps import APPS, kept_app
from tests.support.recording_log import RecordingLog


@asynccontextmanager
async def app_server(folder: str | Path, **options: Any) -> AsyncIterator[tuple[str, RecordingLog, Server]]:
    """The app in `folder` on a free port: its base URL, its log, the server. `options` go to `Server`.

    A name is that of an app in tests/apps, see `kept_app`.
    """
    log = RecordingLog()
    async with started_runner(folder, log) as (runner, app):
        server = make_server(runner, log, **options)
        await server.start()
        base = f"http://127.0.0.1:{server.port}"
        app.connect(
            client_texts(
                runner.app,
                lambda hub, connection: client_json(
                    base, base + RPC_PATH, hub or "Hub", connection or "Storage"
                ),
            )
        )
        app.outputs.connect(log.put)
        try:
            yield base, log, server
        finally:
            await server.close(grace_period=5)


def make_server(runner: InProcessRunner, log: RecordingLog, **options: Any) -> Server:
    """A server on a free port, not started. `options` replace the arguments of `Server`."""
    arguments: dict[str, Any] = dict(
        address="127.0.0.1",
        port=0,
        clock=Clock(),
        route_prefix="api",
        mounts={},
        cors=(),
        cors_credentials=False,
        timeout=None,
        host_names=(),
        custom_headers=(),
        max_outstanding_requests=None,
        max_concurrent_requests=None,
        dashboard=None,
    )
    return Server(runner, log, **{**arguments, **options})


@asynccontextmanager
async def started_runner(folder: str | Path, log: RecordingLog) -> AsyncIterator[tuple[InProcessRunner, App]]:
    """The runner of the app in `folder`, and the app. Its durable clients lead nowhere."""
    with user_threads() as threads:
        runner = InProcessRunner(APPS / folder, log, threads=threads)
        if isinstance(folder, str):
            runner.loaded = kept_app(folder)
        await runner.start()
        assert runner.loaded is not None
        try:
            yield runner, runner.loaded
        finally:
            await runner.stop()


@contextmanager
def user_threads() -> Iterator[UserThreads]:
    """Threads for user code, all of them ended when the block is left."""
    threads = UserThreads(4)
    threads.start()
    try:
        yield threads
    finally:
        threads.stop()
        while not threads.loop.is_closed():
            time.sleep(0)


async def _serve_until_stdin_ends(folder: Path) -> None:
    """Print the port, serve until standard input ends, print the log's entries as JSON."""
    async with app_server(folder) as (_, log, server):
        print(server.port, flush=True)
        await asyncio.to_thread(sys.stdin.read)
    print(json.dumps(log.entries))


if __name__ == "__main__":
    # `python -m`, for apps that change their process for good, such as one that imports a web extension.
    asyncio.run(_serve_until_stdin_ends(Path(sys.argv[1])))
