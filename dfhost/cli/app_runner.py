"""Which runner `start` and `run` give to the host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dfhost.errors import HostError
from dfhost.host_log import HostLog
from dfhost.runner.app_runner import AppRunner
from dfhost.settings import Settings


def app_runner(
    root: Path, settings: Settings, log: HostLog, on_failure: Callable[[HostError], None]
) -> AppRunner:
    """For the app in the folder `root`. `on_failure`: see `Host`."""
    from dfhost.app.in_process import InProcessRunner

    return InProcessRunner(root, log, only=settings.functions, on_failure=on_failure)
