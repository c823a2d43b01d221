"""Entities: their state, signals, and who called them."""

from __future__ import annotations

from dfhost.testing import Durable


def test_an_entity_counts(durable: Durable) -> None:
    till = durable.entity("till", "main")
    assert (till.exists, till.state, durable.entities) == (False, None, [])
    till.signal("add", 2).signal("add", 3)
    assert (till.exists, till.state, durable.entities) == (True, 5, [till])
    assert repr(till) == "<Entity till main>"


def test_a_failed_operation_leaves_the_state_alone(durable: Durable) -> None:
    till = durable.entity("till", "main").signal("add", 2)
    till.signal("fail")
    assert till.state == 2


def test_a_run_knows_the_entities_that_it_called(durable: Durable) -> None:
    durable.entity("till", "main").signal("add", 2)
    run = durable.start("sell", 3)
    assert run.result() == 5
    assert run.entities == [durable.entity("till", "main")]
    assert run.entities[0].state == 5
