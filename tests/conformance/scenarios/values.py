"""Inputs, results, custom classes and custom status, as JSON carries them."""

from __future__ import annotations

import asyncio
from typing import Any

from ..scene import NO_BODY, Scene
from . import basic, corner, ends, first, settles

ends("returns_none")
ends("echo_types")
ends("deterministic")
ends("statuses")
for label, value in {
    "dict": {"a": [1, {"b": None}]},
    "list": [1, "x"],
    "str": "plain",
    "numstr": "42",
    "int": 3,
    "none": None,
    "big": "x" * 200_000,
}.items():
    ends("echo_input", value, name=f"input_{label}")
    ends("plain_return", value, name=f"plain_return_{label}")
ends("echo_input", NO_BODY, name="input_absent")

for name in ("class_activity", "class_output_caught", "class_status", "name_case"):
    settles(name)
settles("status_then_fail")
settles("status_bad")
settles(
    "call_each",
    [
        ["returns", kind]
        for kind in ("none", "tuple", "float", "onepoint", "isodate", "dollar", "bigint", "nan")
    ],
    name="activity_returns_history",
)


@corner
async def activity_bad_inputs(scene: Scene) -> Any:
    async def one(kind: str) -> Any:
        return kind, await scene.outcome(await scene.begin("bad_input", kind))

    kinds = ("set", "bytes", "datetime", "tuple", "nan")
    return dict(await asyncio.gather(*(one(kind) for kind in kinds)))


@corner
async def status_size(scene: Scene) -> Any:
    """Sixteen whole kilobytes pass; of the status itself only the length is compared."""

    async def one(size: int) -> Any:
        end = await scene.ended(await scene.begin("status_big", size))
        body = end["body"]
        if isinstance(body["customStatus"], str):
            body["customStatus"] = len(body["customStatus"])
        return str(size), end

    return dict([await one(size) for size in (8000, 8190, 8191, 9000, 20000)])


@basic
async def status_running(scene: Scene) -> Any:
    started, instance_id = await first(scene, "waits_forever", "in")
    running = await scene.until(instance_id, lambda body: body["runtimeStatus"] == "Running")
    await scene.tidy(instance_id)
    return {"start": started, "running": running}


@basic
async def status_flags(scene: Scene) -> Any:
    _, instance_id = await first(scene, "chain", {"in": 1})
    await scene.until(instance_id)
    flags = {
        "plain": "",
        "no_input": "&showInput=false",
        "history": "&showHistory=true",
        "history_output": "&showHistory=true&showHistoryOutput=true",
        "fail500": "&returnInternalServerErrorOnFailure=true",
    }
    return {label: await scene.get(instance_id, flag) for label, flag in flags.items()}


@basic
async def status_failed_500(scene: Scene) -> Any:
    _, instance_id = await first(scene, "activity_fails")
    await scene.until(instance_id)
    return {
        "plain": await scene.get(instance_id),
        "as_500": await scene.get(instance_id, "&returnInternalServerErrorOnFailure=true"),
    }
