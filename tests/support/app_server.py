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

from dfhost.app.loader import load_app
from dfhost.app.threads import UserThreads
from dfhost.http.server import Server
from dfhost.management.urls import RPC, client_json
from tests.support.recording_log import RecordingLog


@asynccontextmanager
async def app_server(folder: Path, **options: Any) -> AsyncIterator[tuple[str, RecordingLog, Server]]:
    """The app in `folder` on a free port: its base URL, its log, the server. `options` go to `Server`."""
    log = RecordingLog()
    app = load_app(folder, log)
    with user_threads() as threads:
        server = Server(app, threads, log, port=0, **options)
        await server.start()
        base = f"http://127.0.0.1:{server.port}"
        app.connect(
            lambda hub, connection: client_json(base, base + RPC, hub or "Hub", connection or "Storage")
        )
        try:
            yield base, log, server
        finally:
            await server.stop(grace=5)


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
