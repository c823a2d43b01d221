"""`call_http` against the app's own small web server."""

from __future__ import annotations

import asyncio
from typing import Any

from ..scene import Scene
from . import corner

# A web server's own headers, which say nothing of the host under test.
SERVERS_OWN = frozenset({"date", "server", "transfer-encoding", "connection"})


async def called(scene: Scene, kind: str) -> tuple[str, Any]:
    instance_id = await scene.begin("http_call", {"uri": f"{scene.host.base}/api/web/{kind}"})
    outcome = await scene.outcome(instance_id)
    if isinstance(outcome["output"], dict):
        strip(outcome["output"]["reply"])
    return kind, outcome


def strip(reply: dict[str, Any]) -> None:
    headers = reply["headers"]
    reply["headers"] = {name: text for name, text in headers.items() if name.lower() not in SERVERS_OWN}


@corner
async def http_replies(scene: Scene) -> Any:
    kinds = ("json", "text", "empty", "missing", "boom", "accepted", "redirect")
    return dict(await asyncio.gather(*(called(scene, kind) for kind in kinds)))


@corner
async def http_history(scene: Scene) -> Any:
    instance_id = await scene.begin("http_call", {"uri": f"{scene.host.base}/api/web/missing"})
    final = await scene.ended(instance_id)
    strip(final["body"]["output"]["reply"])
    return {"final": final}
