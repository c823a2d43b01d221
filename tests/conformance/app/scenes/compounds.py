"""`task_all` and `task_any` of compounds, of failed, repeated and retried tasks; what goes on after a failed one."""

from typing import Any

import azure.durable_functions as df

from .blueprint import later, orchestrator
from .fan_out import Context, Steps


def marks(context: Context, *works: float, parties: int = 0) -> list[Any]:
    """Activities tagged "0", "1", ...; with `parties` their work starts when so many of the instance have started."""
    meeting = {"meet": context.instance_id, "parties": parties} if parties else {}
    return [
        context.call_activity("mark", {"tag": str(n), "work": work, **meeting})
        for n, work in enumerate(works)
    ]


@orchestrator
def any_then_rest(context: Context) -> Steps:
    together = {"meet": context.instance_id, "parties": 2}
    tasks = [
        context.call_activity("slow", {"says": seconds, "work": seconds, **together})
        for seconds in (0.05, 1.0)
    ]
    winner = yield context.task_any(tasks)
    rest = yield context.task_all([task for task in tasks if task != winner])
    return [winner.result, rest]


@orchestrator
def any_of_alls(context: Context) -> Steps:
    quick = context.task_all([context.call_activity("echo", 1), context.call_activity("echo", 2)])
    late = context.create_timer(later(context, 60))
    winner = yield context.task_any([quick, late])
    late.cancel()
    return winner.result


@orchestrator
def all_of_anys(context: Context) -> Steps:
    """The quick one wins in either pair, and the winner is the task itself."""
    first = marks(context, 0.1, 1.2, parties=4)
    second = marks(context, 1.2, 0.1, parties=4)
    won = yield context.task_all([context.task_any(first), context.task_any(second)])
    return {"same": [won[0] is first[0], won[1] is second[1]], "tags": [task.result["tag"] for task in won]}


@orchestrator
def any_of_anys(context: Context) -> Steps:
    inner = context.task_any(marks(context, 1.2, 0.1, parties=3))
    outer = yield context.task_any([inner, *marks(context, 2.0, parties=3)])
    won = outer is inner
    return {"inner_won": won, "tag": outer.result.result["tag"] if won else outer.result["tag"]}


@orchestrator
def any_all_fail(context: Context) -> Steps:
    """The first to end has failed: its result is the exception, not raised."""
    tasks = [
        context.call_activity("fail_after", 0),
        context.call_activity("mark", {"tag": "s", "gate": context.instance_id}),
    ]
    winner = yield context.task_any(tasks)
    try:
        result = winner.result
        return {
            "which": tasks.index(winner),
            "result": str(result).splitlines()[0],
            "type": type(result).__name__,
        }
    except Exception as error:
        return {"raised": str(error)}


@orchestrator
def any_of_nothing(context: Context) -> Steps:
    return (yield context.task_any([]))


@orchestrator
def yields_a_list(context: Context) -> Steps:
    return (yield [context.call_activity("echo", 1)])


@orchestrator
def same_task_twice(context: Context) -> Steps:
    task = context.call_activity("echo", 7)
    return [(yield task), (yield task)]


@orchestrator
def same_task_in_all(context: Context) -> Steps:
    task = context.call_activity("echo", "once")
    return (yield context.task_all([task, task]))


@orchestrator
def flaky_child(context: Context) -> Steps:
    return (yield context.call_activity("flaky", context.get_input()))


@orchestrator
def all_of_retried_subs(context: Context) -> Steps:
    tasks = [
        context.call_sub_orchestrator_with_retry(
            "flaky_child", df.RetryOptions(200, 3), {"key": f"{context.instance_id}-{n}", "failures": n}
        )
        for n in range(3)
    ]
    return (yield context.task_all(tasks))


@orchestrator
def failed_all_with_retry(context: Context) -> Steps:
    """A next step is taken while the other branch of a failed `task_all` waits for its next attempt."""
    tasks = [
        context.call_activity("fail_after", 0.5),
        context.call_activity_with_retry(
            "flaky", df.RetryOptions(1500, 3), {"key": context.instance_id, "failures": 1}
        ),
    ]
    try:
        yield context.task_all(tasks)
    except Exception:
        pass
    return {"next": (yield context.call_activity("echo", "next"))}


@orchestrator
def fail_fast_then_more(context: Context) -> Steps:
    """One branch fails at once, the other (the input names its kind) goes on; what does the next step wait for?"""
    kind = context.get_input()
    base = yield context.call_activity("mark", {"tag": "base"})
    failing = context.call_activity("fail_after", 0)
    if kind == "activity":
        other = context.call_activity("mark", {"tag": "slow", "gate": context.instance_id})
    elif kind == "timer":
        other = context.create_timer(later(context, 3))
    else:
        other = context.wait_for_external_event("go")
    caught = None
    try:
        yield context.task_all([failing, other])
    except Exception as error:
        caught = str(error).splitlines()[0]
    context.set_custom_status("went on")
    after = yield context.call_activity("mark", {"tag": "after"})
    return {"base": base, "after": after, "caught": caught}


@orchestrator
def napper(context: Context) -> Steps:
    """A child that sleeps until the gate with its own id opens."""
    yield context.call_activity("mark", {"tag": "nap", "gate": context.instance_id})
    return "napped"


@orchestrator
def leaves_open(context: Context) -> Steps:
    """Returns (or raises) while the task of the kind that the input names is still open."""
    spec = context.get_input()
    kind = spec["kind"]
    quick = context.call_activity("echo", "quick")
    if kind == "activity":
        other = context.call_activity("mark", {"tag": "slow", "gate": context.instance_id})
    elif kind in ("timer", "cancelled"):
        other = context.create_timer(later(context, 5))
    elif kind == "child":
        other = context.call_sub_orchestrator("napper", 3, context.instance_id + "-child")
    elif kind == "retry":
        other = context.call_activity_with_retry(
            "flaky", df.RetryOptions(5000, 2), {"key": context.instance_id, "failures": 1}
        )
    else:
        other = context.wait_for_external_event("never")
    yield context.task_any([quick, other])
    if kind == "cancelled":
        other.cancel()
    context.set_custom_status("leaving")
    if spec["raises"]:
        raise ValueError("left in anger")
    return "left"
