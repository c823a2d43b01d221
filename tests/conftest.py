"""Fixtures for every test."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator, Iterator
from types import ModuleType

import pytest
from hypothesis import settings

from tests.support import gates as _gates

# Container images switch bytecode off, and each of the hundreds of processes here would compile dfhost again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# aiohttp reads all certificates of the system when it is imported, and no test talks to a server that needs one.
os.environ.setdefault("SSL_CERT_FILE", os.devnull)

# Speed is measured in benchmarks; on a busy machine any example may take long.
settings.register_profile("quick", deadline=None, max_examples=50)
settings.register_profile("thorough", deadline=None, max_examples=300)  # `make test-all`
settings.load_profile("quick")


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: many tests wait for a process, a socket or a time."""
    return int(os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS") or (os.cpu_count() or 1) + 1)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays until the end: the garbage collector need not look at it again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture
def gates() -> Iterator[ModuleType]:
    """The module `gates`, which the app under test imports too; every gate is open and forgotten afterwards."""
    _gates.reset()
    yield _gates
    _gates.reset()
