"""Entities: their state, signals, and who called them."""

from __future__ import annotations

import pytest

from dfhost.testing import Durable


def test_an_entity_counts(durable: Durable) -> None:
    till = durable.entity("till", "main")
    assert (till.exists, till.state, durable.entities) == (False, None, [])
    till.signal("add", 2).signal("add", 3)
    assert (till.exists, till.state, durable.entities) == (True, 5, [till])
    assert repr(till) == "<Entity till main>"


def test_all_entities_are_listed(durable: Durable) -> None:
    tills = [durable.entity("till", f"{number:03}").signal("add", number) for number in range(101)]
    assert durable.entities == tills  # the management API lists a hundred at a time


def test_a_failed_operation_leaves_the_state_alone(durable: Durable) -> None:
    till = durable.entity("till", "main").signal("add", 2)
    till.signal("fail")
    assert till.state == 2


def test_the_report_names_failed_operations_with_the_users_line(durable: Durable) -> None:
    durable.entity("till", "main").signal("add", 2)
    durable.advance(hours=1)
    durable.entity("till", "main").signal("fail")
    report = durable.report()
    assert (
        "@till@main: state 2\n  +1 hour  failed  fail: ValueError: the till is stuck\n        File " in report
    )
    assert "in till" in report and 'raise ValueError("the till is stuck")' in report


def test_the_report_names_operations_that_the_test_lets_fail(durable: Durable) -> None:
    durable.fail("till", on_call=2, error=ConnectionError("down"))
    till = durable.entity("till", "main")
    till.signal("add", 1).signal("add", 2).signal("fail")
    assert till.state == 1
    assert "@till@main: state 1\n  +0  failed  add: ConnectionError: down\n" in durable.report()
    assert "fail: ValueError: the till is stuck" in durable.report()


def test_the_report_shows_entities_below_the_runs_and_failed_ones_first(durable: Durable) -> None:
    durable.entity("till", "good").signal("add", 1)
    durable.entity("till", "new").signal("fail")
    run = durable.start("talks", "Ann")
    blocks = [block.splitlines()[0] for block in durable.report().split("\n\n")]
    assert blocks == [f"talks {run.id}: Completed", "@till@new: state null", "@till@good: state 1"]


def test_a_run_knows_the_entities_that_it_called(durable: Durable) -> None:
    durable.entity("till", "main").signal("add", 2)
    run = durable.start("sell", 3)
    assert run.result() == 5
    assert run.entities == [durable.entity("till", "main")]
    assert run.entities[0].state == 5


def test_a_misspelt_entity(durable: Durable) -> None:
    with pytest.raises(ValueError, match=r"no entity 'tills'\. Did you mean 'till'\?"):
        durable.entity("tills", "main")
    assert durable.entity("TILL", "main").state is None
