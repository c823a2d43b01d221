"""Suspend, resume, terminate, rewind, restart, purge, start again."""

from __future__ import annotations

import asyncio
from typing import Any

from ..scene import Scene, has_event, is_, short
from . import basic, corner, first
from .failures import drop_trace


@basic
async def terminate(scene: Scene) -> Any:
    started, instance_id = await first(scene, "waits_forever")
    await scene.until(instance_id, is_("Running"))
    terminated = await scene.post(instance_id, "terminate", "&reason=enough")
    final = await scene.final(instance_id)
    again = await scene.post(instance_id, "terminate", "&reason=again")
    return {"start": started, "terminate": terminated, "final": final, "again": again}


@basic
async def suspend_resume(scene: Scene) -> Any:
    """The step under way ends while suspended; the next begins when resumed."""
    started, instance_id = await first(scene, "slow_steps")
    await scene.until_event(instance_id, "TaskScheduled")
    suspend = await scene.post(instance_id, "suspend", "&reason=hold")
    suspended = await scene.until(instance_id, is_("Suspended"))
    await scene.open_gate(instance_id)
    await scene.until_event(instance_id, "TaskCompleted")
    still = await scene.get(instance_id)
    resume = await scene.resume(instance_id, "go on")
    final = await scene.until(instance_id)
    return {
        "start": started,
        "suspend": suspend,
        "suspended": suspended,
        "still": still,
        "resume": resume,
        "final": final,
    }


@corner
async def status_while_suspended(scene: Scene) -> Any:
    """User code goes on to its next wait while suspended, and its status shows."""
    instance_id = await scene.begin("status_between_events")
    await scene.until(instance_id, lambda body: body["customStatus"] == "waiting for A")
    await scene.suspend(instance_id, "hold")
    await scene.event(instance_id, "A", 1)
    suspended = short(await scene.until(instance_id, lambda body: body["customStatus"] == "waiting for B"))
    await scene.resume(instance_id, "on")
    resumed = short(await scene.until(instance_id, is_("Running")))
    await scene.event(instance_id, "B", 1)
    return {"suspended": suspended, "resumed": resumed, "final": await scene.outcome(instance_id)}


REASONS = {
    "none": "",
    "empty": "&reason=",
    "text": "&reason=why",
    "space": "&reason=a%20b",
    "plus": "&reason=a+b",
    "unicode": "&reason=%C3%A9%E2%98%83",
    "number": "&reason=5",
    "json": "&reason=%7B%22a%22%3A1%7D",
    "quoted": "&reason=%22q%22",
    "null": "&reason=null",
    "true": "&reason=true",
    "newline": "&reason=a%0Ab",
    "amp": "&reason=a%26b",
    "percent": "&reason=100%25",
    "twice": "&reason=a&reason=b",
    "upper": "&REASON=up",
    "date": "&reason=2024-05-06T07:08:09Z",
    "long": f"&reason={'r' * 2000}",
}


@corner
async def reasons(scene: Scene) -> Any:
    async def one(label: str, query: str) -> Any:
        instance_id = await scene.begin_waiting("wait_for")
        post = await scene.post(instance_id, "terminate", query)
        body = (await scene.until(instance_id))["body"]
        return label, {"post": post, "output": body["output"], "status": body["runtimeStatus"]}

    answer = dict(await asyncio.gather(*(one(*reason) for reason in REASONS.items())))
    last = await scene.begin_waiting("wait_for")
    scene.names[last] = "I19"
    answer["suspend_none"] = await scene.post(last, "suspend")
    answer["suspended"] = short(await scene.until(last, is_("Suspended")))
    answer["resume_none"] = await scene.post(last, "resume")
    answer["resumed"] = short(await scene.until(last, is_("Running")))
    answer["sdk_terminate"] = await scene.sdk("terminate", id=last, reason="sdk é & +")
    answer["final"] = await scene.ended(last)
    return answer


@basic
async def rewind(scene: Scene) -> Any:
    started, instance_id = await first(scene, "rewindable")
    failed = await scene.final(instance_id)
    rewound = await scene.post(instance_id, "rewind", "&reason=retry")
    await scene.until(instance_id, is_("Completed"))
    return {"start": started, "failed": failed, "rewind": rewound, "final": await scene.final(instance_id)}


@corner
async def rewind_refused(scene: Scene) -> Any:
    """Instances that have not failed."""
    done = await scene.begin("plain")
    await scene.until(done)
    live = await scene.begin_waiting("wait_for")
    answer = {}
    for label, instance_id in (("completed", done), ("running", live), ("unknown", "nobody")):
        answer[label] = await scene.post(instance_id, "rewind", "&reason=x")
        answer[f"sdk_{label}"] = await scene.sdk("rewind", id=instance_id, reason="a reason")
    await scene.suspend(live, "s")
    answer["suspended"] = await scene.post(live, "rewind")
    await scene.tidy(live)
    await scene.until(live)
    answer["terminated"] = await scene.post(live, "rewind")
    return answer


def of_generation(number: int) -> Any:
    """Ended, and started for the `number`th time over."""
    return lambda body: is_("Completed")(body) and has_event("ExecutionStarted", Generation=number)(body)


@basic
async def restart(scene: Scene) -> Any:
    started, instance_id = await first(scene, "chain")
    await scene.until(instance_id)
    another = await scene.post(instance_id, "restart")
    same = await scene.post(instance_id, "restart", "&restartWithNewInstanceId=false")
    await scene.until(instance_id, of_generation(1), "&showHistory=true")
    final = await scene.final(instance_id)
    return {"start": started, "restart": another, "same_id": same, "final": final}


