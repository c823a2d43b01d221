"""The runner that `start` and `run` give to the host, and where the app's output goes."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from dfhost.app_output import AppLogLevels, AppOutput
from dfhost.cli.arguments import MAX_WORKERS
from dfhost.cli.console.console import Console
from dfhost.errors import HostError, SettingsError
from dfhost.host_log import HostLog
from dfhost.runner.app_runner import AppRunner
from dfhost.settings import Settings

if TYPE_CHECKING:
    from dfhost.worker.process import WorkerOptions

_COUNT = "FUNCTIONS_WORKER_PROCESS_COUNT"
_ARGUMENTS = "languageWorkers__python__arguments"  # set by VS Code's extension and read by Core Tools
MakeRunner = Callable[[HostLog, Callable[[HostError], None]], AppRunner]


@contextmanager
def app_runner(
    options: argparse.Namespace, root: Path, settings: Settings, console: Console
) -> Iterator[MakeRunner]:
    """Makes the runner for the app in the folder `root`; its arguments are the log, and `on_failure` of `Host`.

    Meanwhile what the app prints and logs goes to `console`.
    """
    count = _worker_count(options)
    with AppOutput(console, AppLogLevels(settings.log_levels, options.verbose, options.quiet)):
        if count:
            yield _make_workers(options, root, settings, console, count)
        else:
            yield lambda log, on_failure: _in_process(root, settings, log, on_failure)


def _make_workers(
    options: argparse.Namespace, root: Path, settings: Settings, console: Console, count: int
) -> MakeRunner:
    from dfhost.worker.runner import WorkerRunner

    of_workers = worker_options(options, root, settings)
    timeout = settings.function_timeout
    if _is_debugged(options):  # it has one port, and a person takes longer than functions may
        count, timeout = 1, None
    if "--wait-for-client" in of_workers.python_arguments:
        sentence = "The app waits for a debugger to attach."
        if not getattr(options, "no_reload", True):
            sentence += " Changes of its files count when dfhost is started again."
        console.note(sentence)
    return lambda log, on_failure: WorkerRunner(of_workers, log, console, count=count, timeout=timeout)


def worker_options(options: argparse.Namespace, root: Path, settings: Settings) -> WorkerOptions:
    from dfhost.worker.process import WorkerOptions

    return WorkerOptions(
        root,
        only=sorted(settings.functions),
        log_levels=dict(settings.log_levels),
        verbose=options.verbose,
        quiet=options.quiet,
        python_arguments=_python_arguments(options),
    )


def reloads(options: argparse.Namespace) -> bool:
    """Whether `start` loads the app again when its files change. A debugger would lose its process."""
    return not options.no_reload and _worker_count(options) > 0 and not _is_debugged(options)


def checks_histories(options: argparse.Namespace) -> bool:
    """Whether the start replays waiting instances to see if the code fits them.

    Not where a debugger has its breakpoints: they would stop in instances that nobody has asked for.
    """
    return _worker_count(options) > 0 and not _is_debugged(options)


def _in_process(
    root: Path, settings: Settings, log: HostLog, on_failure: Callable[[HostError], None]
) -> AppRunner:
    from dfhost.app.in_process import InProcessRunner

    return InProcessRunner(root, log, only=settings.functions, on_failure=on_failure)


def _is_debugged(options: argparse.Namespace) -> bool:
    return "debugpy" in _python_arguments(options)


def _python_arguments(options: argparse.Namespace) -> list[str]:
    """What comes before the worker's script: a debugger, if one is asked for."""
    port = getattr(options, "debug", None)
    if port is None:
        try:
            return shlex.split(text := os.environ.get(_ARGUMENTS, ""))
        except ValueError as error:
            raise SettingsError(f"{_ARGUMENTS} is {text!r}, which cannot be read: {error}.") from None
    if find_spec("debugpy") is None:
        raise HostError(f"--debug needs debugpy beside dfhost: {sys.executable} -m pip install debugpy")
    listen = ["-m", "debugpy", "--listen", f"127.0.0.1:{port}", "--wait-for-client"]
    return ["-Xfrozen_modules=off", *listen]


def _worker_count(options: argparse.Namespace) -> int:
    """0 for none: the app runs in this process."""
    if options.in_process:
        return 0
    if options.workers:
        return int(options.workers)
    if getattr(options, "debug", None) is not None:
        return 1
    text = os.environ.get(_COUNT) or "1"
    if text.isdecimal() and 1 <= int(text) <= MAX_WORKERS:
        return int(text)
    raise SettingsError(f"{_COUNT} is '{text}'; it has to be a number from 1 to {MAX_WORKERS}.")
