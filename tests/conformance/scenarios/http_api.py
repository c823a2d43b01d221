"""The management API itself: starting, waiting, bodies, links, flags, verbs and routes, what it refuses."""

from __future__ import annotations

import asyncio
from typing import Any

from ..scene import NO_BODY, Answer, Scene, is_, short
from . import basic, corner, first
from .children import parent_and_kid
from .failures import drop_trace


def orchestrators(scene: Scene, path: str, extra: str = "") -> str:
    return f"{scene.hooks}/orchestrators/{path}?{scene.host.query}{extra}"


@basic
async def http_start(scene: Scene) -> Any:
    _, instance_id = await first(scene, "chain")
    named, live = f"{instance_id}x", f"{instance_id}y"
    answer = {
        "start": await scene.call("POST", orchestrators(scene, "chain")),
        "with_id": await scene.call("POST", orchestrators(scene, f"echo_input/{named}"), {"via": "http"}),
        "with_id_status": await scene.until(named),
        "unknown_orchestrator": await scene.call("POST", orchestrators(scene, "nosuch")),
        "first": await scene.call("POST", orchestrators(scene, f"waits_forever/{live}")),
    }
    await scene.until(live, is_("Running"))
    answer["already_running"] = await scene.call("POST", orchestrators(scene, f"waits_forever/{live}"))
    await scene.tidy(live)
    wait = "&timeout=30&pollingInterval=1"
    answer["wait_done"] = await scene.call("POST", orchestrators(scene, "chain", wait))
    answer["bad_json"] = await scene.call(
        "POST", orchestrators(scene, "echo_input"), data=b"{bad", headers={"Content-Type": "application/json"}
    )
    return answer


@basic
async def raise_bad(scene: Scene) -> Any:
    started, instance_id = await first(scene, "waits_forever")

    async def raised(to: str = instance_id, body: Any = NO_BODY, **kwargs: Any) -> Answer:
        return await scene.post(to, "raiseEvent/X", body=body, **kwargs)

    answer = {
        "start": started,
        "no_body": await raised(),
        "not_json": await raised(data=b"{oops", headers={"Content-Type": "application/json"}),
        "text_plain": await raised(data=b"hello", headers={"Content-Type": "text/plain"}),
        "unknown_instance": await raised("nobody", 1),
    }
    await scene.tidy(instance_id)
    await scene.until(instance_id)
    return answer | {"to_finished": await raised(body=1)}


@basic
async def status_unknown(scene: Scene) -> Any:
    """An id that nobody has, and methods that are not served."""
    _, instance_id = await first(scene, "chain")
    text = "&reason=%7Btext%7D"
    return {
        "unknown": await scene.get("nobody"),
        "terminate_unknown": await scene.post("nobody", "terminate", text),
        "purge_unknown": await scene.call("DELETE", scene.url("nobody")),
        "suspend_unknown": await scene.post("nobody", "suspend", text),
        "rewind_unknown": await scene.post("nobody", "rewind", text),
        "post_on_get": await scene.call("POST", scene.url(instance_id)),
        "delete_many_no_filter": await scene.call("PUT", scene.url(instance_id)),
    }


@basic
async def wait_for_completion(scene: Scene) -> Any:
    """The SDK's own waiting: done, too late, failed."""
    done = await scene.call("POST", "/api/wait/chain?timeout=30000&interval=200")
    late = await scene.call("POST", "/api/wait/waits_forever?timeout=1000&interval=200")
    failed = await scene.call("POST", "/api/wait/activity_fails?timeout=30000&interval=200")
    await scene.tidy(late["body"]["id"])
    return {"done": done, "late": late, "failed": failed}


@corner
async def http_wait(scene: Scene) -> Any:
    """timeout and pollingInterval of a start by HTTP."""

    async def go(orchestrator: str, extra: str) -> Answer:
        reply = await scene.call("POST", orchestrators(scene, orchestrator, extra))
        drop_trace(reply)
        return reply

    wait = "&timeout=30&pollingInterval=1"
    asked = {
        "done": ("plain", wait),
        "fails": ("fails", wait),
        "poll_longer": ("plain", "&timeout=1&pollingInterval=5"),
        "timeout_only": ("plain", "&timeout=5"),
        "poll_only": ("plain", "&pollingInterval=1"),
        "late": ("wait_for", "&timeout=1&pollingInterval=0.5"),
        "fractions": ("plain", "&timeout=30.5&pollingInterval=0.25"),
        "bad_timeout": ("plain", "&timeout=soon&pollingInterval=1"),
        "zero": ("plain", "&timeout=0&pollingInterval=0"),
        "negative": ("plain", "&timeout=-1&pollingInterval=-2"),
        "none_output": ("echo_child", wait),
        "dict_output": ("class_sub", wait),
        "unknown": ("nobody_here", wait),
    }
    replies = await asyncio.gather(*(go(*request) for request in asked.values()))
    answer = dict(zip(asked, replies, strict=True))
    await scene.tidy(answer["late"]["body"]["id"])
    return answer


