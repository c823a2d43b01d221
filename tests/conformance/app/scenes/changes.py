"""Orchestrators whose code is another one when they are replayed."""

from .blueprint import call_number, later, orchestrator
from .fan_out import Context, Steps


def replayed(context: Context) -> bool:
    return call_number(f"replayed {context.instance_id}") > 1


@orchestrator
def changed_name(context: Context) -> Steps:
    yield context.call_activity("kind_of" if replayed(context) else "echo", "n")
    return (yield context.call_activity("echo", "second"))


@orchestrator
def more_activities(context: Context) -> Steps:
    count = 3 if replayed(context) else 1
    first = yield context.task_all([context.call_activity("echo", n) for n in range(count)])
    return [first, (yield context.call_activity("echo", "after"))]


@orchestrator
def activity_to_timer(context: Context) -> Steps:
    again = replayed(context)
    got = yield (context.create_timer(later(context, 0.5)) if again else context.call_activity("echo", "n"))
    return [got, (yield context.call_activity("echo", "after"))]


@orchestrator
def vanished(context: Context) -> Steps:
    if replayed(context):
        return "nothing to do"
    yield context.call_activity("echo", "n")
    return "did it"
