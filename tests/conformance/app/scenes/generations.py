"""Continue-as-new: what rolls over, what is waited for, what is lost."""

from .blueprint import later, orchestrator
from .fan_out import Context, Steps


@orchestrator
def eternal(context: Context) -> Steps:
    n = context.get_input() or 0
    yield context.call_activity("echo", n)
    if n == 3:
        return f"stopped at {n}"
    context.continue_as_new(n + 1)


@orchestrator
def roll_status(context: Context) -> Steps:
    """Only the first generation sets a status."""
    if context.get_input() is None:
        context.set_custom_status({"from": "first"})
        yield context.wait_for_external_event("roll")
        context.continue_as_new("second")
        return None
    yield context.wait_for_external_event("end")
    return "over"


@orchestrator
def roll_open(context: Context) -> Steps:
    """Continues as new while a timer of four seconds is open."""
    if context.get_input() == "again":
        return "second generation"
    quick = context.call_activity("echo", "quick")
    yield context.task_any([quick, context.create_timer(later(context, 4))])
    context.continue_as_new("again")


@orchestrator
def roll_and_go_on(context: Context) -> Steps:
    """Yields once more after continue_as_new."""
    if context.get_input() == 1:
        return "second"
    context.continue_as_new(1)
    yield context.call_activity("echo", "after")
    return "first"


@orchestrator
def roll_types(context: Context) -> Steps:
    value = context.get_input()
    if isinstance(value, dict) and "roll" in value:
        yield context.call_activity("echo", 0)
        context.continue_as_new(value["roll"])
        return None
    return [type(value).__name__, value]
