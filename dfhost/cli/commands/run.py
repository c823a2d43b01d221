"""`dfhost run METHOD PATH`: start an app, call one route, and print the output of the orchestration it starts.

Owns the process around that call: the settings, the working directory and the streams. Only the output goes to
stdout. Whatever the app, its libraries and its child processes print goes to stderr. `run_request` makes the call.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dfhost.cli import arguments
from dfhost.cli.console.console import Console
from dfhost.cli.console.counting_log import CountingLog
from dfhost.cli.host.database_file import existing_parent
from dfhost.cli.host.early_refusal import check_can_start
from dfhost.cli.host.first_request import FirstRequest, read_request
from dfhost.cli.host.runner_choice import MakeRunner, app_runner
from dfhost.cli.host.stopping import FatalFailure, exit_at_once, handle_signals
from dfhost.settings import Settings
from dfhost.settings.app_folder import open_folder, working_in

DESCRIPTION = """\
Start the app, start one of its orchestrators or call a route that starts one, follow the orchestration, and print
its output as JSON. Only the output goes to stdout, so it can be piped. Progress and failures go to stderr; with
--verbose every call does. The run has a host and a task hub of its own, so `dfhost list` does not know it.

examples:
  dfhost run fan_out_fan_in_orchestrator --input '{"items": ["a", "b"]}'
  dfhost run POST /api/start-map --data @items.json --timeout 60 | jq '.results[0]'

exit code: 0 if the orchestration completed, or if the route starts none and answers 2xx; 1 if it failed, was
terminated or took too long; 2 for a mistake in the command or the app.
"""

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))  # those a route can have


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The first argument is a METHOD or a NAME, which argparse cannot tell apart: `_check` does."""
    parser.usage = (
        "dfhost run NAME [--input JSON] [options]\n       dfhost run METHOD PATH [--data JSON] [options]"
    )
    parser.set_defaults(usage_error=parser.error, value_option=_value_option)
    parser.add_argument(
        "method", metavar="METHOD, PATH (or NAME)", help="GET, POST, ..., or the name of an orchestrator"
    )
    parser.add_argument(
        "path", metavar="PATH", nargs="?", type=_path, help="the route, e.g. /api/start-fanout"
    )
    parser.add_argument("--input", metavar="JSON", help="of the orchestrator: JSON, @FILE, or @- for stdin")
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
    parser.add_argument("--port", "-p", type=_no_port, help=argparse.SUPPRESS)
    arguments.add_database(
        parser, "default: a temporary one; with FILE, an unfinished run continues at the next start"
    )
    arguments.add_replay(parser)
    arguments.add_workers(parser)
    arguments.add_verbosity(
        parser,
        quiet="show failures, warnings and what is printed; no progress, no other log records",
    )


def run(options: argparse.Namespace) -> int:
    """0 for Completed, or for a 2xx response that starts nothing; 1 otherwise. Raises HostError."""
    _check(options)
    request = read_request(options)
    root, settings = open_folder(options.app, replay_always=options.replay == "always")
    database = existing_parent(options.db) if options.db else None
    check_can_start(database, "127.0.0.1", 0)
    with _reserved_stdout() as stdout:
        console = Console(sys.stderr, verbose=options.verbose, calls=options.verbose, others_reach_host=False)
        with console, app_runner(options, root, settings, console) as make_runner, working_in(root):
            code, output = asyncio.run(_run(options, request, make_runner, settings, database, console))
        with suppress(BrokenPipeError):  # `dfhost run ... | head -1`
            while output:
                output = output[os.write(stdout, output) :]
    return code


async def _run(
    options: argparse.Namespace,
    request: FirstRequest,
    make_runner: MakeRunner,
    settings: Settings,
    database: Path | None,
    console: Console,
) -> tuple[int, bytes]:
    handle_signals(exit_at_once, signal.SIGINT)
    failure = FatalFailure()
    log = CountingLog(console, calls=console.verbose)
    runner = make_runner(log, failure.report)  # workers load the app while the host is imported
    # By far the slowest import: mistakes in the arguments and the settings are reported before it.
    from dfhost.cli.host.run_request import run_to_end

    return await run_to_end(
        request, runner, settings, database, console, log, failure, options.timeout, options.quiet
    )


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


def _value_option(options: argparse.Namespace) -> str:
    return "--data" if str(options.method).upper() in _METHODS else "--input"


def _check(options: argparse.Namespace) -> None:
    """SystemExit with the usage if the arguments are neither a route nor an orchestrator."""
    first = options.method
    is_method = first.upper() in _METHODS
    if options.path is None and is_method:
        options.usage_error(f"PATH is missing: which route is called with {first}?")
    if (options.path is not None or "/" in first) and not is_method:
        or_input = "" if "/" in first else ". If it is an orchestrator, its input is given with --input"
        options.usage_error(f"'{first}' is not an HTTP method; METHOD comes first, then PATH{or_input}")
    if options.path is None and (options.data is not None or options.header):
        options.usage_error("--data and --header are of a route; the input of an orchestrator is --input")
    if options.path is not None and options.input is not None:
        options.usage_error("--input is of an orchestrator; the body for a route is --data")
    options.method = first.upper() if is_method else first


def _path(text: str) -> str:
    if "://" in text.split("?")[0]:
        raise argparse.ArgumentTypeError(
            f"'{text}' is a whole URL; give only its path, e.g. /api/start-fanout"
        )
    return text if text.startswith("/") else f"/{text}"


def _no_port(text: str) -> str:
    raise argparse.ArgumentTypeError(
        "a run takes any free port; `dfhost start --port` listens at the one that you choose"
    )


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if colon and name.strip() and not set("\r\n") & set(text):
        return name.strip(), value.strip()
    raise argparse.ArgumentTypeError(f"'{text}' is not a header; write NAME:VALUE")
