"""Queue functions in worker processes: outputs cross over, and no end of a worker or the host loses a message."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dfhost.settings.model import QueueOptions
from dfhost.worker.process import WorkerOptions
from dfhost.worker.runner import WorkerRunner
from tests.support.apps import write_app
from tests.support.host_process import HostProcess
from tests.support.queues import Queues
from tests.support.running_host import RunningHost, running_host
from tests.support.waiting import eventually, until

APP = '''
import os, pathlib, sys, time

scratch = pathlib.Path(os.environ["SCRATCH"])
VERSION = "first"

def note(text: str) -> None:
    with open(scratch / "seen", "a") as file:
        file.write(f"{VERSION}: {text}\\n")

@app.queue_trigger(arg_name="message", queue_name="orders", connection="")
def on_order(message: func.QueueMessage) -> None:
    """Does what the message says, and leaves a line in the file `seen`."""
    text = message.get_body().decode()
    note(f"{text} {message.dequeue_count}")
    verb, _, name = text.partition(" ")
    if verb == "exit" or (verb == "exit-once" and message.dequeue_count == 1):
        os._exit(3)
    if verb == "quit":
        sys.exit(3)
    if verb == "hang":
        time.sleep(60)
    if verb == "stop":
        while not (scratch / name).exists():
            time.sleep(0.005)

@app.queue_trigger(arg_name="message", queue_name="steps", connection="")
@app.queue_output(arg_name="out", queue_name="out", connection="")
def step(message: str, out: func.Out[str]) -> None:
    out.set(f"sync {message}")

@app.route("put", methods=["POST"])
@app.queue_output(arg_name="out", queue_name="out", connection="")
async def put(req: func.HttpRequest, out: func.Out[str]) -> str:
    out.set(req.get_body().decode())
    return "put"

@app.activity_trigger(input_name="text")
@app.queue_output(arg_name="out", queue_name="out", connection="")
def act(text: str, out: func.Out[str]) -> str:
    out.set(f"activity {text}")
    return "acted"

@app.activity_trigger(input_name="text")
@app.queue_output(arg_name="out", queue_name="out", connection="")
async def act_async(text: str, out: func.Out[str]) -> str:
    out.set(f"async activity {text}")
    return "acted"

@app.orchestration_trigger(context_name="context")
def calls(context):
    activity, text = context.get_input()
    return (yield context.call_activity(activity, text))
'''
NEVER_AGAIN = QueueOptions(max_dequeue_count=1)


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("SCRATCH", str(tmp_path / "scratch"))
    return tmp_path / "scratch"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_app(tmp_path / "app", APP)


@asynccontextmanager
async def worker_host(
    folder: Path, options: QueueOptions | None = None, **more: Any
) -> AsyncIterator[tuple[RunningHost, Queues]]:
    async with running_host(folder, workers=1, queues=options or QueueOptions(), **more) as host:
        yield host, Queues(host)


def seen(scratch: Path) -> list[str]:
    file = scratch / "seen"
    return file.read_text().splitlines() if file.exists() else []


async def until_seen(scratch: Path, holds: Callable[[list[str]], object]) -> list[str]:
    async def look() -> list[str]:
        return seen(scratch)

    return await eventually(look, holds)


async def reload(host: RunningHost, folder: Path, body: str) -> None:
    """Returns when the new code has the calls."""
    assert isinstance(host.host.runner, WorkerRunner)
    write_app(folder, body)
    known = len(host.log.notes)
    host.host.runner.reload(WorkerOptions(folder), None)

    async def is_loaded() -> bool:
        return any(note.startswith("The app is loaded") for note in host.log.notes[known:])

    await eventually(is_loaded, bool)


async def post(host: RunningHost, body: bytes) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{host.host.url}/api/put", data=body) as response,
    ):
        await response.read()
        return response.status


# -- outputs -------------------------------------------------------------------------------------------------
async def test_outputs_of_every_kind_of_function_reach_the_host(folder: Path) -> None:
    async with worker_host(folder) as (host, queues):
        await queues.put("steps", "é")
        await host.host.idle()
        assert await post(host, b'["http", {"a": 1}]') == 200
        assert await host.run("calls", ["act", "x"]) == "acted"
        assert await host.run("calls", ["act_async", "x"]) == "acted"
        assert await queues.texts("out") == [
            "sync é", "http", '{\n  "a": 1\n}', "activity x", "async activity x",
        ]  # fmt: skip


async def test_outputs_that_the_host_refuses_fail_their_calls(folder: Path) -> None:
    async with worker_host(folder, NEVER_AGAIN) as (host, queues):
        assert await post(host, b"x" * 49_153) == 500
        assert await post(host, b'["\\ud800"]') == 500
        assert "too long for queue out" in await host.failure(
            await host.start("calls", ["act", "x" * 49_152])
        )
        await queues.put("steps", "x" * 49_152)
        await host.host.idle()
        assert await queues.length("steps-poison") == 1
        assert await queues.length("out") == 0


# -- workers that end ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("text", ["exit", pytest.param("quit", marks=pytest.mark.long)])
async def test_a_message_with_which_the_worker_dies_counts_as_failed(
    folder: Path, scratch: Path, text: str
) -> None:
    async with worker_host(folder, QueueOptions(max_dequeue_count=2)) as (host, queues):
        await queues.put("orders", text)
        await host.host.idle()
        assert seen(scratch) == [f"first: {text} 1", f"first: {text} 2"]
        assert await queues.texts("orders-poison") == [text]
        failures = [entry[3] for entry in host.log.entries if entry[0] == "failed"]
        assert len(failures) == 2 and all("WorkerProcessExitException" in each for each in failures)


@pytest.mark.long
async def test_what_runs_beside_a_worker_that_dies_is_given_again(folder: Path, scratch: Path) -> None:
    async with worker_host(folder) as (host, queues):
        await queues.put("orders", "stop go")
        await until_seen(scratch, bool)
        await queues.put("orders", "exit-once")
        await until_seen(scratch, lambda lines: "first: stop go 2" in lines)
        (scratch / "go").touch()
        await host.host.idle()
        assert sorted(seen(scratch)) == [
            "first: exit-once 1", "first: exit-once 2", "first: stop go 1", "first: stop go 2",
        ]  # fmt: skip
        assert [each["name"] for each in (await queues.request("GET")).body] == ["orders", "steps"]


@pytest.mark.long
async def test_a_message_that_takes_too_long_counts_as_failed(folder: Path, scratch: Path) -> None:
    async with worker_host(folder, NEVER_AGAIN, function_timeout=0.5) as (host, queues):
        await queues.put("orders", "hang")
        await host.host.idle()
        assert seen(scratch) == ["first: hang 1"]
        assert await queues.texts("orders-poison") == ["hang"]
        await queues.put("orders", "next")
        await host.host.idle()
        assert seen(scratch)[1:] == ["first: next 1"]


# -- reloads -------------------------------------------------------------------------------------------------
@pytest.mark.long
async def test_a_message_ends_in_the_old_code_and_later_ones_get_the_new(folder: Path, scratch: Path) -> None:
    async with worker_host(folder) as (host, queues):
        await queues.put("orders", "stop go")
        await until_seen(scratch, bool)
        await reload(host, folder, APP.replace('"first"', '"second"'))
        await queues.put("orders", "next")
        await until_seen(scratch, lambda lines: len(lines) == 2)
        await eventually(lambda: queues.running("orders"), lambda texts: texts == ["stop go"])
        (scratch / "go").touch()
        await host.host.idle()
        assert seen(scratch) == ["first: stop go 1", "second: next 1"]
        assert await queues.length("orders") == 0


@pytest.mark.long
async def test_after_a_reload_messages_come_from_the_new_queue(folder: Path, scratch: Path) -> None:
    async with worker_host(folder, QueueOptions(batch_size=1, new_batch_threshold=0)) as (host, queues):
        await queues.put("orders", "stop go", "left")
        await queues.put("parcels", "early")
        await until_seen(scratch, bool)
        await reload(host, folder, APP.replace('"orders"', '"parcels"'))
        await until_seen(scratch, lambda lines: "first: early 1" in lines)
        (scratch / "go").touch()
        await host.host.idle()
        assert await queues.texts("orders") == ["left"]
        listed = {each["name"]: each["functions"] for each in (await queues.request("GET")).body}
        assert listed == {"orders": [], "parcels": ["on_order"], "steps": ["step"]}
        assert seen(scratch) == ["first: stop go 1", "first: early 1"]
        await reload(host, folder, APP)
        await host.host.idle()
        assert seen(scratch)[2:] == ["first: left 1"]


RETRIED = """
@app.queue_trigger(arg_name="message", queue_name="retried", connection="")
@app.retry(strategy="fixed_delay", max_retry_count="1", delay_interval="00:00:01")
def retried(message: func.QueueMessage) -> None:
    note(f"retried {message.dequeue_count}")
    raise ValueError("no")
