"""External events: early, twice, of any name and type, to a later generation."""

from .blueprint import later, orchestrator
from .fan_out import Context, Steps


@orchestrator
def two_events(context: Context) -> Steps:
    """Both are raised before the step between the two waits has ended."""
    first = yield context.wait_for_external_event("E")
    yield context.call_activity("echo", {"hold": context.instance_id, "value": "between"})
    return [first, (yield context.wait_for_external_event("E"))]


@orchestrator
def both_events(context: Context) -> Steps:
    return (yield context.task_all([context.wait_for_external_event(name) for name in "AB"]))


@orchestrator
def eternal_events(context: Context) -> Steps:
    """One event a generation, three in all."""
    seen = context.get_input() or []
    seen.append((yield context.wait_for_external_event("N")))
    if len(seen) == 3:
        return seen
    context.continue_as_new(seen)


@orchestrator
def waits_forever(context: Context) -> Steps:
    yield context.wait_for_external_event("Never")


@orchestrator
def wait_for(context: Context) -> Steps:
    value = yield context.wait_for_external_event(context.get_input() or "go")
    return [type(value).__name__, value]


@orchestrator
def wait_for_each(context: Context) -> Steps:
    got = []
    for name in context.get_input():
        value = yield context.wait_for_external_event(name)
        got.append([type(value).__name__, value])
    return got


@orchestrator
def event_race(context: Context) -> Steps:
    waits = [context.wait_for_external_event(name) for name in "AB"]
    first = yield context.task_any(waits)
    (other,) = [wait for wait in waits if wait is not first]
    return [first.result, (yield other)]


@orchestrator
def next_generation_event(context: Context) -> Steps:
    if context.get_input() is None:
        yield context.wait_for_external_event("roll")
        context.continue_as_new(1)
        return None
    waited, timeout = context.wait_for_external_event("N"), context.create_timer(later(context, 4))
    if (yield context.task_any([waited, timeout])) is timeout:
        return "lost"
    timeout.cancel()
    return {"got": waited.result}


@orchestrator
def status_between_events(context: Context) -> Steps:
    for name in "AB":
        context.set_custom_status(f"waiting for {name}")
        yield context.wait_for_external_event(name)
    return "both"
