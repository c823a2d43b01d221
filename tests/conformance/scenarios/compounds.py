"""Compounds of every nesting, going on after a failed one, and ending with work still open."""

from __future__ import annotations

from typing import Any

from ..scene import Scene, event_types, seconds, short
from . import corner, settles

for name in ("all_of_anys", "any_of_anys", "all_of_retried_subs"):
    settles(name, interleaved=True)
for name in ("any_of_nothing", "yields_a_list", "same_task_in_all", "failed_all_with_retry"):
    settles(name)


@corner
async def any_all_fail(scene: Scene) -> Any:
    """The failed one wins; the other holds the instance open until it is let go."""
    instance_id = await scene.begin("any_all_fail")
    await scene.until_event(instance_id, "TaskFailed")
    await scene.open_gate(instance_id)
    return {"final": await scene.ended(instance_id)}


# -- the step after a failed task_all ----------------------------------------------------------------------------
def after_failure(kind: str) -> Any:
    """One branch has failed; whether the next step waits for the other, read from the host's own history."""

    async def play(scene: Scene) -> Any:
        instance_id = await scene.begin("fail_fast_then_more", kind)
        await scene.until(instance_id, lambda body: body["customStatus"] == "went on")
        await scene.until_event(instance_id, "TaskFailed")
        extra = {}
        if kind == "activity":
            await scene.open_gate(instance_id)
        elif kind == "event":
            extra["before_event"] = without_status(short(await scene.get(instance_id)))
            await scene.event(instance_id, "go", 1)
        end = await scene.final(instance_id)
        output, events = end["body"]["output"], end["body"]["historyEvents"]
        assert isinstance(output, dict), end
        return {
            "status": end["body"]["runtimeStatus"],
            "caught": output["caught"],
            "next_step_waited_for_it": waited(events, output),
            **extra,
        }

    def waited(events: list[dict[str, Any]], output: dict[str, Any]) -> bool:
        if kind == "timer":  # three seconds; the extension fires up to one too early
            return output["after"]["start"] - output["base"]["end"] > 0.7
        (after,) = [e for e in events if e["EventType"] == "TaskCompleted" and e["Result"]["tag"] == "after"]
        other_end = {
            "activity": lambda e: e["EventType"] == "TaskCompleted" and e["Result"]["tag"] == "slow",
            "event": lambda e: e["EventType"] == "EventRaised",
        }[kind]
        (end,) = [e for e in events if other_end(e)]
        return seconds(after["ScheduledTime"]) >= seconds(end["Timestamp"])

    corner(name=f"after_failure_{kind}")(play)


def without_status(answer: dict[str, Any]) -> dict[str, Any]:
    """Without the custom status, which this app sets to show that user code went on; the recorded app set none."""
    assert answer.pop("customStatus") == "went on"
    return answer | {"customStatus": None}


for kind in ("activity", "timer", "event"):
    after_failure(kind)


# -- ending with work still open ---------------------------------------------------------------------------------
def leaves_open(kind: str, open_work_ends: str, raises: bool = False) -> None:
    """`open_work_ends`: the event that ends the open work, "" if nothing is waited for."""

    async def play(scene: Scene) -> Any:
        instance_id = await scene.begin("leaves_open", {"kind": kind, "raises": raises})
        left = short(await scene.until(instance_id, lambda body: body["customStatus"] == "leaving"))
        for gate in (instance_id, f"{instance_id}-child"):
            await scene.open_gate(gate)
        final = await scene.ended(instance_id)
        kinds = event_types(final["body"])
        waited = bool(open_work_ends) and kinds.index(open_work_ends) < kinds.index("ExecutionCompleted")
        answer = {"left": left, "ended": True, "waited_for_it": waited, "final": final}
        if kind == "child":
            answer["child"] = short(await scene.get(f"{instance_id}-child"))
        return answer

    corner(name=f"leaves_open_{kind}{'_raises' if raises else ''}", interleaved=True)(play)


leaves_open("activity", "TaskCompleted")
leaves_open("retry", "TimerFired")
leaves_open("event", "")
leaves_open("cancelled", "")
leaves_open("timer", "TimerFired", raises=True)
leaves_open("child", "SubOrchestrationInstanceCompleted", raises=True)
