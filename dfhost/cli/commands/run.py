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
from pathlib import Path

from dfhost.cli import arguments
from dfhost.cli.app_folder import existing_parent, open_folder, working_in
from dfhost.cli.app_runner import app_runner
from dfhost.cli.console import Console
from dfhost.cli.first_request import read_request

DESCRIPTION = """\
Start the app, call one of its routes, follow the orchestration that the route starts, and print its output as
JSON. Only the output goes to stdout, so it can be piped. Progress and failures go to stderr.

examples:
  dfhost run POST /api/start-fanout
  dfhost run POST /api/start-map --data @items.json --timeout 60 | jq '.results[0]'

exit code: 0 if the orchestration completed, or if the route starts none and answers 2xx; 1 if it failed, was
terminated or took too long; 2 for a mistake in the command or the app.
"""

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))  # those a route can have


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("method", metavar="METHOD", type=_method, help="GET, POST, ...")
    parser.add_argument("path", metavar="PATH", type=_path, help="the route, e.g. /api/start-fanout")
    parser.add_argument("--data", metavar="JSON", help="the request's body: JSON, @FILE, or @- for stdin")
    parser.add_argument(
        "--header",
        "-H",
        metavar="NAME:VALUE",
        type=_header,
        action="append",
        default=[],
        help="may be repeated",
    )
    parser.add_argument("--timeout", metavar="S", type=arguments.seconds, help="give up after S seconds")
    parser.add_argument(
        "--app", metavar="FOLDER", type=Path, default=Path(), help="the app's folder (default: here)"
    )
    arguments.add_database(
        parser, "default: a temporary one; with FILE, an unfinished run continues at the next start"
    )
    arguments.add_replay(parser)
    arguments.add_workers(parser)
    arguments.add_verbosity(parser, quiet="show failures, warnings and what the app prints, but no progress")


def run(options: argparse.Namespace) -> int:
    """0 for Completed, or for a 2xx response that starts nothing; 1 otherwise. Raises HostError."""
    request = read_request(options)
    root, settings = open_folder(options.app, replay_always=options.replay == "always")
    database = existing_parent(options.db) if options.db else None
    with _reserved_stdout() as stdout:
        console = Console(sys.stderr, verbose=options.verbose, calls=options.verbose)
        with console, app_runner(options, root, settings, console) as make_runner, working_in(root):
            # By far the slowest import, so mistakes in the arguments and the settings are reported before it.
            from dfhost.cli.runner import run_to_end

            code, output = asyncio.run(
                run_to_end(request, make_runner, settings, database, console, options.timeout, options.quiet)
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


def _method(text: str) -> str:
    if text.upper() in _METHODS:
        return text.upper()
    raise argparse.ArgumentTypeError(f"'{text}' is not an HTTP method; METHOD comes first, then PATH")


def _path(text: str) -> str:
    if "://" in text.split("?")[0]:
        raise argparse.ArgumentTypeError(
            f"'{text}' is a whole URL; give only its path, e.g. /api/start-fanout"
        )
    return text if text.startswith("/") else f"/{text}"


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if colon and name.strip() and not set("\r\n") & set(text):
        return name.strip(), value.strip()
    raise argparse.ArgumentTypeError(f"'{text}' is not a header; write NAME:VALUE")
