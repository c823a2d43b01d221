"""`dfhost run METHOD PATH`: an app started for one call and the orchestration that it starts.

Owns what is around the conversation: the request as the command line gives it, the streams, ctrl-C. stdout
carries the output and nothing else: whatever the app, its libraries or its child processes print goes to
stderr.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from dfhost.cli.app_folder import existing_parent, open_folder, working_in
from dfhost.cli.app_output import AppOutput, app_log_level
from dfhost.cli.console import Console
from dfhost.errors import HostError


class RunRequest(NamedTuple):
    method: str
    path: str  # with the query
    headers: list[tuple[str, str]]
    body: bytes | None


def run(options: argparse.Namespace) -> int:
    """0 for Completed, or for a 2xx answer that starts nothing; 1 otherwise. Raises HostError."""
    headers, body = _content(options.header, options.data)
    request = RunRequest(options.method, options.path, headers, body)
    root, settings = open_folder(options.app)
    database = existing_parent(options.db) if options.db else None
    with _reserved_stdout() as stdout:
        console = Console(sys.stderr, verbose=options.verbose, calls=options.verbose)
        said = AppOutput(console, app_log_level(settings.log_levels, options.verbose, options.quiet))
        with console, said, working_in(root):
            # By far the slowest import: mistakes in the command and the settings are told before it.
            from dfhost.cli.conversation import converse

            code, output = asyncio.run(
                converse(request, root, settings, database, console, options.timeout, options.quiet)
            )
        with suppress(BrokenPipeError):  # `dfhost run ... | head -1`
            while output:
                output = output[os.write(stdout, output) :]
    return code


def _content(headers: list[tuple[str, str]], data: str | None) -> tuple[list[tuple[str, str]], bytes | None]:
    """Headers and body. JSON is checked here, unless a header says that the body is something else."""
    if data is None:
        return headers, None
    if data.startswith("@"):
        try:
            body = sys.stdin.buffer.read() if data == "@-" else Path(data[1:]).read_bytes()
        except OSError as error:
            raise HostError(f"--data {data}: {error.strerror}.") from None
    else:
        body = data.encode(errors="surrogateescape")
    content_type = dict((name.lower(), value) for name, value in headers).get("content-type")
    if content_type is None:
        headers = [*headers, ("Content-Type", "application/json")]
    if content_type is None or "json" in content_type:
        try:
            json.loads(body)
        except ValueError as error:
            raise HostError(
                f"--data is not JSON ({error}). Quote it for the shell; a body of another kind wants "
                "--header Content-Type:text/plain or what it is."
            ) from None
    return headers, body


@contextmanager
def _reserved_stdout() -> Iterator[int]:
    """A descriptor of the real stdout; meanwhile 1 leads to stderr, for child processes too."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield kept
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
