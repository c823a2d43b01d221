"""Entities: through orchestrators, the SDK's client and the HTTP API."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from ..scene import Answer, Scene, in_path
from . import basic, corner, ends

ends("entity_calls")
ends("entity_error")


@basic
async def entity_client(scene: Scene) -> Any:
    """Read, signal, read, delete, read: by the SDK's client."""
    who = {"entity": "counter", "key": scene.token}
    before = await scene.client("entity", **who)
    signal = await scene.client("signal", 4, operation="add", **who)
    await scene.entity_exists(scene.token, "counter")
    after = await scene.client("entity", **who)
    await scene.client("signal", operation="delete", **who)
    deleted = await read_until(scene, who, lambda state: state["state"] != 4)
    return {"before": before, "signal": signal, "after": after, "deleted": deleted}


async def read_until(scene: Scene, who: dict[str, str], condition: Any) -> Answer:
    end = time.monotonic() + scene.host.deadline
    while True:
        answer = await scene.client("entity", **who)
        if condition(answer["body"]["returned"]):
            return answer
        assert time.monotonic() < end, answer
        await asyncio.sleep(0.05)


def script(
    name: str, suffix: str, *steps: list[Any], entity: str = "", patience: float | None = None
) -> None:
    """Calls in turn from one orchestrator: its end with the history, and what the API then reads."""

    async def play(scene: Scene) -> Any:
        key = scene.token + suffix
        spec = {"key": key, "steps": list(steps)} | ({"entity": entity} if entity else {})
        instance_id = await scene.begin("entity_script", spec)
        final = await scene.ended(instance_id, patience)
        read = await scene.entity(key, entity or "cell")
        await scene.tidy(instance_id)
        return {"final": final, "entity": read}

    corner(name=name)(play)


def calls(*operations: Any) -> list[list[Any]]:
    return [["call", *operation] for operation in operations]


script(
    "entity_destroyed",
    "e",
    *calls(("set", 5), ("leave",), ("get",), ("add", 2), ("leave_with_result",), ("get",)),
)
script("entity_only_read", "f", *calls(("get",), ("who",)))
script("entity_name_case", "i", *calls(("set", 3), ("who",)), entity="CELL")
STATES: tuple[Any, ...] = (
    *("text", "", 0, 1.5, True, False, None, [], [1], {}, {"a": 1}, "7"),
    *("2024-05-06T07:08:09.1200000Z", "ü"),
)
script(
    "entity_state_types",
    "g",
    *calls(*(operation for state in STATES for operation in (("set", state), ("state_kind",)))),
)
# The extension waits for ever in these two.
script("entity_unknown", "h", *calls(("get",)), entity="nobody", patience=4)
script("entity_bad_state", "d", *calls(("set", 1), ("bad_state",), ("get",)), patience=6)


@corner(interleaved=True)
async def entity_fan(scene: Scene) -> Any:
    """Five calls at once."""
    return {"final": await scene.ended(await scene.begin("entity_fan", f"{scene.token}fan"))}


@corner
async def entity_signal_no_input(scene: Scene) -> Any:
    """The SDK sends no body for a falsy input, and get_input() then raises inside the entity."""

    async def one(label: str, operation: str, *payload: Any) -> Any:
        key = scene.token + label
        signal = await scene.sdk("signal", *payload, entity="cell", key=key, operation=operation)
        await scene.entity_exists(key)
        read = await scene.sdk("entity", entity="cell", key=key)
        got = await scene.outcome(await scene.begin("entity_script", {"key": key, "steps": calls(("get",))}))
        del got["input"]
        return label, {"signal": signal, "read": read, "then_get": got}

    signals = (
        ("bump_none", "bump"),
        ("add_none", "add"),
        ("add_zero", "add", 0),
        ("set_false", "set", False),
        ("kind_none", "kind"),
    )
    return dict(await asyncio.gather(*(one(*signal) for signal in signals)))


@corner
async def entity_as_instance(scene: Scene) -> Any:
    """The instance behind an entity, in the instances API."""
    key = f"{scene.token}inst"
    instance_id = f"@cell@{key}"
    await scene.sdk("signal", {"v": 1}, entity="cell", key=key, operation="set")
    await scene.entity_exists(key)
    prefix = in_path(f"@cell@{scene.token}")
    return {
        "get": await scene.get(instance_id),
        "listed": await scene.call(
            "GET", f"{scene.hooks}/instances?{scene.host.query}&instanceIdPrefix={prefix}"
        ),
        "purge": await scene.call("DELETE", scene.url(instance_id)),
        "after_purge": await scene.entity(key),
    }


@corner
async def entity_lists(scene: Scene) -> Any:
    keys = [f"{scene.token}l{n}" for n in range(3)]
    for n, key in enumerate(keys, 1):
        await scene.sdk("signal", {"n": n}, entity="cell", key=key, operation="set")
    for key in keys:
        await scene.entity_exists(key)
    url, query = f"{scene.hooks}/entities", scene.host.query

    async def listed(path: str, extra: str = "") -> Answer:
        """The ones of this scenario."""
        answer = await scene.call("GET", f"{url}{path}?{query}{extra}")
        answer["body"] = sorted((e for e in answer["body"] if scene.token in json.dumps(e)), key=json.dumps)
        answer["headers"].pop("x-ms-continuation-token", None)
        return answer

    hour_ago = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600))
    page = await scene.call("GET", f"{url}/cell?{query}&top=1")
    return {
        "all": await listed("", "&top=1000"),
        "by_name": await listed("/cell", "&top=1000"),
        "with_state": await listed("/cell", "&fetchState=true&top=1000"),
        "upper": await listed("/CELL", "&top=1000"),
        "none": await listed("/nobody"),
        "since": await listed("/cell", f"&lastOperationTimeFrom={hour_ago}&top=1000"),
        "before": await listed("/cell", "&lastOperationTimeTo=2001-01-01T00:00:00Z"),
        "slash": await listed("/", "&top=1000"),
        "page": {
            "n": len(page["body"]),
            "token": bool(page["headers"].get("x-ms-continuation-token")),
        },
    }
