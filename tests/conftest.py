"""Fixtures for every test."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest

from tests.support import gates as _gates


def pytest_configure(config: pytest.Config) -> None:
    # The SDK warns of its own calls into azure.functions, and of every late completion: no app can help it.
    config.addinivalue_line("filterwarnings", "ignore::DeprecationWarning:azure.functions")
    config.addinivalue_line("filterwarnings", "ignore:Potential duplicate Task completion")


@pytest.fixture
def gates() -> Iterator[ModuleType]:
    """`gates`, shared with the app under test; afterwards nobody stands at any of them."""
    _gates.reset()
    yield _gates
    _gates.reset()
