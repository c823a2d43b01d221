"""What a map costs the host: its orchestrations and messages, counted in the database. No time is asserted."""

from __future__ import annotations

import pytest

from benchmarks.map_costs import costs

COUNT = 1000


@pytest.mark.parametrize(
    ("bound", "orchestrations"),
    [
        pytest.param(10, 52, marks=pytest.mark.long),
        (50, 12),
        pytest.param(100, 14, marks=pytest.mark.long),
        pytest.param(500, 14, marks=pytest.mark.long),
        (0, 10),
    ],
)
def test_a_thousand_items_take_few_orchestrations_and_few_messages(host, bound, orchestrations):
    items = [f"item-{number}" for number in range(COUNT)]
    body = {"items": items, "activity": "process_item", "max_concurrency": bound, "results": "values"}
    run = host.start_map(body)["id"]
    assert host.ended(run)["output"]["results"] == [f"Processed {item}" for item in items]
    cost = costs(host.database, run)
    assert cost.orchestrations <= orchestrations
    # There and back of each item and of each orchestration; what is more are reports to the ledger.
    least = 2 * COUNT + 2 * cost.orchestrations - 1
    assert least <= cost.messages <= least + 200
    assert cost.longest < 500
