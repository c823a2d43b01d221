"""Sub-orchestrations, and what happens to a child or its parent."""

from __future__ import annotations

import asyncio
from typing import Any

from ..scene import Scene, is_, short
from . import corner, ends, settles

for name in ("parent", "parent_of_failure", "parent_with_retry"):
    ends(name)
settles("sub_inputs")
settles("level_own", 2, name="three_levels_own")


async def parent_and_kid(scene: Scene) -> tuple[str, str]:
    """A parent whose child waits for the event `go`."""
    parent = await scene.begin("keeps_child")
    kid = scene.name(f"{parent}-kid", "KID")
    await scene.until(kid, is_("Running"))
    return parent, kid


@corner
async def terminate_parent(scene: Scene) -> Any:
    parent, kid = await parent_and_kid(scene)
    await scene.until_event(parent, "SubOrchestrationInstanceCreated")
    await scene.post(parent, "terminate", "&reason=stop")
    answer = {"parent": await scene.ended(parent), "kid": await scene.get(kid, "&showHistory=true")}
    await scene.tidy(kid)
    return answer


@corner
async def terminate_child(scene: Scene) -> Any:
    parent, kid = await parent_and_kid(scene)
    await scene.post(kid, "terminate", "&reason=child%20only")
    return {"parent": await scene.ended(parent), "kid": short(await scene.get(kid))}


@corner
async def suspend_parent(scene: Scene) -> Any:
    """The child's end reaches the history; the parent goes on when it is resumed."""
    parent, kid = await parent_and_kid(scene)
    await scene.suspend(parent, "hold")
    await scene.event(kid, "go", 1)
    kid_end = await scene.outcome(kid)
    await scene.until_event(parent, "SubOrchestrationInstanceCompleted")
    still = short(await scene.get(parent))
    await scene.resume(parent, "on")
    return {"kid": kid_end, "still": still, "final": await scene.ended(parent)}


@corner
async def purge_parent(scene: Scene) -> Any:
    parent, kid = await parent_and_kid(scene)
    running = await scene.call("DELETE", scene.url(parent))
    await scene.event(kid, "go", 1)
    await scene.until(parent)
    done = await scene.call("DELETE", scene.url(parent))
    return {"running": running, "done": done, "kid": short(await scene.get(kid))}


@corner
async def sub_unknown(scene: Scene) -> Any:
    """The extension's parent waits for ever: compared is its state after a while."""
    instance_id = await scene.begin("sub_unknown")
    state = await scene.until(instance_id, extra="&showHistory=true", patience=4)
    await scene.tidy(instance_id)
    return {"state": state, "final": await scene.ended(instance_id)}


@corner
async def sub_existing_running(scene: Scene) -> Any:
    """The kid waits for `one`. A parent's child of the same id would wait for `two`."""
    kid = scene.name(f"{scene.token}kid", "KID")
    await scene.begin_waiting("wait_for", "one", id=kid)
    parent = await scene.begin("sub_with_id", {"id": kid, "input": "two"})
    scene.names[parent] = "I2"
    replaced = await kid_replaced(scene, parent, kid)
    answer = {
        "parent": await scene.get(parent, "&showHistory=true"),
        "kid": await scene.get(kid, "&showHistory=true"),
        "raise": await scene.event(kid, "one", "v1"),
    }
    if replaced:
        await scene.until_event(kid, "EventRaised", Name="one")
        answer["kid_after_one"] = short(await scene.get(kid))
    else:
        answer["kid_after_one"] = await scene.outcome(kid)
    answer["raise_two"] = await scene.event(kid, "two", "v2")
    answer["kid_end"] = await scene.outcome(kid)
    answer["parent_end"] = await scene.ended(parent)
    return answer


async def kid_replaced(scene: Scene, parent: str, kid: str) -> bool:
    """Once the kid has been replaced or the parent has gone on without it."""
    while True:
        if (await scene.get(kid))["body"]["input"] == '"two"':
            return True
        if is_("Completed", "Failed")((await scene.get(parent))["body"]):
            return False
        await asyncio.sleep(0.05)


@corner
async def rewind_child_failed(scene: Scene) -> Any:
    parent = await scene.begin("rewind_parent")
    failed = await scene.ended(parent)
    rewound = await scene.post(parent, "rewind", "&reason=again")
    await scene.until(parent, is_("Completed"))
    return {"failed": failed, "rewind": rewound, "final": await scene.ended(parent)}
