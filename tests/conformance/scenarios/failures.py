"""The texts of failures, and calls of functions that do not exist."""

from __future__ import annotations

import asyncio
from typing import Any

from ..scene import WITH_HISTORY, Scene
from . import basic, corner, ends, first, settles

for name in ("activity_fails", "bad_result", "raises_at_once", "raises_later"):
    ends(name)
# The extension's instance waits for ever: compared is its state after a while.
ends("unknown_activity", patience=4)
for name in ("bad_output", "raises_after_catch", "plain_function"):
    settles(name)
settles("call_each", [["async_raises", 1], ["kind_of"], ["big", 10]], name="activity_mixed")

KINDS = (
    *("multiline", "crlf", "unicode", "empty", "noargs", "space", "key", "custom", "silent", "assertion"),
    *("zero", "from", "during", "from_none", "braces", "stack", "marker", "exception_prefix", "group"),
    *("tabs", "other"),
)


@corner
async def activity_failures(scene: Scene) -> Any:
    async def one(kind: str) -> Any:
        return kind, await scene.outcome(await scene.begin("call_each", [["raises", kind]]))

    return dict(await asyncio.gather(*(one(kind) for kind in KINDS)))


@corner
async def orchestrator_failures_in_child(scene: Scene) -> Any:
    """The orchestrator's own, as its parent catches them."""

    async def one(kind: str) -> Any:
        spec = {"name": "raises_own", "input": kind, "id": ""}
        return kind, await scene.outcome(await scene.begin("sub_with_id", spec))

    kinds = ("multiline", "empty", "braces", "stack", "marker", "from")
    return dict(await asyncio.gather(*(one(kind) for kind in kinds)))


@basic
async def start_unknown(scene: Scene) -> Any:
    started, instance_id = await first(scene, "nosuch")
    return {"start": started, "final": await scene.final(instance_id)}


# -- code that changes between replays ---------------------------------------------------------------------------
def changes(orchestrator: str) -> None:
    async def play(scene: Scene) -> Any:
        instance_id = await scene.begin(orchestrator)
        plain = await scene.until(instance_id)
        full = await scene.get(instance_id, WITH_HISTORY)
        drop_trace(full)
        await scene.tidy(instance_id)
        return {"plain": plain, "with_history": full, "terminated": await scene.outcome(instance_id)}

    corner(name=f"nd_{orchestrator}", interleaved=True)(play)


def drop_trace(answer: dict[str, Any]) -> None:
    if isinstance(answer["body"], dict):
        answer["body"].pop("StackTrace", None)


for name in ("changed_name", "more_activities", "activity_to_timer", "vanished"):
    changes(name)