@corner
async def restarts(scene: Scene) -> Any:
    """Unknown, running, failed; with the input in either encoding."""

    async def again(instance_id: str, extra: str = "") -> Any:
        reply = await scene.post(instance_id, "restart", extra)
        drop_trace(reply)
        if "id" in reply["body"]:
            scene.name(reply["body"]["id"])
        return reply

    answer = {"unknown": await again("nobody"), "sdk_unknown": await scene.sdk("restart", id="nobody")}
    live = await scene.begin_waiting("wait_for", "go")
    answer["running_same"] = await again(live, "&restartWithNewInstanceId=false")
    answer["running_new"] = await again(live)
    answer["sdk_running_same"] = await scene.sdk("restart", id=live, same="1")
    await scene.tidy(live, answer["running_new"]["body"]["id"])

    failed = await scene.begin("fails", {"in": 1})
    await scene.until(failed)
    answer["failed_same"] = await again(failed, "&restartWithNewInstanceId=false")
    await scene.until(
        failed,
        lambda body: is_("Failed")(body) and has_event("ExecutionStarted", Generation=1)(body),
        "&showHistory=true",
    )
    answer["failed_again"] = await scene.outcome(failed)

    by_sdk = await scene.begin("input_seen", {"k": "v"})
    await scene.until(by_sdk)
    answer["first_input"] = short(await scene.get(by_sdk))
    answer["restart_dict"] = await again(by_sdk)
    answer["second_input"] = await scene.outcome(answer["restart_dict"]["body"]["id"])

    url = f"{scene.hooks}/orchestrators/input_seen?{scene.host.query}"
    by_http = scene.name((await scene.call("POST", url, {"k": "http"}))["body"]["id"])
    answer["http_first"] = await scene.outcome(by_http)
    second = await again(by_http)
    answer["http_second"] = await scene.outcome(second["body"]["id"])

    unclear = await again(by_sdk, "&restartWithNewInstanceId=perhaps")
    link = {key: unclear["body"][key] for key in ("id", "statusQueryGetUri")}
    return answer | {"bad_flag": {"status": unclear["status"], "body": link}}


@basic
async def start_same_id(scene: Scene) -> Any:
    """While it runs, and after it has ended."""
    taken = f"{scene.token}-fixed"
    scene.names[taken] = "fixed-id-1"
    started, _ = await scene.start("waits_forever", id=taken)
    await scene.until(taken, is_("Running"))
    while_running, _ = await scene.start("waits_forever", id=taken)
    await scene.tidy(taken)
    await scene.until(taken)
    after_end, _ = await scene.start("chain", id=taken)
    await scene.until(taken, is_("Completed"))
    final = await scene.final(taken)
    return {"start": started, "while_running": while_running, "after_end": after_end, "final": final}


@corner
async def terminate_then_start_again(scene: Scene) -> Any:
    """Started afresh while the terminated one's activity still runs: its result goes nowhere."""
    taken = scene.name(f"{scene.token}again", "AGAIN")
    await scene.begin("napper", 2, id=taken)
    await scene.until_event(taken, "TaskScheduled")
    await scene.tidy(taken)
    await scene.until(taken)
    started, _ = await scene.start("wait_for", "go", id=taken)
    await scene.until(taken, is_("Running"))
    await scene.open_gate(taken)
    # The result was dropped if an event sent after it has arrived and the result has not.
    follower = await scene.begin("plain")
    await scene.until(follower)
    live = await scene.get(taken, "&showHistory=true")
    await scene.tidy(taken)
    return {"start": started["status"], "live": live}


@basic
async def purge(scene: Scene) -> Any:
    started, instance_id = await first(scene, "chain")
    await scene.until(instance_id)
    return {
        "start": started,
        "purge": await scene.call("DELETE", scene.url(instance_id)),
        "gone": await scene.get(instance_id),
        "again": await scene.call("DELETE", scene.url(instance_id)),
    }


@basic
async def client_ops(scene: Scene) -> Any:
    """Every call of the SDK's client: on a live instance, on an ended one, on none."""
    _, instance_id = await first(scene, "event_or_timeout")
    await scene.until_event(instance_id, "TimerCreated")
    answer = {
        "status": await scene.client("status", id=instance_id),
        "suspend": await scene.client("suspend", id=instance_id, reason="pause"),
    }
    await scene.until(instance_id, is_("Suspended"))
    answer["resume"] = await scene.client("resume", id=instance_id, reason="go")
    await scene.until(instance_id, is_("Running"))
    answer["raise"] = await scene.client("raise", 5, id=instance_id, event="Approval")
    answer["final"] = await scene.final(instance_id)
    calls = {
        "raise": {"event": "Approval"},
        "terminate": {"reason": "because"},
        "suspend": {"reason": "pause"},
        "resume": {"reason": "go"},
        "rewind": {"reason": "again"},
        "any_at_all": {},
        "purge": {},
        "status": {},
    }
    for call, query in calls.items():
        label = "all" if call == "any_at_all" else call
        answer[f"after:{label}"] = await scene.client(call, id=instance_id, **query)
    for call in ("raise", "terminate", "purge", "status"):
        answer[f"unknown:{call}"] = await scene.client(call, id="nobody", **calls[call])
    return answer
