"""The orchestrations that a map is made of: map_section → map_lane → map_chunk → the activity.

Each returns what became of its items; plan.py says which go to whom. Facts of the extension that this stands on:

- A list of actions is worked off in turn, and a `task_any` holds only what was not listed before. So each round of
  children has an event wait of its own beside it; of several waits for one event, the newest gets it.
- After a failed task the extension starts nothing before its siblings have ended. So all are waited for.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import azure.durable_functions as df

from fan_out.blueprint import bp
from fan_out.maps.ledger import Reporter
from fan_out.maps.plan import Part, next_shares
from fan_out.maps.results import ItemResult, Results, as_json, merge
from fan_out.maps.stopping import STOP, pause, stop_children, why_stop
from fan_out.maps.unknown_activity import unknown_activity
from fan_out.settle import error_text, has_failed, wait_for_all


# Lanes and sections do the same. Their names tell in a history, and on the console, what a part is.
@bp.orchestration_trigger(context_name="context")
def map_section(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    return (yield from _run_part(context))


@bp.orchestration_trigger(context_name="context")
def map_lane(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    return (yield from _run_part(context))


def _run_part(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    given: Any = context.get_input()
    return as_json((yield from hand_out(context, Part(**given), STOP, context.instance_id))[0])


def hand_out(
    context: df.DurableOrchestrationContext, part: Part, stop_event_name: str, id_prefix: str
) -> Generator[Any, Any, tuple[Results, str | None]]:
    """Hand out the part's items round by round, as the planner says. Gives the results and why it stopped, if it did.

    It stops at the event, at the deadline, and at too many failures; what was handed out ends first.
    """
    results: Results = [None] * len(part.items)
    left = list(range(len(part.items)))
    children, failures, event_came, reason = 0, 0, False, None
    while left and not (reason := why_stop(context, part, failures, event_came)):
        shares = next_shares(left, part.lanes)
        running = {}
        for share in shares:
            given, instance = part.child(share, failures, len(shares)), f"{id_prefix}.{children}"
            task = context.call_sub_orchestrator(f"map_{share.kind}", given, instance)
            running[task] = instance, share.positions
            children += 1
        left = left[sum(len(share.positions) for share in shares) :]
        stop_event, children_stopped = context.wait_for_external_event(stop_event_name), False
        while running:
            if not any(task.is_completed for task in running):
                yield context.task_any([*running] if event_came else [*running, stop_event])
            event_came = event_came or stop_event.is_completed
            for task in [task for task in running if task.is_completed]:
                _, positions = running.pop(task)
                returned = _results_of(task, len(positions))
                not_started, failed_there = merge(results, positions, returned)
                if failed_there and unknown_activity(returned):
                    return results, "failures"  # those that still run find it out as well
                left += not_started
                failures += failed_there
            reason = why_stop(context, part, failures, event_came)
            if reason and running and not children_stopped and (reason != "failures" or part.whole_budget):
                children_stopped = True
                yield from stop_children(context, {instance: task for task, (instance, _) in running.items()})
        left.sort()
    return results, reason


def _results_of(child: Any, items: int) -> Results:
    """What an ended child returns. One that has failed was terminated, or its activity does not exist."""
    return [ItemResult(0, None, error_text(child.result))] * items if has_failed(child) else child.result


@bp.orchestration_trigger(context_name="context")
def map_chunk(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    """Try every item once, batch by batch; then, after a pause, those that failed, and so on.

    Retried here and not by `call_activity_with_retry`: so the number of tries is known, and stopping stops them.
    """
    given: Any = context.get_input()
    part = Part(**given)
    results: Results = [None] * len(part.items)
    reporter = Reporter(context, part.map_id, part.total)
    stop_event = context.wait_for_external_event(STOP)
    to_try, failures, stop = list(range(len(part.items))), 0, None
    for attempt in range(1, part.attempts + 1):
        again = []
        # A share of the failure budget that is used up ends what is fresh, not the tries that are left.
        budgeted = attempt == 1 or part.whole_budget
        while to_try and not (
            stop := why_stop(context, part, failures if budgeted else 0, stop_event.is_completed)
        ):
            batch, to_try = to_try[: part.lanes[0]], to_try[part.lanes[0] :]
            reporter.report(in_flight=len(batch))
            tasks = [context.call_activity(part.activity, part.argument(position)) for position in batch]
            # The SDK delivers an event only to a wait that was yielded: beside the first batch, if there is another.
            beside = stop_event if to_try and attempt == 1 and batch[0] == 0 else None
            yield from wait_for_all(context, tasks, beside)
            for position, task in zip(batch, tasks, strict=True):
                error = error_text(task.result) if has_failed(task) else None
                results[position] = ItemResult(attempt, None if error else task.result, error)
                if error and attempt < part.attempts:
                    again.append(position)
                else:
                    failures += error is not None
                    reporter.add(part.indexes[position], error)
        if not again or stop or why_stop(context, part, 0, stop_event.is_completed):
            break
        to_try = again
        reporter.report(in_flight=0)
        stop_event = yield from pause(context, part)
    reporter.report(in_flight=0)
    return as_json(results)
