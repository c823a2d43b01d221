"""Fixtures for every test."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
from hypothesis import settings

from tests.support import gates as _gates

# Container images switch bytecode off, and each of the hundreds of processes here would compile dfhost again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Speed is measured in benchmarks; on a busy machine any example may take long.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: many tests wait for a process, a socket or a time."""
    return int(os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS") or (os.cpu_count() or 1) + 1)


@pytest.fixture
def gates() -> Iterator[ModuleType]:
    """The module `gates`, which the app under test imports too; every gate is open and forgotten afterwards."""
    _gates.reset()
    yield _gates
    _gates.reset()
