"""A stop, a second host and a full disk, with real processes: nothing that was acknowledged is lost."""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.hub_on_disk import APP, HubOnDisk
from tests.support.host_process import run_dfhost
from tests.support.http_client import HttpClient
from tests.support.waiting import until


@pytest.fixture
def hub(tmp_path: Path) -> HubOnDisk:
    return HubOnDisk(tmp_path)


@pytest.mark.stress
def test_a_second_host_is_refused_and_a_stop_lets_what_runs_end_and_be_stored(hub: HubOnDisk) -> None:
    with hub.start() as host:
        host.client.start("blocks", instance_id="x")
        hub.until_marked("begin", "x/2")
        hub.until_marked("end", "x/0", "x/1")

        refused = run_dfhost(
            "start", APP, "--port", "0", "--db", hub.database, MARKS="/dev/null", HOST_NUMBER="0"
        )
        assert refused.returncode == 2
        assert refused.stderr.startswith(f"dfhost: {hub.database} is in use by another host (process ")
        assert refused.stderr.count("\n") == 1

        host.signal(signal.SIGTERM)
        host.line("Waiting for running calls: block")
        hub.release.touch()
        assert host.exit_code() == 0
    assert hub.stored().unfinished == {}
    with hub.start() as host:
        host.client.send("x", "raiseEvent/go", "on")
        assert host.client.output("x") == ["Processed x/0", "Processed x/1", "Released x/2", "on"]
    assert [mark.host for mark in hub.marks() if mark.what == "begin"] == [1, 1, 1]


# -- a file that cannot be written any more ----------------------------------------------------------------------
class SmallDisk:
    """A folder in which a file can become 1 MB large: a disk of that size where one can be mounted, else a limit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._is_disk = not _call("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder)

    def shrink(self, process: int) -> None:
        if not self._is_disk:
            resource.prlimit(process, resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    def grow(self) -> None:
        if self._is_disk:
            _call("mount", "-o", "remount,size=64m", self.folder)

    def close(self) -> None:
        if self._is_disk:  # the worker of a killed host may need a moment to notice it
            until(lambda: _call("umount", self.folder), lambda code: code == 0)


def _call(*command: str | Path) -> int:
    return subprocess.run(command, capture_output=True, check=False).returncode


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    # Not in pytest's folder, which later runs clean up: a run that is killed leaves the disk mounted.
    folder = Path(tempfile.mkdtemp(prefix="small-disk-"))
    disk = SmallDisk(folder)
    yield disk
    disk.close()
    shutil.rmtree(folder)


@pytest.mark.long
@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="Linux can limit another process")
def test_a_full_disk_ends_the_host_with_a_sentence_and_nothing_acknowledged_is_lost(disk: SmallDisk) -> None:
    hub = HubOnDisk(disk.folder)
    with hub.start() as host:
        disk.shrink(int((disk.folder / "hub.db.lock").read_text()))
        acknowledged = fill(host.client)
        assert host.exit_code() == 2
        said = [line for line in host.lines if line.startswith("dfhost: ")]
        assert len(said) == 1
        assert f"The disk that holds {hub.database}" in said[0]
        assert "Traceback" not in host.text
    assert len(acknowledged) > 3
    disk.grow()
    with hub.start() as host:
        for instance_id in acknowledged:
            host.client.send(instance_id, "raiseEvent/go", instance_id)
        for instance_id in acknowledged:
            assert host.client.output(instance_id) == instance_id


def fill(client: HttpClient) -> list[str]:
    """Start instances of 20 KB each until the host refuses one; those that it acknowledged."""
    acknowledged: list[str] = []
    for number in range(1000):
        try:
            response = client.manage("POST", f"orchestrators/hears/i{number}", "x" * 20_000)
        except OSError:
            return acknowledged
        if response.status != 202:
            assert "The disk that holds" in response.text
            return acknowledged
        acknowledged.append(f"i{number}")
    raise AssertionError("the disk does not fill")
