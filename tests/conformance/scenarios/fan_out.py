"""Fan-out/fan-in, and retries."""

from __future__ import annotations

from typing import Any

from ..scene import Scene
from . import basic, ends, first

for name in (
    "fan_out",
    "fan_out_empty",
    "fan_out_one_fails",
    "fan_out_caught",
    "fan_out_settled",
    "mixed_fan_out",
    "windows",
    "sliding",
    "chain",
    "retry_then_ok",
    "retry_exhausted",
    "any_then_rest",
    "any_of_alls",
    "same_task_twice",
):
    ends(name)
ends("fan_out_n", 100, name="fan_out_100")
ends("nondeterministic")


@basic(interleaved=True)
async def fan_out_with_retry(scene: Scene) -> Any:
    started, instance_id = await first(scene, "fan_out_with_retry")
    return {"start": started, "final": await scene.final(instance_id)}
