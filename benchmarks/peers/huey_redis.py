"""huey with Redis: a task queue, 8 threads in a consumer process. The caller that gathers is not durable."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.worker import ROOT, processed, serve


def measure() -> Generator[dict[str, Any], dict[str, Any], None]:
    server = shutil.which("redis-server")
    if not server:
        yield {"missing": "no redis-server on this machine"}
        return
    with tempfile.TemporaryDirectory(prefix="dfhost-bench-") as folder:
        socket = Path(folder) / "redis.sock"
        os.environ["BENCH_REDIS"] = f"unix://{socket}"
        redis = subprocess.Popen([server, "--port", "0", "--unixsocket", str(socket), "--dir", folder])
        while not socket.exists() and redis.poll() is None:
            time.sleep(0.01)
        consume = [sys.executable, "-m", "huey.bin.huey_consumer", "benchmarks.peers.huey_tasks.huey"]
        consumer = subprocess.Popen([*consume, "--workers", "8", "--quiet"], cwd=ROOT)
        try:
            yield from _answer()
        finally:
            for process in (consumer, redis):
                process.kill()
                process.wait()


def _answer() -> Generator[dict[str, Any], dict[str, Any], None]:
    from benchmarks.peers.huey_tasks import process_item  # connects to the Redis that has just started

    question = yield {
        "name": "huey",
        "about": f"huey {version('huey')} with Redis, 8 threads; a queue: the caller that gathers is not durable",
    }
    while True:
        n, count = question["n"], question["count"]
        began = time.perf_counter()
        runs = [[process_item(f"item-{i}") for i in range(1, n + 1)] for _ in range(count)]
        outputs = [[result.get(blocking=True, timeout=300) for result in results] for results in runs]
        seconds = time.perf_counter() - began
        assert outputs == [processed(n)] * count
        question = yield {"seconds": seconds}


if __name__ == "__main__":
    serve(measure)
