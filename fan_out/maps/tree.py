"""The orchestrations that a map is made of. A section hands out lanes, a lane batches, a batch runs items.

    map_section → map_lane → map_batch → the activity

Each returns what became of its items, those that it has not started among them. Which items go to whom is
plan.py's. Facts of the durable extension that this stands on:

- A list of actions is worked off in turn, and a `task_any` holds only what was not listed before. So each round of
  children has an event wait of its own beside it; of several waits for one event, the newest gets it.
- After a failed task the extension starts nothing before its siblings have ended. So all are waited for.
- Terminating an instance does not reach its children. So whoever stops tells them by an event, which only a
  client can raise: the activity `map_tell`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from datetime import datetime, timedelta
from typing import Any

import azure.durable_functions as df

from fan_out.blueprint import bp
from fan_out.maps.ledger import Reporter
from fan_out.maps.parts import Part, Tally
from fan_out.maps.plan import lanes_of, next_shares
from fan_out.maps.settle import error_text, failed, settled

STOP = "map-stop"
Context = df.DurableOrchestrationContext


@bp.orchestration_trigger(context_name="context")
def map_section(context: Context) -> Generator[Any, Any, dict[str, Any]]:
    part = Part(**(context.get_input() or {}))
    lanes = lanes_of(len(part.items), part.slots, part.batch)
    tally: Tally = yield from hand_out(context, part, lanes, STOP, context.instance_id)
    return tally.to_output()


@bp.orchestration_trigger(context_name="context")
def map_lane(context: Context) -> Generator[Any, Any, dict[str, Any]]:
    part = Part(**(context.get_input() or {}))
    tally: Tally = yield from hand_out(context, part, [part.slots], STOP, context.instance_id, is_lane=True)
    return tally.to_output()


def hand_out(
    context: Context, part: Part, lanes: list[int], event: str, prefix: str, is_lane: bool = False
) -> Generator[Any, Any, Tally]:
    """Hand out the part's items round by round, as the planner says, until all are done or something stops it: the
    event, the deadline, too many failures. What was handed out always ends first."""
    tally = Tally([None] * len(part.items))
    reporter = Reporter(context, part)
    left = list(range(len(part.items)))
    handed_out = 0
    heard = told = False
    stop: str | None = None
    while left and not (stop := _why_stop(context, part, tally, heard)):
        shares = next_shares(left, lanes)
        left = left[sum(len(share.positions) for share in shares) :]
        running = {}
        for share in shares:
            given = part.child(share, len(tally.failed), len(shares))
            instance = f"{prefix}.{handed_out}"
            running[context.call_sub_orchestrator(f"map_{share.kind}", given, instance)] = (instance, share)
            handed_out += 1
        stop_event = context.wait_for_external_event(event)
        while running:
            reporter.in_flight = 0 if is_lane else sum(share.in_flight for _, share in running.values())
            reporter.tell()
            if not any(task.is_completed for task in running):
                yield context.task_any([*running] if heard else [*running, stop_event])
            heard = heard or stop_event.is_completed
            for task in [task for task in running if task.is_completed]:
                positions = running.pop(task)[1].positions
                lost = Tally.lost(len(positions), error_text(task.result)) if failed(task) else None
                done = lost or Tally.of(task.result)
                left += tally.absorb(positions, done)
                failures = [(part.at[positions[place]], error) for place, error, _ in done.failed]
                reporter.add(done.succeeded, failures, done.told)
            stop = _why_stop(context, part, tally, heard)
            if stop and _ends_the_map(part, stop) and running and not told:
                told = True
                instances = [instance for instance, _ in running.values()]
                yield from settled(context, [context.call_activity(map_tell, instances)])
        left.sort()
    reporter.in_flight = 0
    reporter.tell()
    tally.undone, tally.told = left, reporter.told
    tally.stop = stop if left or tally.cut else tally.too_many(part.patience)
    return tally


@bp.orchestration_trigger(context_name="context")
def map_batch(context: Context) -> Generator[Any, Any, dict[str, Any]]:
    """Run the items, as many at once as there are slots; then, after a pause, those that failed, and so on.

    Retried here and not by `call_activity_with_retry`: so the number of tries is known, and stopping stops them.
    """
    part = Part(**(context.get_input() or {}))
    tally = Tally([None] * len(part.items))
    reporter = Reporter(context, part)
    stop_event = context.wait_for_external_event(STOP)
    todo, attempt = list(range(len(part.items))), 1
    errors: dict[int, str] = {}  # of the items that failed and may be tried again
    undone: list[int] = []
    while True:
        stop = _why_stop(context, part, tally, stop_event.is_completed)
        if stop and attempt == 1:
            undone, todo = undone + todo, []
        if not (todo or errors) or (stop and _ends_the_map(part, stop)):
            break
        if not todo:
            todo, attempt = sorted(errors), attempt + 1
            until = context.current_utc_datetime + timedelta(seconds=part.pause)
            if part.deadline:
                until = min(until, datetime.fromisoformat(part.deadline))
            timer: Any = context.create_timer(until)
            stop_event = context.wait_for_external_event(STOP)
            yield context.task_any([timer, stop_event])
            if not timer.is_completed:
                timer.cancel()
            continue
        wave, todo = todo[: part.slots], todo[part.slots :]
        tasks = [context.call_activity(part.activity, part.given(position)) for position in wave]
        # The SDK delivers an event only to a wait that was yielded: beside the first wave, if there is another.
        yield from settled(context, tasks, stop_event if wave[0] == 0 and todo else None)
        for position, task in zip(wave, tasks, strict=True):
            errors.pop(position, None)
            if not failed(task):
                tally.values[position] = task.result
                tally.tries += [(position, attempt)] if attempt > 1 else []
                reporter.add(1, [])
            elif attempt < part.attempts:
                errors[position] = error_text(task.result)
            else:
                error = error_text(task.result)
                tally.failed.append((position, error, attempt))
                reporter.add(0, [(part.at[position], error)])
        reporter.tell()
    tally.failed += [(position, error, attempt - (position in todo)) for position, error in errors.items()]
    tally.cut = len(errors)
    tally.undone, tally.told = undone, reporter.told
    tally.stop = stop if undone or errors else tally.too_many(part.patience)
    return tally.to_output()


@bp.activity_trigger(input_name="instances")
@bp.durable_client_input(client_name="client")
async def map_tell(instances: list, client: df.DurableOrchestrationClient) -> int:
    """Raise the stop event for each of `instances`; how many heard it. One that has ended need not hear."""
    return sum(await asyncio.gather(*(_tell(client, instance) for instance in instances)))


async def _tell(client: df.DurableOrchestrationClient, instance: str) -> bool:
    for pause in (
        0.0,
        0.2,
        1.0,
        3.0,
    ):  # a child that was only just scheduled may not exist yet for the client
        await asyncio.sleep(pause)
        try:
            await client.raise_event(instance, STOP)
            return True
        except Exception as error:
            if "No instance" not in str(error):
                break
    return False


def _why_stop(context: Context, part: Part, tally: Tally, heard: bool) -> str | None:
    if heard:
        return "told"
    if part.deadline and context.current_utc_datetime >= datetime.fromisoformat(part.deadline):
        return "timeout"
    return tally.too_many(part.patience)


def _ends_the_map(part: Part, stop: str) -> bool:
    """A part that has only used up its share of the failure budget starts nothing fresh, but what it has begun is
    still tried as often as it may be. Whatever else stops it stops the whole map, tries included."""
    return stop != "failures" or part.final
