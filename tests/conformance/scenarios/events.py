"""External events: early, twice, in any case and of any name, to a later generation."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from ..scene import WITH_HISTORY, Answer, Scene, has_event, is_, short
from . import basic, corner, first


@basic
async def event_approved(scene: Scene) -> Any:
    started, instance_id = await first(scene, "event_or_timeout")
    await scene.until_event(instance_id, "TimerCreated")
    raised = await scene.event(instance_id, "Approval", {"by": "me", "ok": True})
    return {"start": started, "raise": raised, "final": await scene.final(instance_id)}


@basic
async def event_case_insensitive(scene: Scene) -> Any:
    """A name in another case: the event arrives, and the wait does not get it."""
    started, instance_id = await first(scene, "event_or_timeout")
    await scene.until_event(instance_id, "TimerCreated")
    raised = await scene.event(instance_id, "approval", "lower")
    final = await scene.until(instance_id, has_event("EventRaised"), WITH_HISTORY)
    await scene.tidy(instance_id)
    return {"start": started, "raise": raised, "final": final}


@basic
async def event_early_and_twice(scene: Scene) -> Any:
    started, instance_id = await first(scene, "two_events")
    raised = [await scene.event(instance_id, "E", 1), await scene.event(instance_id, "E", "two")]
    await scene.until_event(instance_id, "EventRaised", count=2)
    await scene.open_gate(instance_id)
    return {"start": started, "raises": raised, "final": await scene.final(instance_id)}


@basic
async def events_both(scene: Scene) -> Any:
    started, instance_id = await first(scene, "both_events")
    for name in "BA":
        await scene.event(instance_id, name, name.lower())
    return {"start": started, "final": await scene.final(instance_id)}


@basic
async def events_carried_over(scene: Scene) -> Any:
    """Three events at once, one a generation."""
    started, instance_id = await first(scene, "eternal_events")
    for n in range(3):
        await scene.event(instance_id, "N", n)
    final = await scene.until(instance_id)
    body = final["body"]
    output = sorted(body["output"], key=str) if isinstance(body["output"], list) else body["output"]
    slim = {"status": final["status"], "output": output, "runtimeStatus": body["runtimeStatus"]}
    return {"start": started, "final": slim}


@corner
async def event_kept_for_next_generation(scene: Scene) -> Any:
    """Raised for a wait of the second generation while the first still runs: lost."""
    instance_id = await scene.begin_waiting("next_generation_event")
    await scene.event(instance_id, "N", "early")
    await scene.until_event(instance_id, "EventRaised")
    await scene.event(instance_id, "roll", 1)
    return {"final": await scene.ended(instance_id)}


@corner
async def event_race(scene: Scene) -> Any:
    instance_id = await scene.begin_waiting("event_race")
    await scene.event(instance_id, "B", "b")
    await scene.until_event(instance_id, "EventRaised")
    await scene.event(instance_id, "A", "a")
    return {"final": await scene.ended(instance_id)}


@corner
async def event_right_after_start(scene: Scene) -> Any:
    async def one(n: int) -> Any:
        instance_id = await scene.begin("wait_for")
        raised = await scene.event(instance_id, "go", n)
        return {"raise": raised, "final": await scene.outcome(instance_id)}

    return {"each": [await one(n) for n in range(5)]}


@corner
async def event_while_suspended_twice(scene: Scene) -> Any:
    instance_id = await scene.begin_waiting("wait_for_each", ["A", "B"])
    await scene.suspend(instance_id, "hold")
    for n, name in enumerate("AB", 1):
        await scene.event(instance_id, name, n)
        await scene.until_event(instance_id, "EventRaised", count=n)
    still = short(await scene.get(instance_id))
    await scene.resume(instance_id, "on")
    return {"still": still, "final": await scene.outcome(instance_id)}


# -- names -------------------------------------------------------------------------------------------------------
LONG_NAME = "x" * 200
NAMES = (
    *("my event", "événement ☃", "100%", "a%20b", "a+b", "a.b", "it's", 'quo"te', "a:b@c", "MiXeD"),
    *("a/b", "a?b", "a#b", LONG_NAME),
)


@corner
async def event_names(scene: Scene) -> Any:
    """Each name by the HTTP API and by the SDK's client."""

    async def one(name: str, by_sdk: bool) -> Any:
        instance_id = await scene.begin_waiting("wait_for", name)
        if by_sdk:
            raised = await scene.sdk("raise", {"n": name}, id=instance_id, event=name)
        else:
            raised = await scene.event(instance_id, name, {"n": name})
        now = short(await caught_up(scene, instance_id))
        await scene.tidy(instance_id)
        return {"raise": nameless(raised), "status": now["runtimeStatus"], "output": now["output"]}

    async def both(name: str) -> Any:
        http, sdk = await asyncio.gather(one(name, False), one(name, True))
        return "long" if name == LONG_NAME else name, {"http": http, "sdk": sdk}

    return dict(await asyncio.gather(*(both(name) for name in NAMES)))


async def caught_up(scene: Scene, instance_id: str) -> Answer:
    """Its status once an event sent later has been processed, hence every earlier one."""
    await scene.post(instance_id, "suspend")
    await scene.until(instance_id, is_("Suspended", "Completed"))
    await scene.post(instance_id, "resume")
    return await scene.until(instance_id, is_("Running", "Completed"))


def nameless(raised: Answer) -> Answer:
    if "message" in raised:
        raised["message"] = re.sub(r"ID \S+ found", "ID I found", raised["message"])
    return raised


# -- types -------------------------------------------------------------------------------------------------------
TYPED: tuple[Any, ...] = (
    *("text", "", "7", "null", '{"a": 1}', 0, 1, -1.5, 1.0, 1e300, 2**53 + 1, 2**70, True, False),
    *([], [1, None, "x"], {}, {"a": {"b": [1]}}, "ünï ☃ \U0001f600", "2024-05-06T07:08:09.1200000Z"),
    *({"when": "2024-05-06T07:08:09Z"}, {"$type": "System.String", "v": 1}),
)


@corner
async def event_types_http(scene: Scene) -> Any:
    names = [f"E{n}" for n in range(len(TYPED))]
    instance_id = await scene.begin_waiting("wait_for_each", names)
    answers = [
        (await scene.event(instance_id, name, value))["status"]
        for name, value in zip(names, TYPED, strict=True)
    ]
    final = await scene.outcome(instance_id)
    other = await scene.begin_waiting("wait_for")
    null = await scene.event(other, "go", None)
    await scene.tidy(other)
    return {"answers": answers, "final": final, "null": null}


@corner
async def event_unknown_class(scene: Scene) -> Any:
    instance_id = await scene.begin_waiting("wait_for")
    unknown = {"__class__": "Nope", "__module__": "nowhere", "__data__": 1}
    raised = await scene.event(instance_id, "go", unknown)
    return {"raise": raised, "final": await scene.ended(instance_id)}