"""


@pytest.mark.long
async def test_a_function_that_is_gone_before_its_retry_has_failed(folder: Path, scratch: Path) -> None:
    write_app(folder, APP + RETRIED)
    async with worker_host(folder) as (host, queues):
        await queues.put("retried", "a")
        await host.log.entry("failed", "retried")
        await reload(host, folder, APP)
        await host.log.entry("failed", "retried", count=2)
        await host.host.idle()
        assert await queues.running("retried") == []
        assert await queues.texts("retried") == ["a"]


# -- hosts that are killed -----------------------------------------------------------------------------------
@pytest.mark.long
def test_after_a_kill_of_the_host_a_message_is_given_again(
    tmp_path: Path, folder: Path, scratch: Path
) -> None:
    (folder / "host.json").write_text(json.dumps({"version": "2.0"}))
    arguments = folder, "--db", tmp_path / "hub.db", "--workers", "1", "--no-reload"
    with HostProcess(*arguments, SCRATCH=str(scratch)) as host:
        put = host.client.request("POST", "/admin/queues/orders", {"messages": ["stop go", "b"]})
        assert put.status == 201
        until(lambda: seen(scratch), lambda lines: "first: b 1" in lines)
        until(lambda: host.client.request("GET", "/admin/queues/orders").body["length"], lambda n: n == 1)
        host.kill()
    (scratch / "go").touch()
    with HostProcess(*arguments, SCRATCH=str(scratch)) as host:
        until(lambda: seen(scratch), lambda lines: "first: stop go 2" in lines)
        until(lambda: host.client.request("GET", "/admin/queues/orders").body["length"], lambda n: n == 0)
    assert sorted(seen(scratch)) == ["first: b 1", "first: stop go 1", "first: stop go 2"]


@pytest.mark.long
def test_kills_at_random_moments_lose_no_message(tmp_path: Path, folder: Path, scratch: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    draw = random.Random(seed)
    (folder / "host.json").write_text(json.dumps({"version": "2.0"}))
    arguments = folder, "--db", tmp_path / "hub.db", "--workers", "1", "--no-reload", "--quiet"
    texts = [str(number) for number in range(300)]
    for kill in range(3):
        with HostProcess(*arguments, SCRATCH=str(scratch)) as host:
            if kill == 0:
                host.client.request("POST", "/admin/queues/steps", {"messages": texts})
            time.sleep(draw.uniform(0, 0.3))
            host.kill()
    with HostProcess(*arguments, SCRATCH=str(scratch)) as host:
        until(lambda: host.client.request("GET", "/admin/queues/steps").body["length"], lambda n: n == 0)
        put = host.client.request("GET", "/admin/queues/out?top=10000").body["messages"]
        listed = host.client.request("GET", "/admin/queues").body
    times = Counter(each["message"] for each in put)
    assert set(times) == {f"sync {text}" for text in texts}
    assert max(times.values()) <= 4
    assert "steps-poison" not in [each["name"] for each in listed]
