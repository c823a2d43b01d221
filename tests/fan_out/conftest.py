"""One host for all tests of running maps. It runs the app in its own process, since these are about the map."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fan_out.map_host import MapHost


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MapHost]:
    """A source may read the files of its folder `inbox`."""
    folder = tmp_path_factory.mktemp("map")
    inbox = folder / "inbox"
    inbox.mkdir()
    (inbox / "three.csv").write_text("id,value\n1,a\n2,b\n3,c\n")
    (inbox / "bad.csv").write_text("id,value\n1\n")
    with MapHost(folder, "--in-process", FAN_OUT_SOURCES=str(inbox)) as running:
        yield running
