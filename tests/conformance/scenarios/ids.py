"""Instance ids of every kind, through the SDK's client and the HTTP API."""

from __future__ import annotations

import asyncio
from typing import Any

from ..scene import Answer, Scene, in_path, is_, new_token
from . import corner

KEPT = ("id", "instanceId", "runtimeStatus", "output", "statusQueryGetUri", "raised", "message")


def odd_ids(token: str, cut_token: str) -> dict[str, str]:
    """One of each kind. The SDK cuts an id at `#` and `?`: what is left of those two must not be the same."""

    def filled(length: int) -> str:
        return token + "x" * (length - len(token))

    return {
        "space": f"{token} with space",
        "unicode": f"{token}-é☃漢",
        "plus": f"{token}+plus",
        "percent": f"{token}%20pct",
        "bare_percent": f"{token}100%",
        "single_quote": f"{token}it's",
        "double_quote": f'{token}"q"',
        "dots": f"{token}.a..b.",
        "len100": filled(100),
        "len256": filled(256),
        "len257": filled(257),
        "at": f"@{token}",
        "inner_at": f"{token}@in",
        "slash": f"{token}/slash",
        "backslash": f"{token}\\back",
        "hash": f"{token}#hash",
        "question": f"{cut_token}?quest",
        "colon": f"{token}:colon",
        "tab": f"{token}\ttab",
        "brackets": f"{token}[]{{}}<>",
        "amp": f"{token}&amp=1",
        "semicolon": f"{token};semi",
        "star": f"{token}*~!$(),|^`",
        "upper": f"{token}UPPER",
        "trailing_space": f"{token}end ",
    }


def slim(answer: Answer) -> Answer:
    body = answer["body"]
    if isinstance(body, dict):
        body = {key: value for key, value in body.items() if key in KEPT}
    return {"status": answer["status"], "body": body}


async def by_http(scene: Scene, instance_id: str) -> Answer:
    """Look at it by the API, raise its event; only that if there is no such instance."""
    answer = await scene.get(instance_id)
    if answer["status"] != 404:
        answer = await scene.until(instance_id, is_("Running"))
    answers = {"get": slim(answer), "raise": slim(await scene.event(instance_id, "go", "v"))}
    if answer["status"] == 202:
        answers["after_raise"] = slim(await scene.until(instance_id))
    return answers


async def by_client(scene: Scene, instance_id: str) -> Answer:
    status = await scene.sdk("status", id=instance_id)
    found = status["returned"]
    return {
        "status": {key: found.get(key) for key in ("found", "instanceId", "runtimeStatus")},
        "suspend": await scene.sdk("suspend", id=instance_id, reason="a reason"),
        "raise": await scene.sdk("raise", 1, id=instance_id, event="other"),
        "terminate": await scene.sdk("terminate", id=instance_id, reason="a reason"),
    }


@corner
async def ids_by_sdk(scene: Scene) -> Any:
    other = new_token()
    scene.names[other] = "TOK"

    async def one(label: str, instance_id: str) -> Any:
        started, _ = await scene.start("wait_for", id=instance_id, report="1")
        answer: Answer = {"start": slim(started), "http_ops": await by_http(scene, instance_id)}
        missing = answer["http_ops"]["get"]["status"] == 404
        if missing and started["status"] == 202:
            await scene.until(started["body"]["id"], is_("Running"))
        again, _ = await scene.start("wait_for", id=instance_id, report="1")
        answer["start_again"] = {"status": again["status"]}
        if not missing:
            await scene.until(instance_id, is_("Running"))
        answer["sdk_ops"] = await by_client(scene, instance_id)
        if missing:
            if started["status"] == 202:
                await scene.tidy(started["body"]["id"])
        else:
            answer["end"] = slim(await scene.until(instance_id))
        return label, answer

    ids = odd_ids(scene.token, other)
    answer = dict(await asyncio.gather(*(one(*odd) for odd in ids.items())))
    listed = await scene.call(
        "GET",
        f"{scene.hooks}/instances?{scene.host.query}&top=1000&instanceIdPrefix={in_path(scene.token)}",
    )
    return answer | {"stored": sorted(body["instanceId"] for body in listed["body"])}
