"""Durable timers: their times, their order, cancelling them."""

from .blueprint import later, orchestrator
from .fan_out import Context, Steps


@orchestrator
def timer(context: Context) -> Steps:
    yield context.create_timer(later(context, 1))
    return "fired"


@orchestrator
def timer_kind(context: Context) -> Steps:
    """How long the timer of this kind holds up the step after it."""
    now = context.current_utc_datetime
    fire_at = {
        "micro": lambda: later(context, 0.123456),
        "four": lambda: later(context, 4),
        "naive_aware_mix": lambda: now.replace(tzinfo=None),
    }[context.get_input()]
    base = yield context.call_activity("mark", {"tag": "base"})
    yield context.create_timer(fire_at())
    return {"base": base, "end": (yield context.call_activity("mark", {"tag": "end"}))}


@orchestrator
def timer_order(context: Context) -> Steps:
    """The later one is made first; the earlier one fires first."""
    late, early = context.create_timer(later(context, 2.5)), context.create_timer(later(context, 0.5))
    winner = yield context.task_any([late, early])
    yield late
    return "early" if winner is early else "late"


@orchestrator
def timer_cancel_twice(context: Context) -> Steps:
    timer, quick = context.create_timer(later(context, 60)), context.call_activity("echo", 1)
    yield context.task_any([timer, quick])
    timer.cancel()
    timer.cancel()
    yield context.call_activity("echo", 2)
    return [timer.is_completed, timer.is_cancelled]


@orchestrator
def timer_then_echo(context: Context) -> Steps:
    yield context.create_timer(later(context, context.get_input()))
    return (yield context.call_activity("echo", "after the timer"))


@orchestrator
def event_or_timeout(context: Context) -> Steps:
    timeout = context.create_timer(later(context, context.get_input() or 300))
    approval = context.wait_for_external_event("Approval")
    if (yield context.task_any([approval, timeout])) != approval:
        return "timed out"
    timeout.cancel()
    return {"approved": approval.result}
