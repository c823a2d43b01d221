"""Fixtures for every test."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from dfhost.cli import main
from tests.support import gates as _gates
from tests.support.host_process import Dfhost

# Container images switch bytecode off, and each of the hundreds of processes here would compile dfhost again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# aiohttp reads all certificates when it is imported, and no test talks to a server that needs one.
os.environ["SSL_CERT_FILE"] = os.devnull

# Speed is measured in benchmarks; on a busy machine any example may take long.
settings.register_profile("quick", deadline=None, max_examples=20)
settings.register_profile("thorough", deadline=None, max_examples=300)  # `make test-all`
settings.load_profile("quick")


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: many tests wait for a process, a socket or a time."""
    return int(os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS") or (os.cpu_count() or 1) + 1)


# Files whose paths begin so share a host.
_TOGETHER = ("tests/cli/commands/", "tests/fan_out/test_map_", "tests/project/")


class _BySharedHost(LoadFileScheduling):
    """A file stays in one process, and so do the files that share a host."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return next((start for start in _TOGETHER if file.startswith(start)), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    return _BySharedHost(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays until the end, and tests leave few cycles: the garbage collector looks less often."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(10_000, 20, 20)
        gc.enable()


# The files that take longest, most of them because they wait. They go first: other tests run while they wait, and all
# of pytest's processes end together. One stands for all that share its host.
_LONGEST = (
    "worker/test_deaths.py",
    "fan_out/test_map_runs.py",
    "front/test_front.py",
    "conformance/test_conformance.py",
    "cli/commands/test_hosts.py",
    "project/test_readme.py",
    "worker/test_process.py",
    "worker/test_reload.py",
    "dashboard/test_page.py",
    "crash/test_random_kills.py",
    "cli/test_run.py",
    "dispatch/test_user_code.py",
    "engine/test_kept_generators.py",
    "dispatch/test_timers.py",
    "testing/test_time.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {Path(__file__).parent / name: place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture
def gates() -> Iterator[ModuleType]:
    """The module `gates`, which the app under test imports too; every gate is open and forgotten afterwards."""
    _gates.reset()
    yield _gates
    _gates.reset()


@pytest.fixture
def dfhost_here(capfd: pytest.CaptureFixture[str]) -> Iterator[Dfhost]:
    """`run_dfhost` in the test's own process, for a tenth of the CPU time; nothing that it changes there stays."""
    environ, thresholds = dict(os.environ), gc.get_threshold()

    def run(*arguments: str | Path | int) -> subprocess.CompletedProcess[str]:
        words = [str(argument) for argument in arguments]
        capfd.readouterr()
        code = main(words)
        printed = capfd.readouterr()
        return subprocess.CompletedProcess(words, code, printed.out, printed.err)

    yield run
    gc.unfreeze()
    gc.set_threshold(*thresholds)
    os.environ.clear()
    os.environ.update(environ)
