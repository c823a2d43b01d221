"""Properties of the pure heart: order, batching, restarts and held-back replays change nothing that they must not.

The programs are random and run through the real SDK; a failing one is shrunk and printed with the line that
reproduces it (and the seed: ``pytest --hypothesis-seed=N``).
"""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .random_orchestrators import Program, programs
from .simulation import held_back, in_any_order, in_this_order

# More of them when looking for trouble: PROPERTY_EXAMPLES=1000 pytest tests/properties
bounded = settings(
    max_examples=int(os.environ.get("PROPERTY_EXAMPLES", "12")),
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
# The SDK warns of what arrives before it is waited for, and of itself.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Potential duplicate Task completion"),
    pytest.mark.filterwarnings("ignore:azure.functions df_:DeprecationWarning"),
]
orders = st.randoms(use_true_random=False)


@bounded
@given(programs(races=False, retries=False), orders, orders)
def test_any_order_gives_the_same_ids_actions_and_result(
    program: Program, one: random.Random, other: random.Random
) -> None:
    first = in_any_order(program, one, batches=False)
    second = in_any_order(program, other, batches=True)
    assert second.outcome == first.outcome
    assert second.actions == first.actions
    assert second.ids == first.ids


@bounded
@given(programs(races=False, retries=True), orders, orders)
def test_retries_in_any_order_give_the_same_actions_and_result(
    program: Program, one: random.Random, other: random.Random
) -> None:
    """Their timers and attempts take ids as they come, so the ids may differ; how many there are may not."""
    first = in_any_order(program, one, batches=False)
    second = in_any_order(program, other, batches=True)
    assert second.outcome == first.outcome
    assert second.actions == first.actions
    assert len(second.ids) == len(first.ids)


@bounded
@given(programs(races=True, retries=True), orders, orders)
def test_any_batching_of_one_order_gives_the_same(
    program: Program, one: random.Random, other: random.Random
) -> None:
    first = in_any_order(program, one, batches=False)
    second = in_this_order(program, first.order, other)
    assert second.outcome == first.outcome
    assert second.actions == first.actions
    assert second.ids == first.ids


@bounded
@given(programs(races=True, retries=True), orders, orders)
def test_a_history_cut_anywhere_and_continued_gives_the_same(
    program: Program, one: random.Random, other: random.Random
) -> None:
    first = in_any_order(program, one, batches=True)
    second = in_this_order(program, first.order, other, cuts=True)
    assert second.outcome == first.outcome
    assert second.actions == first.actions
    assert second.ids == first.ids


@bounded
@given(programs(races=True, retries=True), orders)
def test_replays_that_are_held_back_are_not_missed(program: Program, one: random.Random) -> None:
    first = in_any_order(program, one, batches=False)
    second = held_back(program, first.order)
    assert second.outcome == first.outcome
    assert second.actions == first.actions
    assert second.ids == first.ids
    assert second.episodes <= first.episodes
