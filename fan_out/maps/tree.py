"""The orchestrations a map is made of: stages hand out sections, sections hand out batches, batches run items.

    map_stage → map_section → map_batch → the activity

Each returns what became of its items, and what it has not started goes back to whoever handed it out. The one
loop behind stages, sections and the map itself is `roll`. What is handed out when is pace.py's.

Facts of the durable extension this stands on:
- A list of actions is worked off in turn, each `task_any` awaited, and a `task_any` holds only what was not
  listed before. A new part would therefore have to end before the next one could start. So it is listed
  beside a timer that is already cancelled: that `task_any` is over at once.
- A timer cancelled when it is created never fires, or fires and finds nobody.
- Terminating an instance does not reach its children. So whoever stops tells its children by an event, which
  only a client can raise: the activity `map_tell`.
- An orchestration is replayed from its first event at each turn. So all of them are short.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import azure.durable_functions as df

from fan_out.blueprint import bp
from fan_out.maps.ledger import Reporter
from fan_out.maps.pace import Batches, Child, Pace, Sections, Waves
from fan_out.maps.parts import Part, Supply, Tally
from fan_out.maps.settle import error_text, failed, settled

STOP = "map-stop"
# The wave of a map of so few items is looked at as each of them ends, to show its progress; any other only when all
# of them have ended, which costs a host that is clever about it one turn instead of one an item.
WATCHED = 25
STOPS = ("told", "timeout", "failures")  # what ends a part for good; anything else only means: hand out anew
Steps = Generator[Any, Any, Tally]


@bp.orchestration_trigger(context_name="context")
def map_stage(context: df.DurableOrchestrationContext) -> Generator[Any, Any, dict[str, Any]]:
    part = Part.of(context.get_input() or {})
    pace = Sections(part.job, len(part.items))
    tally: Tally = yield from roll(context, part, pace, STOP, context.instance_id)
    return tally.to_output()


@bp.orchestration_trigger(context_name="context")
def map_section(context: df.DurableOrchestrationContext) -> Generator[Any, Any, dict[str, Any]]:
    part = Part.of(context.get_input() or {})
    slots = part.slots or len(part.items)
    pace: Pace
    if "width" in part.plan:
        pace = Waves(slots, part.plan["width"])
    else:
        pace = Batches(slots, part.job.bound, part.plan["way"])
    tally: Tally = yield from roll(context, part, pace, STOP, context.instance_id)
    return tally.to_output()


def roll(context: df.DurableOrchestrationContext, part: Part, pace: Pace, event: str, prefix: str) -> Steps:
    """Hand out the part's items as `pace` says, never more than `part.slots` at once, until all are done or
    something stops it: the event, the deadline, too many failures. What was handed out always ends first."""
    began = context.current_utc_datetime
    halt = context.wait_for_external_event(event)
    supply = Supply(len(part.items))
    tally = Tally([None] * len(part.items))
    reporter = Reporter(context, part.job)
    running: dict[Any, tuple[str, int, Child]] = {}
    handed_out = 0
    told = False
    while True:
        for task in [task for task in running if task.is_completed]:
            _, start, child = running.pop(task)
            done = Tally.lost(child.count, error_text(task.result)) if failed(task) else Tally.of(task.result)
            tally.absorb(start, done)
            supply.put_back([(start + first, start + last) for first, last in done.undone])
            pace.learn(child, done)
            if child.kind == "batch":
                reporter.add(part, start, done)
        if tally.stop not in STOPS:
            tally.stop = _why_stop(context, part, tally, halt.is_completed) or pace.stop
        if tally.stop in STOPS and _for_all(part, tally) and running and not told:
            told = True
            tell = context.call_activity(map_tell, [identity for identity, _, _ in running.values()])
            yield from settled(context, [tell])
            continue
        new = []
        free = part.slots - sum(child.slots for _, _, child in running.values())
        while supply.left and not tally.stop:
            next_child = pace.child(free if part.slots else supply.left, supply.left)
            if next_child is None:
                break
            start, count = supply.take(next_child.count)
            child = replace(next_child, count=count)
            if child.kind == "batch":
                child = replace(child, slots=min(child.slots, count))
            identity = f"{prefix}:{handed_out}"
            patience = None
            if part.patience is not None:
                patience = max(0, part.patience - len(tally.failed)) // pace.at_once
            final = part.final and pace.at_once == 1
            given = part.slice(start, count, child.slots, patience, final, child.plan)
            task = context.call_sub_orchestrator(f"map_{child.kind}", given.to_input(), identity)
            running[task] = (identity, start, child)
            new.append(task)
            handed_out += 1
            free -= child.slots
        reporter.tell(sum(child.slots for _, _, child in running.values() if child.kind == "batch"))
        if not running:
            assert tally.stop or not supply.left, "the pace hands out nothing"
            break
        if not supply.left and not part.slots and part.job.attempts == 1:
            # Without a bound all of it is in flight by now, so there is nothing to be told, and nothing to stop.
            yield from settled(context, list(running))
            continue
        waits = list(running)
        if not halt.is_completed:
            waits.append(halt)
        # A wave that was handed out alone, each item to be tried once: nothing can be done before it ends.
        alone = len(running) == 1 and child.kind == "batch" and child.slots > 1 and part.job.attempts == 1
        if new and handed_out > len(new) and not alone:
            # Not the first time, so the event is listed already, and parts may be: without this, whatever comes
            # next would have to wait for one of the new parts to end.
            spacer: Any = context.create_timer(context.current_utc_datetime)
            spacer.cancel()
            waits.append(spacer)
        yield context.task_any(waits)
    tally.undone = list(supply.rest())
    if not tally.undone and not tally.cut:
        tally.stop = "failures" if _too_many(part, tally) else None
    tally.seconds = (context.current_utc_datetime - began).total_seconds()
    tally.way = pace.way
    return tally


@bp.orchestration_trigger(context_name="context")
def map_batch(context: df.DurableOrchestrationContext) -> Generator[Any, Any, dict[str, Any]]:
    """A lane (one slot: the items in turn) or a wave (a slot for each), every item tried as often as it may.

    Retried here and not by `call_activity_with_retry`: that way the number of tries is known, an item's pause
    does not keep the others waiting, and stopping stops the tries, too.
    """
    part = Part.of(context.get_input() or {})
    job = part.job
    began = context.current_utc_datetime
    halt = context.wait_for_external_event(STOP)
    tally = Tally([None] * len(part.items))
    reporter = Reporter(context, job)
    fresh = 0  # the next position never tried
    again: list[tuple[datetime, int, int, str]] = []  # when, position, tries so far, the last error
    while True:
        now = context.current_utc_datetime
        tally.stop = _why_stop(context, part, tally, halt.is_completed)
        if (tally.stop and _for_all(part, tally)) or not (
            again or (fresh < len(part.items) and not tally.stop)
        ):
            break
        ready = [(position, tries) for due, position, tries, _ in again if due <= now][: part.slots]
        more = 0 if tally.stop else min(part.slots - len(ready), len(part.items) - fresh)
        ready += [(position, 0) for position in range(fresh, fresh + more)]
        if not ready:
            timer: Any = context.create_timer(min(again)[0])
            yield context.task_any([timer, halt])
            if timer.is_completed:
                # It may fire up to a second early, and says all the same that the pause is over.
                first = min(again)
                again[again.index(first)] = (context.current_utc_datetime, *first[1:])
            else:
                timer.cancel()
            continue
        fresh += more
        again = [entry for entry in again if (entry[1], entry[2]) not in ready]
        tasks = [context.call_activity(job.activity, _given(part, position)) for position, _ in ready]
        waiting = dict(zip(tasks, ready, strict=True))
        if len(tasks) > 1 and job.total > WATCHED:
            yield from settled(context, tasks)
        while True:
            for task in [task for task in waiting if task.is_completed]:
                position, tries = waiting.pop(task)
                if not failed(task):
                    tally.values[position] = task.result
                    reporter.add_item(None)
                    if tries:
                        tally.tries.append((position, tries + 1))
                elif tries + 1 < job.attempts:
                    due = context.current_utc_datetime + timedelta(seconds=job.pause)
                    again.append((due, position, tries + 1, error_text(task.result)))
                else:
                    error = error_text(task.result)
                    tally.failed.append((position, error, tries + 1))
                    reporter.add_item((part.index(position), error))
            reporter.tell(None)
            if not waiting:
                break
            yield context.task_any([*waiting] if halt.is_completed else [*waiting, halt])
    tally.failed += [(position, error, tries) for _, position, tries, error in again]
    tally.cut = len(again)
    tally.undone = [(fresh, len(part.items))] if fresh < len(part.items) else []
    tally.seconds = (context.current_utc_datetime - began).total_seconds()
    tally.told = reporter.told
    return tally.to_output()


@bp.activity_trigger(input_name="instances")
@bp.durable_client_input(client_name="client")
async def map_tell(instances: list, client: df.DurableOrchestrationClient) -> int:
    """Raise the stop event for each of `instances`; how many heard it. One that has ended need not hear."""
    heard = await asyncio.gather(*(_tell(client, instance) for instance in instances))
    return sum(heard)


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


def _why_stop(context: df.DurableOrchestrationContext, part: Part, tally: Tally, told: bool) -> str | None:
    if told:
        return "told"
    if part.job.deadline and context.current_utc_datetime >= datetime.fromisoformat(part.job.deadline):
        return "timeout"
    return "failures" if _too_many(part, tally) else None


def _too_many(part: Part, tally: Tally) -> bool:
    return part.patience is not None and len(tally.failed) > part.patience


def _for_all(part: Part, tally: Tally) -> bool:
    """Whether what stops this part stops the whole map. A part that has only used up its share of the tolerated
    failures starts nothing fresh, but what it has begun is still tried as often as it may be."""
    return tally.stop != "failures" or part.final


def _given(part: Part, position: int) -> Any:
    item = part.items[position]
    if not part.job.envelope:
        return item
    return {"item": item, "index": part.index(position), "map_id": part.job.map_id}
