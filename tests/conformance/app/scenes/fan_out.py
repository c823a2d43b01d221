"""Fan-out/fan-in: all at once, failing, settled, retried, in windows; and how much runs at once."""

from collections.abc import Generator
from typing import Any

import azure.durable_functions as df

from .blueprint import call_number, orchestrator

Steps = Generator[Any, Any, Any]
Context = df.DurableOrchestrationContext


@orchestrator
def fan_out(context: Context) -> Steps:
    return (yield context.task_all([context.call_activity("process_item", f"item-{n}") for n in range(1, 6)]))


@orchestrator
def fan_out_n(context: Context) -> Steps:
    tasks = [context.call_activity("process_item", f"item-{n}") for n in range(context.get_input())]
    return len((yield context.task_all(tasks)))


@orchestrator
def fan_out_empty(context: Context) -> Steps:
    return (yield context.task_all([]))


def second_of_three_fails(context: Context) -> list[Any]:
    calls = (("process_item", "a"), ("fail", "b"), ("process_item", "c"))
    return [context.call_activity(name, item) for name, item in calls]


@orchestrator
def fan_out_one_fails(context: Context) -> Steps:
    return (yield context.task_all(second_of_three_fails(context)))


@orchestrator
def fan_out_caught(context: Context) -> Steps:
    try:
        return (yield context.task_all(second_of_three_fails(context)))
    except Exception as error:
        return {"caught": str(error).splitlines()[0]}


@orchestrator
def fan_out_settled(context: Context) -> Steps:
    """Each task awaited in its own `try`, whatever its end."""
    tasks = [context.call_activity("fail" if n % 2 else "process_item", f"i{n}") for n in range(4)]
    ends = []
    for task in tasks:
        try:
            ends.append((yield task))
        except Exception as error:
            ends.append("failed: " + str(error).splitlines()[0])
    return ends


@orchestrator
def fan_out_with_retry(context: Context) -> Steps:
    """The n-th task fails n times."""
    tasks = [
        context.call_activity_with_retry(
            "flaky", df.RetryOptions(200, 3), {"key": f"{context.instance_id}-{n}", "failures": n}
        )
        for n in range(3)
    ]
    return (yield context.task_all(tasks))


@orchestrator
def mixed_fan_out(context: Context) -> Steps:
    order = yield context.call_activity("echo", {"customer": "c1", "items": [1, 2]})
    done = yield context.task_all(
        [
            context.call_activity("hello_async", order["customer"]),
            context.call_activity("echo", order["items"]),
            context.call_sub_orchestrator("child", "ship"),
        ]
    )
    return (yield context.call_activity("echo", done))


@orchestrator
def windows(context: Context) -> Steps:
    """Three windows of two, each awaited whole."""
    done: list[str] = []
    for window in range(3):
        names = [f"w{window}-{n}" for n in range(2)]
        done += yield context.task_all([context.call_activity("process_item", name) for name in names])
        context.set_custom_status({"done": len(done), "total": 6})
    return done


@orchestrator
def sliding(context: Context) -> Steps:
    """At most two under way, the next one listed when one has ended."""
    waiting = [f"s{n}" for n in range(5)]
    running: list[Any] = []
    done = []
    while waiting or running:
        while waiting and len(running) < 2:
            running.append(context.call_activity("process_item", waiting.pop(0)))
        winner = yield context.task_any(running)
        running.remove(winner)
        done.append(winner.result)
    return sorted(done)


# -- how much runs at once ---------------------------------------------------------------------------------------
# Each takes {"items": [what `mark` is to do, ...], "width": w} and returns the marks.


@orchestrator
def batches(context: Context) -> Steps:
    spec = context.get_input()
    done: list[Any] = []
    for at in range(0, len(spec["items"]), spec["width"]):
        batch = spec["items"][at : at + spec["width"]]
        done += yield context.task_all([context.call_activity("mark", item) for item in batch])
    return done


@orchestrator
def lane(context: Context) -> Steps:
    done = []
    for item in context.get_input():
        done.append((yield context.call_activity("mark", item)))
    return done


@orchestrator
def lanes(context: Context) -> Steps:
    """Every width-th item goes down the same lane, a sub-orchestration that takes one at a time."""
    spec = context.get_input()
    width = spec["width"]
    ends = yield context.task_all(
        [context.call_sub_orchestrator("lane", spec["items"][n::width]) for n in range(width)]
    )
    return [mark for lane_of_marks in ends for mark in lane_of_marks]


@orchestrator
def one_by_one(context: Context) -> Steps:
    """All tasks made first, then awaited in turn, never in a compound."""
    tasks = [context.call_activity("mark", item) for item in context.get_input()["items"]]
    done = []
    for task in tasks:
        done.append((yield task))
    return done


@orchestrator
def window_any(context: Context) -> Steps:
    spec = context.get_input()
    waiting = list(spec["items"])
    running: list[Any] = []
    done = []
    while waiting or running:
        while waiting and len(running) < spec["width"]:
            running.append(context.call_activity("mark", waiting.pop(0)))
        winner = yield context.task_any(running)
        running.remove(winner)
        done.append(winner.result)
    return done


# -- retries outside a fan-out -----------------------------------------------------------------------------------
@orchestrator
def retry_then_ok(context: Context) -> Steps:
    flaky = {"key": context.instance_id, "failures": 2}
    return (yield context.call_activity_with_retry("flaky", df.RetryOptions(200, 5), flaky))


@orchestrator
def retry_exhausted(context: Context) -> Steps:
    return (yield context.call_activity_with_retry("fail", df.RetryOptions(200, 2), "x"))


@orchestrator
def rewindable(context: Context) -> Steps:
    kept = yield context.call_activity("echo", "kept")
    return [kept, (yield context.call_activity("flaky", {"key": context.instance_id, "failures": 1}))]


@orchestrator
def nondeterministic(context: Context) -> Steps:
    again = call_number(f"nondeterministic {context.instance_id}") > 1
    yield context.call_activity("hello_async" if again else "echo", "n")
    return (yield context.call_activity("echo", "second"))
