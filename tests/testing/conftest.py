"""The app that these tests use the fixture `durable` with."""

from __future__ import annotations

import pytest

from tests.support.apps import APPS


@pytest.fixture
def durable_app() -> str:
    return str(APPS / "testing")
