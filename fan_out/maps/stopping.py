"""What ends a part of a map, or its pause, before its time, and the stop event that passes it on.

Terminating an instance does not reach its children. So whoever stops raises the event for them, which only a client
can do: an activity.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from datetime import datetime, timedelta
from typing import Any

import azure.durable_functions as df

from fan_out.blueprint import bp
from fan_out.maps.plan import Part
from fan_out.settle import has_failed, wait_for_all

STOP = "map-stop"
_TELLINGS = 5  # tries of the activity that raises the stop event


def why_stop(
    context: df.DurableOrchestrationContext, part: Part, failures: int, event_came: bool
) -> str | None:
    """The reason why the part starts nothing more; None if it goes on."""
    if event_came:
        return "cancelled"
    if part.deadline and context.current_utc_datetime >= datetime.fromisoformat(part.deadline):
        return "timeout"
    return "failures" if failures > part.failure_budget else None


def pause(context: df.DurableOrchestrationContext, part: Part) -> Generator[Any, Any, Any]:
    """Wait between two tries, not beyond the deadline. Gives the wait for the stop event, which ends the pause."""
    until = context.current_utc_datetime + timedelta(seconds=part.pause)
    if part.deadline:
        # The extension fires timers up to a second early (recorded): the code would try again without a pause.
        until = min(until, datetime.fromisoformat(part.deadline) + timedelta(seconds=1))
    timer: Any = context.create_timer(until)
    stop_event: Any = context.wait_for_external_event(STOP)
    yield context.task_any([timer, stop_event])
    if not timer.is_completed:
        timer.cancel()
    return stop_event


def stop_children(
    context: df.DurableOrchestrationContext, children: dict[str, Any]
) -> Generator[Any, Any, None]:
    """Raise the stop event for those of `children` that still run: their tasks by instance id.

    Tried again if it fails, as it does with a worker process that dies: else these children would run to their end.
    """
    for _ in range(_TELLINGS):
        instances = [instance for instance, task in children.items() if not task.is_completed]
        if not instances:
            return
        telling: Any = context.call_activity(map_stop_children, instances)
        yield from wait_for_all(context, [telling])
        if not has_failed(telling):
            return


@bp.activity_trigger(input_name="instances")
@bp.durable_client_input(client_name="client")
async def map_stop_children(instances: list, client: df.DurableOrchestrationClient) -> None:
    """Raise the stop event for each of `instances`, but for those that have ended.

    A child that was only just scheduled may not exist yet for the client: so it is tried for some seconds. Raises
    the error of a child that still cannot be told then.
    """

    async def stop(instance: str) -> None:
        for pause in (0.2, 1.0, 3.0, None):
            try:
                return await client.raise_event(instance, STOP)
            except Exception as error:
                if "is gone" in str(error):  # the SDK's words for what has ended
                    return
                if pause is None:
                    raise
            await asyncio.sleep(pause)

    ends = await asyncio.gather(*map(stop, instances), return_exceptions=True)
    for error in filter(None, ends):
        raise error
