"""The orchestrations a map is made of. A section hands out lanes, a lane batches; a batch runs items.

    map_section → map_lane → map_batch → the activity

Each returns what became of its items, those that it has not started among them. Which items go to whom is
plan.py's. Facts of the durable extension that this stands on:

- A list of actions is worked off in turn, and a `task_any` holds only what was not listed before. So whatever
  is handed out after another part has an event wait of its own beside it; of several, the newest is served.
- After a failed task the extension starts nothing before its siblings have ended. So all are waited for.
- Terminating an instance does not reach its children. So whoever stops tells its children by an event, which
  only a client can raise: the activity `map_tell`.
- An orchestration is replayed from its first event at each turn. So all of them are short.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from datetime import datetime, timedelta
from typing import Any

import azure.durable_functions as df

from fan_out.blueprint import bp
from fan_out.maps.ledger import Reporter
from fan_out.maps.parts import Part, Tally, ranges
from fan_out.maps.plan import TURNS, lanes_of, next_shares
from fan_out.maps.settle import error_text, failed, settled

STOP = "map-stop"


@bp.orchestration_trigger(context_name="context")
def map_section(context: df.DurableOrchestrationContext) -> Generator[Any, Any, dict[str, Any]]:
    part = Part.of(context.get_input() or {})
    tally: Tally = yield from hand_out(context, part, STOP, context.instance_id)
    return tally.to_output()


@bp.orchestration_trigger(context_name="context")
def map_lane(context: df.DurableOrchestrationContext) -> Generator[Any, Any, dict[str, Any]]:
    part = Part.of(context.get_input() or {})
    tally: Tally = yield from hand_out(context, part, STOP, context.instance_id, lane=True)
    return tally.to_output()


def hand_out(
    context: df.DurableOrchestrationContext,
    part: Part,
    event: str,
    prefix: str,
    lane: bool = False,
) -> Generator[Any, Any, Tally]:
    """Hand out the part's items round by round, as the planner says, until all are done or something stops it:
    the event, the deadline, too many failures. What was handed out always ends first."""
    tally = Tally([None] * len(part.items))
    reporter = Reporter(context, part.job)
    left = list(range(len(part.items)))
    lanes = [part.slots] if lane else lanes_of(len(left), part.slots, part.job.batch)
    children = 0
    heard = told = False
    stop: str | None = None
    while left and not (stop := _why_stop(context, part, tally, heard)):
        shares = next_shares(left, lanes)
        left = left[sum(len(share.positions) for share in shares) :]
        running = {}
        for share in shares:
            given = part.child(share.positions, share.slots, len(tally.failed), len(shares))
            identity = f"{prefix}:{children}"
            children += 1
            task = context.call_sub_orchestrator(f"map_{share.kind}", given.to_input(), identity)
            running[task] = (identity, share)
        stop_event = context.wait_for_external_event(event)
        while running:
            if not lane:
                reporter.in_flight = sum(share.in_flight for _, share in running.values())
            reporter.tell()
            yield context.task_any([*running] if heard else [*running, stop_event])
            heard = heard or stop_event.is_completed
            for task in [task for task in running if task.is_completed]:
                positions = running.pop(task)[1].positions
                if failed(task):
                    done = Tally.lost(len(positions), error_text(task.result))
                else:
                    done = Tally.of(task.result)
                left += tally.absorb(positions, done)
                reporter.add([part.at[position] for position in positions], done)
            stop = _why_stop(context, part, tally, heard)
            if stop and _for_all(part, stop) and running and not told:
                told = True
                tell = context.call_activity(map_tell, [identity for identity, _ in running.values()])
                yield from settled(context, [tell])
        left.sort()
    if not lane:
        reporter.in_flight = 0
    reporter.tell()
    return tally.ended(stop if left or tally.cut else None, ranges(left), part.patience, reporter.told)


@bp.orchestration_trigger(context_name="context")
def map_batch(context: df.DurableOrchestrationContext) -> Generator[Any, Any, dict[str, Any]]:
    """Run the items, as many at once as there are slots, the next when all of those have ended.

    Retried here and not by `call_activity_with_retry`: that way the number of tries is known, an item's pause
    does not keep the others waiting, and stopping stops the tries, too.
    """
    part = Part.of(context.get_input() or {})
    job = part.job
    tally = Tally([None] * len(part.items))
    reporter = Reporter(context, job)
    stop_event, listening = context.wait_for_external_event(STOP), False
    fresh = 0  # the next position never tried
    again: list[tuple[datetime, int, int, str]] = []  # due, position, tries so far, the last error
    now = context.current_utc_datetime
    while True:
        stop = _why_stop(context, part, tally, stop_event.is_completed)
        if stop and _for_all(part, stop):
            break
        tries = {entry[1]: entry[2] for entry in again if entry[0] <= now}
        tries = dict([*tries.items()][: part.slots])
        more = 0 if stop else min(part.slots - len(tries), len(part.items) - fresh)
        tries |= dict.fromkeys(range(fresh, fresh + more), 0)
        fresh += more
        if not tries and not again:
            break
        if not tries:
            due = min(again)[0]
            until = min(due, datetime.fromisoformat(job.deadline)) if job.deadline else due
            timer: Any = context.create_timer(until)
            if not stop_event.is_completed:
                stop_event = context.wait_for_external_event(STOP)
            yield context.task_any([timer, stop_event])
            if not timer.is_completed:
                timer.cancel()
            # A timer may fire up to a second early, and says all the same that the pause is over.
            now = max(context.current_utc_datetime, until)
            continue
        again = [entry for entry in again if entry[1] not in tries]
        waiting = {context.call_activity(job.activity, part.given(position)): position for position in tries}
        if len(waiting) > 1 and job.total > TURNS:
            first = not listening and fresh < len(part.items)  # of several waves
            listening = listening or first
            yield from settled(context, list(waiting), stop_event if first else None)
        while waiting:
            done = [task for task in waiting if task.is_completed]
            if not done:
                yield context.task_any([*waiting] if stop_event.is_completed else [*waiting, stop_event])
            now = context.current_utc_datetime
            for task in done:
                position = waiting.pop(task)
                attempt = tries[position] + 1
                if not failed(task):
                    tally.values[position] = task.result
                    reporter.add_item(None)
                    if attempt > 1:
                        tally.tries.append((position, attempt))
                elif attempt < job.attempts:
                    due = now + timedelta(seconds=job.pause)
                    again.append((due, position, attempt, error_text(task.result)))
                else:
                    tally.failed.append((position, error_text(task.result), attempt))
                    reporter.add_item((part.at[position], error_text(task.result)))
            reporter.tell()
    tally.failed += [(position, error, attempt) for _, position, attempt, error in again]
    tally.cut = len(again)
    undone = ranges(range(fresh, len(part.items)))
    return tally.ended(stop if undone or again else None, undone, part.patience, reporter.told).to_output()


@bp.activity_trigger(input_name="instances")
@bp.durable_client_input(client_name="client")
async def map_tell(instances: list, client: df.DurableOrchestrationClient) -> int:
    """Raise the stop event for each of `instances`; how many heard it. One that has ended need not hear."""
    return sum(await asyncio.gather(*(_tell(client, instance) for instance in instances)))


async def _tell(client: df.DurableOrchestrationClient, instance: str) -> bool:
    # A child that was only just scheduled may not exist yet for the client.
    for pause in (0.2, 1.0, 3.0, 0.0):
        try:
            await client.raise_event(instance, STOP)
            return True
        except Exception as error:
            if "No instance" not in str(error):
                return False
        await asyncio.sleep(pause)
    return False


def _why_stop(context: df.DurableOrchestrationContext, part: Part, tally: Tally, heard: bool) -> str | None:
    if heard:
        return "told"
    if part.job.deadline and context.current_utc_datetime >= datetime.fromisoformat(part.job.deadline):
        return "timeout"
    return "failures" if tally.exceeds(part.patience) else None


def _for_all(part: Part, stop: str) -> bool:
    """Whether what stops this part stops the whole map. A part that has only used up its share of the failure
    budget starts nothing fresh, but what it has begun is still tried as often as it may be."""
    return stop != "failures" or part.final