JSON = "application/json"
BODIES = {
    "dict": (b'{"a":1}', JSON),
    "dict_spaces": (b' { "a" : 1.0 , "b":"2024-05-06T07:08:09Z" } ', JSON),
    "array": (b"[1,2]", JSON),
    "number": (b"7", JSON),
    "float": (b"1.50", JSON),
    "true": (b"true", JSON),
    "null": (b"null", JSON),
    "string": (b'"Tokyo"', JSON),
    "string_number": (b'"7"', JSON),
    "string_json": (b'"{\\"a\\": 1}"', JSON),
    "empty": (b"", JSON),
    "blank": (b"   ", JSON),
    "no_type": (b'{"a":1}', None),
    "text_type": (b'{"a":1}', "text/plain"),
    "form_type": (b'{"a":1}', "application/x-www-form-urlencoded"),
    "not_json": (b"hello", JSON),
    "not_json_text": (b"hello", "text/plain"),
    "half": (b'{"a":', JSON),
    "two": (b'{"a":1}{"b":2}', JSON),
    "bad_utf8": (b'"\xff\xfe"', JSON),
    "comment": (b"/*c*/{}", JSON),
    "nan": (b"NaN", JSON),
    "empty_dict": (b"{}", JSON),
    "empty_array": (b"[]", JSON),
    "empty_string": (b'""', JSON),
    "class": (b'{"__class__":"Nope","__module__":"nowhere","__data__":1}', JSON),
}


@corner
async def http_start_bodies(scene: Scene) -> Any:
    """What get_input() sees of each."""

    async def one(label: str, body: bytes, content_type: str | None) -> Any:
        typed: dict[str, Any] = {"headers": {"Content-Type": content_type}}
        untyped: dict[str, Any] = {"skip_auto_headers": ["Content-Type"]}
        reply = await scene.call(
            "POST", orchestrators(scene, "input_seen"), data=body, **(typed if content_type else untyped)
        )
        if reply["status"] == 202:
            return label, await scene.outcome(reply["body"]["id"])
        if label != "comment":
            drop_trace(reply)
        return label, reply

    return dict(await asyncio.gather(*(one(label, *body) for label, body in BODIES.items())))


@corner
async def links(scene: Scene) -> Any:
    """Management links by each way of starting, with and without the query that names the hub."""
    by_sdk, _ = await scene.start("plain")
    by_http = await scene.call("POST", orchestrators(scene, "plain"))
    scene.name(by_http["body"]["id"])
    bare = await scene.call("POST", f"{scene.hooks}/orchestrators/plain{scene.host.key}")
    scene.name(bare["body"]["id"])
    payload = await scene.sdk("payload", id="ID")
    return {"sdk": by_sdk, "http": by_http, "http_bare": bare, "payload": payload}


@corner
async def history_flags(scene: Scene) -> Any:
    """showHistory, showHistoryOutput and showInput in their spellings, while running and after."""
    flags = {
        "h": "&showHistory=true",
        "ho": "&showHistory=true&showHistoryOutput=true",
        "hi": "&showHistory=true&showInput=true",
        "hno": "&showHistory=true&showInput=false",
        "o": "&showHistoryOutput=true",
        "case": "&SHOWHISTORY=TRUE",
        "bad": "&showHistory=yes",
        "one": "&showHistory=1",
        "spaces": "&showHistory=%20true%20",
        "twice": "&showHistory=false&showHistory=true",
    }
    live = await scene.begin("stepped", {"some": "input"})
    await scene.until(live, lambda body: body["customStatus"] == "waiting")
    running = {label: await scene.get(live, flag) for label, flag in flags.items()}
    await scene.event(live, "go", {"e": 1})
    await scene.until(live)
    failed = {label: await scene.get(live, flags[label]) for label in ("h", "ho", "hno")}
    parent, kid = await parent_and_kid(scene)
    await scene.event(kid, "go", 1)
    await scene.until(parent)
    return {
        "running": running,
        "failed": failed,
        "parent": await scene.get(parent, flags["ho"]),
        "kid": await scene.get(kid, flags["ho"]),
    }


@corner
async def verbs_and_routes(scene: Scene) -> Any:
    done = await scene.begin("plain")
    await scene.until(done)
    live = await scene.begin_waiting("wait_for")
    answer = {}
    for verb in ("HEAD", "OPTIONS", "PUT", "PATCH", "POST"):
        answer[f"{verb} instance"] = await scene.call(verb, scene.url(done))
    requests = f"""
        GET; GET /; GET /nothing; GET /orchestrators; POST /orchestrators; GET /orchestrators/plain
        PUT /orchestrators/plain; GET /instances/{live}/terminate; GET /instances/{live}/raiseEvent/go
        POST /instances/{live}/raiseEvent; POST /instances/{live}/nothing; POST /instances/{live}
        POST /instances; GET /INSTANCES/{done}; GET /instances/{done}/; POST /instances/{live}/TERMINATE
        GET /instances/{live}/history; POST /makeprimary; DELETE /instances/{live}/terminate
        PUT /instances/{live}/raiseEvent/go; POST /instances/{live}/raiseEvent/
        GET /instances/{done}/a/b/c; PUT /instances
    """
    for request in requests.replace(";", "\n").splitlines():
        if verb_and_path := request.split():
            verb, path = (*verb_and_path, "")[:2]
            body = 1 if verb == "PUT" else NO_BODY
            reply = await scene.call(verb, f"{scene.hooks}{path}?{scene.host.query}", body)
            label = f"{verb} {path}".replace(live, "I2").replace(done, "I1")
            drop_trace(reply)
            answer[label] = reply
    answer["live_after"] = short(await scene.until(live))
    return answer
