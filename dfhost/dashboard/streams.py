"""The streams behind the page: each yields a message when there is news, and None now and then if there is none.

A stream looks at the number of the store's commits a few times a second, which costs nothing. It reads the store only
if that has grown, and runs only while a page listens.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from dfhost.dashboard.views import instance_view, listed_json
from dfhost.store.overview import ListedInstance, Overview
from dfhost.task_hub import TaskHub

LISTED = 20_000  # instances that the page holds at most, the newest
_LOOK_SECONDS = 0.25
_PAUSE_PER_READ = 3  # so many times as long as a reading took passes before the next
# An open instance is read again after so long without a commit: that an activity has begun to run is none.
_REREAD_SECONDS = 1.0


class Message(NamedTuple):
    """`data`: JSON in one line."""

    name: str
    data: str


async def instances(hub: TaskHub) -> AsyncIterator[Message | None]:
    """``all`` with every instance, then ``changed`` with those that are new or have changed, and the counts."""
    name, since = "all", ""
    before: dict[str, ListedInstance] = {}  # by id, those of the last reading: some are read again
    while True:
        commits, began = hub.commits, time.perf_counter()
        next_since = hub.committed_up_to()
        found = await hub.overview(since, LISTED)
        news = [each for each in found.instances if before.get(each.instance_id) != each]
        before, since = {each.instance_id: each for each in found.instances}, next_since
        yield Message(name, await asyncio.to_thread(_listing, found._replace(instances=news)))
        name = "changed"
        await asyncio.sleep(_pause_since(began))
        while hub.commits == commits:
            yield None
            await asyncio.sleep(_LOOK_SECONDS)


async def instance(hub: TaskHub, instance_id: str) -> AsyncIterator[Message | None]:
    """``instance`` with all that the page shows of one, whenever that has changed; ``gone`` if there is none."""
    latest = ""
    while True:
        commits, began = hub.commits, time.perf_counter()
        view = await instance_view(hub, instance_id)
        data = "null" if view is None else await asyncio.to_thread(_json, view)
        yield Message("gone" if view is None else "instance", data) if data != latest else None
        latest = data
        is_open = view is not None and "endedTime" not in view["timeline"]
        reread_at = time.monotonic() + (_REREAD_SECONDS if is_open else 3600.0)
        await asyncio.sleep(_pause_since(began))
        while hub.commits == commits and time.monotonic() < reread_at:
            yield None
            await asyncio.sleep(_LOOK_SECONDS)


def _listing(found: Overview) -> str:
    rows = [listed_json(each) for each in found.instances]
    return _json({"rows": rows, "counts": found.counts, "limit": LISTED})


def _pause_since(began: float) -> float:
    return max(_LOOK_SECONDS, (time.perf_counter() - began) * _PAUSE_PER_READ)


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
