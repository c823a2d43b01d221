"""The app that these tests use the fixture `durable` with."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def durable_app(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("INBOX", "inbox")
    return str(Path(__file__).parents[1] / "apps" / "queues")
