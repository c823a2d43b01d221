"""Timers: when they fire, in which order, cancelled, and beside events.

How long one took is only bounded from below where a test depends on it: a busy machine takes longer.
"""

from __future__ import annotations

from typing import Any

from ..scene import Scene, short
from . import corner, ends, settles

ends("timer")
ends("event_or_timeout", 1, name="event_timeout")
settles("timer_cancel_twice")
settles("timer_order")


def held_up(kind: str, threshold: float) -> None:
    """`waited`: the next step started more than `threshold` seconds later."""

    async def play(scene: Scene) -> Any:
        end = short(await scene.until(await scene.begin("timer_kind", kind)))
        output = end["output"]
        if not isinstance(output, dict):
            return {"got": end}
        waited = output["end"]["start"] - output["base"]["end"]
        return {"status": end["runtimeStatus"], "waited": waited > threshold}

    corner(name=f"timer_{kind}")(play)


held_up("four", 2.2)  # four seconds; the extension fires up to one too early
held_up("micro", 20)  # an eighth of a second
held_up("naive_aware_mix", 0)  # fails


@corner
async def timer_while_suspended(scene: Scene) -> Any:
    """It fires into the history; what follows waits for the resume."""
    instance_id = await scene.begin_waiting("timer_then_echo", 2)
    await scene.suspend(instance_id, "hold")
    still = await scene.until_event(instance_id, "TimerFired")
    await scene.resume(instance_id, "on")
    return {"still": still, "final": await scene.ended(instance_id)}
