"""The threads in which user code runs."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import aiohttp
import pytest

from dfhost.app.threads import UserThreads, pool_size
from tests.support import gates as gates_module
from tests.support.app_server import user_threads
from tests.support.apps import write_app
from tests.support.running_host import running_host
from tests.support.waiting import DEADLINE, eventually


def pool_threads() -> set[threading.Thread]:
    return {each for each in threading.enumerate() if each.name.startswith("ThreadPoolExecutor-0_")}


async def test_the_pool_starts_no_thread_before_a_call_and_grows_with_the_calls() -> None:
    before = set(threading.enumerate())
    with user_threads() as threads:  # four at most
        assert pool_threads() <= before
        await threads.run(lambda: None)
        assert len(pool_threads() - before) == 1
        together = threading.Barrier(4)
        await asyncio.gather(*(threads.run(together.wait) for _ in range(4)))
        await asyncio.gather(*(threads.run(together.wait) for _ in range(8)))
        assert len(pool_threads() - before) == 4


async def test_a_blocked_thread_has_a_substitute_until_its_call_returns() -> None:
    before = pool_threads()
    threads = UserThreads(1)
    threads.start()
    try:
        blocked, release = threading.Event(), threading.Event()

        def block() -> None:
            blocked.set()
            release.wait()

        first = asyncio.ensure_future(threads.run(block))
        await asyncio.to_thread(blocked.wait)
        second = asyncio.ensure_future(threads.run(threading.get_ident))
        await asyncio.sleep(0)
        threads.replace_blocked(DEADLINE)  # it has not taken so long
        assert len(pool_threads() - before) == 1
        assert not second.done()
        for _ in range(3):
            threads.replace_blocked(0.0)
        assert len(pool_threads() - before) == 2
        assert await second
        release.set()
        await first
        threads.replace_blocked(DEADLINE)

        async def left() -> int:
            await threads.run(threading.get_ident)
            return len(pool_threads() - before)

        await eventually(left, lambda count: count == 1)
        assert await left() == 1
    finally:
        threads.stop()


@pytest.mark.parametrize(("setting", "size"), [(None, 1000), ("", 1000), ("7", 7)])
def test_the_size_of_the_pool_is_the_real_hosts(
    monkeypatch: pytest.MonkeyPatch, setting: str | None, size: int
) -> None:
    monkeypatch.delenv("PYTHON_THREADPOOL_THREAD_COUNT", raising=False)
    if setting is not None:
        monkeypatch.setenv("PYTHON_THREADPOOL_THREAD_COUNT", setting)
    assert pool_size() == size


@pytest.mark.parametrize("setting", ["many", "0", "-3"])
def test_a_size_that_the_worker_cannot_use_leaves_pythons_default(
    monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.setenv("PYTHON_THREADPOOL_THREAD_COUNT", setting)
    assert 5 <= pool_size() <= 32


@pytest.mark.usefixtures("gates")
async def test_blocking_http_calls_do_not_wait_for_each_other_or_for_activities(tmp_path: Path) -> None:
    body = """
        from tests.support.gates import stop_at

        @app.route(methods=["GET"])
        def blocks(req: func.HttpRequest) -> str:
            stop_at("http")
            return "done"

        @app.orchestration_trigger(context_name="context")
        def flow(context):
            return len((yield context.task_all([context.call_activity("act", n) for n in range(30)])))

        @app.activity_trigger(input_name="n")
        def act(n: int) -> int:
            stop_at("activity")
            return n
    """
    app = write_app(tmp_path, body)
    async with running_host(app, max_activities=20) as host, aiohttp.ClientSession(host.host.url) as session:
        started = await host.start("flow")
        await gates_module.arrivals("activity", 20)

        async def call() -> int:
            async with session.get("/api/blocks") as response:
                return response.status

        calls = asyncio.gather(*(call() for _ in range(40)))
        await gates_module.arrivals("http", 40)
        gates_module.open("http", "activity")
        assert await calls == [200] * 40
        assert await host.output(started) == 30
        assert gates_module.most("activity") == 20
