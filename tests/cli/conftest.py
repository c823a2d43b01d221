"""The command in the test's own process, where its text is what a test looks at: 0.7 s of CPU less than a new one."""

from __future__ import annotations

import gc
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dfhost.cli import main

Dfhost = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def dfhost_here(capfd: pytest.CaptureFixture[str]) -> Iterator[Dfhost]:
    """`run_dfhost` without a process; the environment and the garbage collector's settings are restored."""
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
