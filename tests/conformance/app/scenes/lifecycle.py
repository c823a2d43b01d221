"""Orchestrators to suspend, look into and fail."""

import azure.durable_functions as df

from .blueprint import later, orchestrator
from .fan_out import Context, Steps


@orchestrator
def slow_steps(context: Context) -> Steps:
    """Three steps; the first lasts until the gate with the instance's id opens."""
    yield context.call_activity("slow", {"says": 0.5, "gate": context.instance_id})
    for _ in range(2):
        yield context.call_activity("slow", {"says": 0.5})
    return "walked"


@orchestrator
def stepped(context: Context) -> Steps:
    """One step of each kind, then an event, then a failure."""
    yield context.call_activity("echo", 1)
    yield context.call_sub_orchestrator("plain", None)
    yield context.create_timer(later(context, 0.1))
    yield context.call_entity(df.EntityId("cell", context.instance_id), "get")
    context.set_custom_status("waiting")
    yield context.wait_for_external_event("go")
    yield context.call_activity("flaky", {"key": context.instance_id, "failures": 1})
    return "done"
