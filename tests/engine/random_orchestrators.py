"""Random orchestrators, as values: drawn by hypothesis, run by the SDK.

A program is a tuple of steps, a step a compound over leaves (or one leaf by itself); every leaf has a name of
its own and a fixed end. After each step every leaf is awaited by itself with its failure caught, which is the
pattern that stays right on the real service whatever the order of ends.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import azure.durable_functions as df
from hypothesis import strategies as st

ACTIVITY, CHILD, TIMER, EVENT, RETRY = "activity", "child", "timer", "event", "retry"


@dataclass(frozen=True)
class Leaf:
    """One task. `fails`: its end is a failure; for a retried one, how many attempts fail (of three)."""

    kind: str
    name: str
    fails: int


@dataclass(frozen=True)
class Step:
    """`how`: one (each leaf by itself, in turn), all, any, nested (task_all of two task_alls)."""

    how: str
    leaves: tuple[Leaf, ...]


Program = tuple[Step, ...]
Steps = Generator[Any, Any, Any]


def programs(*, races: bool, retries: bool) -> st.SearchStrategy[Program]:
    """`races`: with task_any, whose winner depends on the order. `retries`: with retried activities."""
    kinds = [ACTIVITY, CHILD, TIMER, EVENT] + ([RETRY] if retries else [])
    hows = ["one", "all", "nested"] + (["any"] if races else [])
    leaf = st.tuples(st.sampled_from(kinds), st.integers(0, 3))
    step = st.tuples(st.sampled_from(hows), st.lists(leaf, min_size=1, max_size=4))
    return st.lists(step, min_size=1, max_size=4).map(named)


def named(drawn: list[tuple[str, list[tuple[str, int]]]]) -> Program:
    def leaf(how: str, name: str, kind: str, fails: int) -> Leaf:
        if kind == RETRY and how == "any":
            kind = ACTIVITY  # task_any over retried tasks is not right on the real service
        if how == "nested":
            # A task_all that fails inside another one makes the SDK raise at its next end, whoever the host.
            return Leaf(kind, name, min(fails, 2) if kind == RETRY else 0)
        if kind == RETRY:
            return Leaf(kind, name, fails)
        return Leaf(kind, name, fails % 2 if kind in (ACTIVITY, CHILD) else 0)

    return tuple(
        Step(how, tuple(leaf(how, f"{n}.{m}", *each) for m, each in enumerate(leaves)))
        for n, (how, leaves) in enumerate(drawn)
    )


def event_names(program: Program) -> list[str]:
    return [leaf.name for step in program for leaf in step.leaves if leaf.kind == EVENT]


def orchestrator(program: Program) -> Any:
    """The program as a handle of the SDK. Its output is what every leaf came to, in the program's order."""

    def task(context: df.DurableOrchestrationContext, leaf: Leaf) -> Any:
        if leaf.kind == ACTIVITY:
            return context.call_activity("work", leaf.name)
        if leaf.kind == RETRY:
            return context.call_activity_with_retry("work", df.RetryOptions(1000, 3), leaf.name)
        if leaf.kind == CHILD:
            return context.call_sub_orchestrator("child", leaf.name, f"child-{leaf.name}")
        if leaf.kind == TIMER:
            return context.create_timer(context.current_utc_datetime + timedelta(seconds=5))
        return context.wait_for_external_event(leaf.name)

    def run(context: df.DurableOrchestrationContext) -> Steps:
        seen = []
        for step in program:
            tasks = [task(context, leaf) for leaf in step.leaves]
            if step.how != "one":
                half = len(tasks) // 2
                compound = {
                    "all": lambda tasks=tasks: context.task_all(tasks),
                    "any": lambda tasks=tasks: context.task_any(tasks),
                    "nested": lambda tasks=tasks, half=half: context.task_all(
                        [context.task_all(part) for part in (tasks[:half], tasks[half:]) if part]
                    ),
                }[step.how]()
                try:
                    yield compound
                except Exception:
                    seen.append("one of them failed")
                if step.how == "any":
                    seen.append(f"first: {next(n for n, t in enumerate(tasks) if t.is_completed)}")
            for one in tasks:
                try:
                    seen.append((yield one))
                except Exception as error:
                    seen.append(f"failed: {str(error).splitlines()[0]}")
        return seen

    return df.Orchestrator.create(run)
