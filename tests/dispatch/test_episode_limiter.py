"""When the limiter of episodes has a thread replaced: one module, with a pool whose threads are all busy."""

from __future__ import annotations

import asyncio
import math
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from dfhost.dispatch.episode_limiter import EpisodeLimiter
from dfhost.thread_pool import ThreadPool
from tests.support.recording_log import RecordingLog
from tests.support.waiting import DEADLINE, eventually

PREFIX = "ThreadPoolExecutor-0_"  # of the names of a pool's threads


async def test_a_thread_that_waits_for_a_worker_is_not_replaced_and_one_that_blocks_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for seconds in ("_CHECK_SECONDS", "_BLOCKED_SECONDS"):
        monkeypatch.setattr(f"dfhost.dispatch.episode_limiter.{seconds}", 0.001)
    before = set(threading.enumerate())
    waiting: Any = SimpleNamespace(name="waits", episode_since=0.0, stored_events=1)
    pool, release, checks = ThreadPool(1), threading.Event(), 0
    since, seen_often = math.inf, asyncio.Event()

    def ready_since() -> float:
        nonlocal checks
        checks += 1
        if checks == 20:
            seen_often.set()
        return since

    def block() -> None:
        release.wait(DEADLINE)

    limiter = EpisodeLimiter(pool, RecordingLog(), 10, lambda instance: None, ready_since, "")
    try:
        pool.post(block)
        behind = asyncio.ensure_future(pool.run(threading.get_ident))
        limiter.add(waiting)
        await asyncio.wait_for(seen_often.wait(), DEADLINE)
        assert not behind.done()
        since = 0.0
        await asyncio.wait_for(behind, DEADLINE)
        release.set()

        async def left() -> int:
            limiter.add(waiting)  # one more episode, which ends at once
            limiter.remove(waiting)
            await pool.run(threading.get_ident)
            return len({each for each in threading.enumerate() if each.name.startswith(PREFIX)} - before)

        await eventually(left, lambda count: count == 1)
    finally:
        release.set()
        limiter.close()
        pool.stop()
