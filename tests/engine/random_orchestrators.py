"""Random orchestrators: drawn by hypothesis as plans, which are plain values, and run by the SDK.

A plan is a tuple of steps; a step is a compound task over single tasks, or those tasks one after the other. Every
task has a name of its own and a fixed end. After each step every task is yielded by itself with its failure caught:
this pattern gives the same result on the real service in whatever order the tasks end.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import azure.durable_functions as df
from hypothesis import strategies as st

ACTIVITY, CHILD, TIMER, EVENT, RETRY = "activity", "child", "timer", "event", "retry"
CANCELLED_TIMER = "cancelled timer"


@dataclass(frozen=True)
class PlannedTask:
    """`fails`: its end is a failure; for a retried activity, how many of its three attempts fail."""

    kind: str
    name: str
    fails: int


@dataclass(frozen=True)
class Step:
    """`how`: one (each task by itself, in turn), all, any, nested (task_all of two task_alls)."""

    how: str
    tasks: tuple[PlannedTask, ...]


Plan = tuple[Step, ...]
Steps = Generator[Any, Any, Any]


def plans(*, races: bool, retries: bool) -> st.SearchStrategy[Plan]:
    """`races`: with task_any, whose winner depends on the order. `retries`: with retried activities."""
    kinds = [ACTIVITY, CHILD, TIMER, CANCELLED_TIMER, EVENT] + ([RETRY] if retries else [])
    hows = ["one", "all", "nested"] + (["any"] if races else [])
    task = st.tuples(st.sampled_from(kinds), st.integers(0, 3))
    step = st.tuples(st.sampled_from(hows), st.lists(task, min_size=1, max_size=4))
    return st.lists(step, min_size=1, max_size=4).map(named)


def named(drawn: list[tuple[str, list[tuple[str, int]]]]) -> Plan:
    def task(how: str, name: str, kind: str, fails: int) -> PlannedTask:
        if kind == RETRY and how == "any":
            kind = ACTIVITY  # task_any over retried tasks is not right on the real service
        if how == "nested":
            # A task_all that fails inside another one makes the SDK raise at its next end, whoever the host.
            return PlannedTask(kind, name, min(fails, 2) if kind == RETRY else 0)
        if kind == RETRY:
            return PlannedTask(kind, name, fails)
        return PlannedTask(kind, name, fails % 2 if kind in (ACTIVITY, CHILD) else 0)

    return tuple(
        Step(how, tuple(task(how, f"{n}.{m}", *each) for m, each in enumerate(tasks)))
        for n, (how, tasks) in enumerate(drawn)
    )


def event_names(plan: Plan) -> list[str]:
    return [task.name for step in plan for task in step.tasks if task.kind == EVENT]


def orchestrator(plan: Plan) -> Any:
    """The plan as a handle of the SDK. Its output: the result or failure of every task, in the plan's order."""

    def start(context: df.DurableOrchestrationContext, task: PlannedTask) -> Any:
        if task.kind == ACTIVITY:
            return context.call_activity("work", task.name)
        if task.kind == RETRY:
            return context.call_activity_with_retry("work", df.RetryOptions(1000, 3), task.name)
        if task.kind == CHILD:
            return context.call_sub_orchestrator("child", task.name, f"child-{task.name}")
        if task.kind in (TIMER, CANCELLED_TIMER):
            timer: Any = context.create_timer(context.current_utc_datetime + timedelta(seconds=5))
            if task.kind == CANCELLED_TIMER:
                timer.cancel()
            return timer
        return context.wait_for_external_event(task.name)

    def compound(context: df.DurableOrchestrationContext, how: str, tasks: list[Any]) -> Any:
        if how == "nested":
            half = len(tasks) // 2
            tasks = [context.task_all(part) for part in (tasks[:half], tasks[half:]) if part]
        return context.task_any(tasks) if how == "any" else context.task_all(tasks)

    def run(context: df.DurableOrchestrationContext) -> Steps:
        seen = []
        for step in plan:
            tasks = [start(context, task) for task in step.tasks]
            if step.how != "one":
                try:
                    yield compound(context, step.how, tasks)
                except Exception:
                    seen.append("one of them failed")
                if step.how == "any":
                    seen.append(f"first: {next(n for n, t in enumerate(tasks) if t.is_completed)}")
            for task in tasks:
                try:
                    seen.append((yield task))
                except Exception as error:
                    seen.append(f"failed: {str(error).splitlines()[0]}")
        return seen

    return df.Orchestrator.create(run)
