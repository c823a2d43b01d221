"""Which versions of an orchestration run under a host.json."""

from __future__ import annotations

import pytest

from dfhost.engine.options import EngineOptions
from dfhost.engine.versions import fits


@pytest.mark.parametrize(
    ("version", "runs"),
    [("1.9", True), ("1.10", True), ("1.11", False), ("2", False), ("1.²", False), ("1.٩", True)],
)
def test_numbers_are_compared_as_numbers(version: str, runs: bool) -> None:
    assert fits(version, EngineOptions(default_version="1.10")) is runs
