"""The command line: `start`, `run`, `explain`.

This module owns the arguments and the sentences about mistakes in them. Each command is a module of its own and is
imported only when it runs, so that `dfhost --help` is fast.

Exit codes: 0 done; 1 the run did not complete, or the host could not answer; 2 a mistake that a person has to
correct first; 3 the database file was deleted or replaced while the host was running; 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dfhost.cli.style import printable_lines
from dfhost.errors import DatabaseLost, HostError

_START = """\
Serve the function app in a folder, as `func start` does, until ctrl-C. All state is kept in one SQLite file:
after a stop or a crash, running instances continue at the next start.

examples:
  dfhost start                              the app in this folder, on http://localhost:7071
  dfhost start ../shop --port 8080 --memory another app, with nothing kept on disk
"""

_RUN = """\
Start the app, call one of its routes, follow the orchestration that the route starts, and print its output as
JSON. Only the output goes to stdout, so it can be piped. Progress and failures go to stderr.

examples:
  dfhost run POST /api/start-fanout
  dfhost run POST /api/start-map --data @items.json --timeout 60 | jq '.results[0]'

exit code: 0 if the orchestration completed, or if the route starts none and answers 2xx; 1 if it failed, was
terminated or took too long; 2 for a mistake in the command or the app.
"""

_EXPLAIN = """\
Ask a running host what an instance waits for, since when, and what holds it up.

examples:
  dfhost explain 1f0c6a3e9b1d4f4f8d7c2a5b6e7f8091
  dfhost explain order-17 --url http://localhost:8080 --json
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code. A mistake becomes one sentence on stderr, not a traceback."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "start":
            from dfhost.cli.start import start

            return start(options)
        if options.command == "run":
            from dfhost.cli.run import run

            return run(options)
        from dfhost.cli.explain import explain

        return explain(options)
    except KeyboardInterrupt:
        return 130
    except HostError as error:
        # When the app cannot be imported, its own traceback says more than our sentence.
        sys.stderr.write(getattr(error, "traceback", ""))
        print(f"dfhost: {printable_lines(str(error))}", file=sys.stderr)
        return 3 if isinstance(error, DatabaseLost) else 2


class _VersionAction(argparse.Action):
    """Looks the versions up only for --version: that takes longer than everything else here."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        import platform
        from importlib.metadata import version

        versions = [f"{name} {version(name)}" for name in ("dfhost", "azure-functions-durable")]
        print(", ".join([*versions, f"Python {platform.python_version()}"]))
        parser.exit()


class _CommandParser(argparse.ArgumentParser):
    """Reports unknown options itself, so that the command's usage is shown and not that of `dfhost`."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        options, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return options, unknown


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dfhost",
        description="The local durable host for Azure Durable Functions in Python.",
        epilog="`dfhost COMMAND --help` shows its options and examples.",
    )
    parser.add_argument("--version", action=_VersionAction, nargs=0, help="print the versions and exit")
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, parser_class=_CommandParser
    )

    start = _add_command(commands, "start", "serve a function app until ctrl-C", _START)
    start.add_argument(
        "folder", nargs="?", type=Path, default=Path(), help="the app's folder (default: here)"
    )
    start.add_argument(
        "--port", "-p", type=_port, help="default: Host.LocalHttpPort of local.settings.json, or 7071"
    )
    start.add_argument(
        "--address", help="the IP address to listen on (default: 127.0.0.1; 0.0.0.0: every network)"
    )
    start.add_argument(
        "--allow-host",
        metavar="NAME",
        action="append",
        default=[],
        help="a further name by which clients reach this host, as of a tunnel or a container; may be repeated",
    )
    _add_database(start, "default: .dfhost/HUB.db in the folder")
    _add_replay(start)
    _add_verbosity(start, quiet="show failures, warnings and what the app prints, but no calls")

    run = _add_command(commands, "run", "run one orchestration from start to end", _RUN)
    run.add_argument("method", metavar="METHOD", type=_method, help="GET, POST, ...")
    run.add_argument("path", metavar="PATH", type=_path, help="the route, e.g. /api/start-fanout")
    run.add_argument("--data", metavar="JSON", help="the request's body: JSON, @FILE, or @- for stdin")
    run.add_argument(
        "--header",
        "-H",
        metavar="NAME:VALUE",
        type=_header,
        action="append",
        default=[],
        help="may be repeated",
    )
    run.add_argument("--timeout", metavar="S", type=_seconds, help="give up after S seconds")
    run.add_argument(
        "--app", metavar="FOLDER", type=Path, default=Path(), help="the app's folder (default: here)"
    )
    _add_database(run, "default: a temporary one; with FILE, an unfinished run continues at the next start")
    _add_replay(run)
    _add_verbosity(run, quiet="show failures, warnings and what the app prints, but no progress")

    explain = _add_command(commands, "explain", "explain what an instance waits for", _EXPLAIN)
    explain.add_argument("id", metavar="ID", help="the instance's id, or its status URL")
    explain.add_argument(
        "--url",
        type=_url,
        help="the running host (default: on localhost, at Host.LocalHttpPort of local.settings.json here, or 7071)",
    )
    explain.add_argument("--json", action="store_true", help="print the host's answer as JSON")
    return parser


def _add_command(
    commands: argparse._SubParsersAction[_CommandParser], name: str, short: str, long: str
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name, help=short, description=long, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def _add_database(parser: argparse.ArgumentParser, default: str) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--db", metavar="FILE", type=Path, help=f"the database file ({default})")
    group.add_argument(
        "--memory", action="store_true", help="keep everything in memory: nothing outlives the process"
    )


def _add_replay(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--replay",
        choices=("auto", "always"),
        default="auto",
        help="always: replay the whole history in every episode, as Azure does; slow when it is long (default: auto)",
    )


def _add_verbosity(parser: argparse.ArgumentParser, quiet: str) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--verbose", "-v", action="store_true", help="show every call, and the app's debug logs"
    )
    group.add_argument("--quiet", "-q", action="store_true", help=quiet)


# argparse drops the text of a ValueError; only its own error type keeps the sentence.
def _port(text: str) -> int:
    if text.isdecimal() and int(text) < 65536:
        return int(text)
    raise argparse.ArgumentTypeError(
        f"'{text}' is not a port; give a number from 1 to 65535, or 0 for any free port"
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if 0 < seconds < 1e9:
        return seconds
    raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds above 0")


_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))  # those a route can have


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


def _url(text: str) -> str:
    if text.startswith(("http://", "https://")):
        return text.rstrip("/")
    raise argparse.ArgumentTypeError(f"'{text}' is not a URL; a URL begins with http://")
