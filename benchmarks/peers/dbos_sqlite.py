"""DBOS on a SQLite file, its defaults: a workflow that gathers asynchronous steps."""

import asyncio
import tempfile
import time
from collections.abc import Generator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dbos import DBOS, DBOSConfig

from benchmarks.worker import processed, serve


@DBOS.step()
async def process_item(payload: str) -> str:
    return f"Processed {payload}"


@DBOS.workflow()
async def fan_out(n: int) -> list[str]:
    return await asyncio.gather(*(process_item(f"item-{i}") for i in range(1, n + 1)))


async def start(n: int, count: int) -> list[list[str]]:
    handles = [await DBOS.start_workflow_async(fan_out, n) for _ in range(count)]
    return [await handle.get_result(polling_interval_sec=0.01) for handle in handles]


def measure() -> Generator[dict[str, Any], dict[str, Any], None]:
    with tempfile.TemporaryDirectory(prefix="dfhost-bench-") as folder:
        config: DBOSConfig = {
            "name": "bench",
            "system_database_url": f"sqlite:///{Path(folder) / 'dbos.sqlite'}",
            "run_admin_server": False,
            "log_level": "WARNING",
        }
        DBOS(config=config)
        DBOS.launch()
        loop = asyncio.new_event_loop()
        question = yield {
            "name": "DBOS",
            "about": f"dbos {version('dbos')}, SQLite file, its defaults; durable, each step commits alone",
        }
        while True:
            began = time.perf_counter()
            results = loop.run_until_complete(start(question["n"], question["count"]))
            seconds = time.perf_counter() - began
            assert results == [processed(question["n"])] * question["count"]
            question = yield {"seconds": seconds}


if __name__ == "__main__":
    serve(measure)
