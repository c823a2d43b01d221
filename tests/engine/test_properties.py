"""Properties of the engine: order, batches, restarts and skipped replays do not change ids, actions and results.

The orchestrators are random and run through the real SDK; a failing one is shrunk and printed with the line that
reproduces it (and the seed: ``pytest --hypothesis-seed=N``).
"""

from __future__ import annotations

import os
import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dfhost.engine.options import EngineOptions

from .random_orchestrators import Plan, plans
from .simulation import in_any_order, in_this_order, only_needed_replays

# More of them when looking for trouble: PROPERTY_EXAMPLES=1000 pytest tests/engine/test_properties.py
bounded = settings(
    max_examples=int(os.environ.get("PROPERTY_EXAMPLES", "12")),
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
orders = st.randoms(use_true_random=False)


@bounded
@given(plans(races=False, retries=False), orders, orders)
def test_any_order_gives_the_same_ids_actions_and_result(
    plan: Plan, one: random.Random, other: random.Random
) -> None:
    first = in_any_order(plan, one, batches=False)
    second = in_any_order(plan, other, batches=True)
    assert second.outcome == first.outcome
    assert second.actions == first.actions
    assert second.ids == first.ids


@bounded
@given(plans(races=False, retries=True), orders, orders)
def test_retries_in_any_order_give_the_same_actions_and_result(
    plan: Plan, one: random.Random, other: random.Random
) -> None:
    """Retry timers and attempts take ids in the order of the failures: the ids may differ, their number may not."""
    first = in_any_order(plan, one, batches=False)
    second = in_any_order(plan, other, batches=True)
    assert second.outcome == first.outcome
    assert second.actions == first.actions
    assert len(second.ids) == len(first.ids)


@bounded
@given(plans(races=True, retries=True), orders, orders)
def test_any_batching_of_one_order_gives_the_same(
    plan: Plan, one: random.Random, other: random.Random
) -> None:
    first = in_any_order(plan, one, batches=False)
    second = in_this_order(plan, first.order, other)
    assert second.outcome == first.outcome
    assert second.actions == first.actions
    assert second.ids == first.ids


@bounded
@given(plans(races=True, retries=True), orders, orders)
def test_restarts_at_any_moment_give_the_same(plan: Plan, one: random.Random, other: random.Random) -> None:
    first = in_any_order(plan, one, batches=True)
    second = in_this_order(plan, first.order, other, restarts=True)
    assert second.outcome == first.outcome
    assert second.actions == first.actions
    assert second.ids == first.ids


@bounded
@given(plans(races=True, retries=True), orders, orders, st.integers(1, 3), st.booleans())
def test_commands_recorded_in_portions_give_the_same(
    plan: Plan, one: random.Random, other: random.Random, portion: int, restarts: bool
) -> None:
    options = EngineOptions(commands_per_episode=portion)
    first = in_any_order(plan, one, batches=False)
    second = in_this_order(plan, first.order, other, restarts=restarts, options=options)
    assert second.outcome == first.outcome
    assert second.actions == first.actions
    assert second.ids == first.ids


@bounded
@given(plans(races=True, retries=True), orders)
def test_skipped_replays_change_nothing(plan: Plan, one: random.Random) -> None:
    first = in_any_order(plan, one, batches=False)
    second = only_needed_replays(plan, first.order)
    assert second.outcome == first.outcome
    assert second.actions == first.actions
    assert second.ids == first.ids
    assert second.episodes <= first.episodes
