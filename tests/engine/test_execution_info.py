"""Who an execution is, as its triggers say it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dfhost.engine import history as h
from dfhost.engine.execution_info import ExecutionInfo
from dfhost.engine.options import EngineOptions

AT = "2026-11-28T10:00:00.000000Z"


def trigger(**fields: Any) -> Any:
    started = h.execution_started(
        AT, instance_id="i", execution_id="e", name="o", version=None, input=None, **fields
    )
    return json.loads(ExecutionInfo.read(started).trigger([], False, EngineOptions()))


@pytest.mark.parametrize("source", [None, "first", 'an "odd" ö one'])
def test_a_restarted_instance_knows_which_one_it_was_restarted_from(source: str | None) -> None:
    assert trigger(source_id=source)["sourceInstanceId"] == source
    assert trigger(source_id=source)["instanceId"] == "i"
