"""`dfhost run METHOD PATH`: start an app, call one route, and print the output of the orchestration it starts.

Owns the process around that call: the settings, the working directory and the streams. Only the output goes to
stdout. Whatever the app, its libraries and its child processes print goes to stderr. `runner` makes the call.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from dfhost.app_output import AppLogLevels, AppOutput
from dfhost.cli.app_folder import existing_parent, open_folder, working_in
from dfhost.cli.console import Console
from dfhost.cli.run_request import read_request


def run(options: argparse.Namespace) -> int:
    """0 for Completed, or for a 2xx response that starts nothing; 1 otherwise. Raises HostError."""
    request = read_request(options)
    root, settings = open_folder(options.app, replay_always=options.replay == "always")
    database = existing_parent(options.db) if options.db else None
    with _reserved_stdout() as stdout:
        console = Console(sys.stderr, verbose=options.verbose, calls=options.verbose)
        app_output = AppOutput(console, AppLogLevels(settings.log_levels, options.verbose, options.quiet))
        with console, app_output, working_in(root):
            # By far the slowest import, so mistakes in the arguments and the settings are reported before it.
            from dfhost.cli.runner import run_request

            code, output = asyncio.run(
                run_request(request, root, settings, database, console, options.timeout, options.quiet)
            )
        with suppress(BrokenPipeError):  # `dfhost run ... | head -1`
            while output:
                output = output[os.write(stdout, output) :]
    return code


@contextmanager
def _reserved_stdout() -> Iterator[int]:
    """A descriptor of the real stdout. Meanwhile descriptor 1 leads to stderr, for child processes too."""
    sys.stdout.flush()
    real_stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        yield real_stdout
    finally:
        sys.stdout.flush()
        os.dup2(real_stdout, 1)
        os.close(real_stdout)
