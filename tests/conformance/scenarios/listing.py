"""Lists of instances: filters, pages; and the purge by filter."""

from __future__ import annotations

import asyncio
from typing import Any

from ..scene import Scene, ids_only
from . import basic, corner


@basic(alone=True)
async def list_instances(scene: Scene) -> Any:
    """Five completed ones by prefix. Its purge deletes whatever has completed: it runs alone."""
    prefix = f"{scene.token}-"
    scene.names[prefix] = "PREFIX-"
    ids = [f"{prefix}{n}" for n in range(5)]
    for instance_id in ids:
        await scene.begin("chain", id=instance_id)
    for instance_id in ids:
        await scene.until(instance_id)
    url = f"{scene.hooks}/instances?{scene.host.query}&instanceIdPrefix={prefix}"
    filters = {
        "prefix": "",
        "completed": "&runtimeStatus=Completed",
        "failed": "&runtimeStatus=Failed,Running",
        "no_input": "&showInput=false",
        "future": "&createdTimeFrom=2999-01-01T00:00:00Z",
        "bad_status": "&runtimeStatus=Nonsense",
    }
    answer = {label: await scene.call("GET", url + extra) for label, extra in filters.items()}
    for listed in answer.values():
        listed["body"].sort(key=lambda body: body["instanceId"])
    page = await scene.call("GET", f"{url}&top=2")
    answer["page_has_token"] = {
        "n_le_2": len(page["body"]) <= 2,
        "token": bool(page["headers"].get("x-ms-continuation-token")),
    }
    every_completed = "&createdTimeFrom=2000-01-01T00:00:00Z&runtimeStatus=Completed"
    purged = await scene.call("DELETE", url + every_completed)
    purged["body"] = {key: "N" if value >= 5 else value for key, value in purged["body"].items()}
    return answer | {"purge_many": purged}


@corner
async def list_pages(scene: Scene) -> Any:
    """Four instances, one a page."""
    ids = [scene.name(f"{scene.token}-{n}", f"P{n}") for n in range(4)]
    await asyncio.gather(*(scene.begin("plain", id=instance_id) for instance_id in ids))
    for instance_id in ids:
        await scene.until(instance_id)
    url = f"{scene.hooks}/instances?{scene.host.query}&instanceIdPrefix={scene.token}&top=1"
    pages: list[list[str]] = []
    token: str | None = None
    while not pages or (token and len(pages) < 12):
        page = await scene.call("GET", url, headers={"x-ms-continuation-token": token} if token else {})
        pages.append(ids_only(page["body"]))
        token = page["headers"].get("x-ms-continuation-token")
    rubbish = await scene.call("GET", url, headers={"x-ms-continuation-token": "rubbish"})
    return {
        "seen": [instance_id for page in pages for instance_id in page],
        "biggest_page": max(map(len, pages)),
        "last_token": token,
        "ended": not token,
        "bad_token": rubbish,
    }
