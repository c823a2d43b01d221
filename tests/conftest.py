"""Fixtures for every test."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest
from hypothesis import settings

from tests.support import gates as _gates

# Speed is measured in benchmarks; on a busy machine any example may take long.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture
def gates() -> Iterator[ModuleType]:
    """The module `gates`, which the app under test imports too; every gate is open and forgotten afterwards."""
    _gates.reset()
    yield _gates
    _gates.reset()
