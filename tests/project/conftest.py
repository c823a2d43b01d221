"""The host of this repository's app."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.apps import ROOT
from tests.support.host_process import HostProcess


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    """As `make start` serves it."""
    with HostProcess(ROOT, "--db", tmp_path_factory.mktemp("hub") / "FanOutHub.db") as host:
        yield host
