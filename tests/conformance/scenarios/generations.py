"""Continue-as-new."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from ..scene import Scene, seconds, short
from . import corner, ends, settles

ends("eternal")
settles("roll_and_go_on")


@corner
async def roll_status_kept(scene: Scene) -> Any:
    """The old generation's status shows until the new one's next episode."""
    instance_id = await scene.begin("roll_status")
    before = await scene.until(instance_id, lambda body: body["customStatus"] is not None)
    rolled = await rolled_over(scene, instance_id)
    await scene.event(instance_id, "end", 1)
    return {"before": before, "rolled": rolled, "final": await scene.ended(instance_id)}


@corner
async def roll_then_status_history(scene: Scene) -> Any:
    """Suspended and terminated in a later generation."""
    instance_id = await scene.begin_waiting("roll_status")
    await rolled_over(scene, instance_id)
    await scene.suspend(instance_id, "in two")
    suspended = short(await scene.get(instance_id))
    await scene.post(instance_id, "terminate", "&reason=done")
    return {"suspended": suspended, "final": await scene.ended(instance_id)}


async def rolled_over(scene: Scene, instance_id: str) -> Any:
    """Make `roll_status` continue as new, and wait until it has."""
    await scene.event(instance_id, "roll", 1)
    second = '"second"'
    return await scene.until(instance_id, lambda body: body["input"] == second, "&showHistory=true")


@corner
async def roll_types(scene: Scene) -> Any:
    async def one(value: Any) -> Any:
        return json.dumps(value), await scene.outcome(await scene.begin("roll_types", {"roll": value}))

    values: tuple[Any, ...] = (None, 0, "", "text", "7", True, [], [1], {"a": 1}, "ü")
    return dict(await asyncio.gather(*(one(value) for value in values)))


@corner
async def roll_with_open_timer(scene: Scene) -> Any:
    """The next generation starts when the open timer has fired, by the host's own times."""
    instance_id = await scene.begin("roll_open", "timer")
    rolling = await scene.until_event(instance_id, "TaskCompleted")
    final = await scene.ended(instance_id)
    took = started_at(final["body"]) - started_at(rolling["body"])
    # Four seconds; the extension fires up to one too early.
    return {"after_1s": short(rolling), "waited_for_it": took > 2.4, "final": final}


def started_at(body: dict[str, Any]) -> float:
    """When the generation began, in seconds."""
    started = body["historyEvents"][0]
    assert started["EventType"] == "ExecutionStarted"
    return seconds(started["Timestamp"])
