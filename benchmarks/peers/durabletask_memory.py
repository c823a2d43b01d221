"""Microsoft's durabletask with its in-memory backend: client, worker and backend in this process, over gRPC."""

import json
import socket
import time
from collections.abc import Generator
from importlib.metadata import version
from typing import Any

from durabletask import client, task, worker
from durabletask.testing import create_test_backend

from benchmarks.worker import processed, serve


def process_item(context: task.ActivityContext, payload: str) -> str:
    return f"Processed {payload}"


def fan_out(context: task.OrchestrationContext, n: int) -> Generator[Any, Any, list[str]]:
    items = [f"item-{i}" for i in range(1, n + 1)]
    return (yield task.when_all([context.call_activity(process_item, input=item) for item in items]))


def measure() -> Generator[dict[str, Any], dict[str, Any], None]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    # Its default of 10,000 events an orchestration ends at about 5,000 items.
    create_test_backend(port=int(address.rpartition(":")[2]), max_history_size=1_000_000)
    serving = worker.TaskHubGrpcWorker(host_address=address)
    serving.add_orchestrator(fan_out)
    serving.add_activity(process_item)
    serving.start()
    hub = client.TaskHubGrpcClient(host_address=address)
    question = yield {
        "name": "durabletask",
        "about": f"durabletask {version('durabletask')}, in-memory backend; nothing outlives the process",
    }
    while True:
        n = question["n"]
        began = time.perf_counter()
        ids = [hub.schedule_new_orchestration(fan_out, input=n) for _ in range(question["count"])]
        states = [hub.wait_for_orchestration_completion(id, timeout=300) for id in ids]
        seconds = time.perf_counter() - began
        assert all(state and json.loads(state.serialized_output or "") == processed(n) for state in states)
        question = yield {"seconds": seconds}


if __name__ == "__main__":
    serve(measure)
