"""The command line: `start`, `run`, `explain`. Words in, words and an exit code out.

This module owns the arguments and the sentences about mistakes; each command is a module of its own, imported
when it is asked for, so that `dfhost --help` costs nothing. What is true of the app and of the task hub is
decided elsewhere: here it is only told.

Exit codes: 0 done; 1 the run did not complete, or the host could not answer; 2 something a person has to put
right first; 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dfhost.errors import HostError

_START = """\
Serve the function app in a folder, as `func start` does, until ctrl-C. Everything that happens is kept in one
SQLite file: stop it, kill it, start it again, and what was under way goes on.

examples:
  dfhost start                              the app in this folder, on http://localhost:7071
  dfhost start ../shop --port 8080 --memory another one, keeping nothing
"""

_RUN = """\
Start the app, call one of its routes, follow the orchestration that it starts, and print its output as JSON.
Only the output goes to stdout, so it can be piped; progress and failures go to stderr.

examples:
  dfhost run POST /api/start-fanout
  dfhost run POST /api/start-map --data @items.json --timeout 60 | jq '.results[0]'

exit code: 0 if the orchestration completed (or, if the route starts none, the answer was 2xx); 1 if it
failed, was terminated or took too long; 2 for a mistake in the command or the app.
"""

_EXPLAIN = """\
Say in words what an instance of a running host waits for, since when, and what holds it up.

examples:
  dfhost explain 1f0c6a3e9b1d4f4f8d7c2a5b6e7f8091
  dfhost explain order-17 --url http://localhost:8080 --json
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. Mistakes become one sentence on stderr, never a traceback of ours."""
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
        # The user's own traceback, when the app cannot even be imported, says more than any sentence.
        sys.stderr.write(getattr(error, "traceback", ""))
        print(f"dfhost: {error}", file=sys.stderr)
        return 2


class _Version(argparse.Action):
    """Looks the version up when asked: that takes longer than all the rest."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        import platform
        from importlib.metadata import version

        versions = [f"{name} {version(name)}" for name in ("dfhost", "azure-functions-durable")]
        print(", ".join([*versions, f"Python {platform.python_version()}"]))
        parser.exit()


class _Command(argparse.ArgumentParser):
    """Complains of unknown options itself, so that its own usage is shown and not that of `dfhost`."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        options, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return options, unknown


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dfhost",
        description="The local durable host for Azure Durable Functions in Python.",
        epilog="`dfhost COMMAND --help` says more, with examples.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the versions and leave")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Command)

    start = _command(commands, "start", "serve a function app until ctrl-C", _START)
    start.add_argument(
        "folder", nargs="?", type=Path, default=Path(), help="the app's folder (default: here)"
    )
    start.add_argument(
        "--port", "-p", type=_port, help="default: Host.LocalHttpPort of local.settings.json, or 7071"
    )
    start.add_argument("--address", help="the IP address to listen on (default: 127.0.0.1)")
    _database(start, "default: .dfhost/HUB.db in the folder")
    _talk(start, quiet="show failures, warnings and what the app prints, not every call")

    run = _command(commands, "run", "run one orchestration from start to end", _RUN)
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
    run.add_argument("--timeout", metavar="S", type=_seconds, help="give up after so many seconds")
    run.add_argument(
        "--app", metavar="FOLDER", type=Path, default=Path(), help="the app's folder (default: here)"
    )
    _database(run, "default: a temporary one; with FILE, what does not end goes on at the next start")
    _talk(run, quiet="show failures, warnings and what the app prints, no progress")

    explain = _command(commands, "explain", "say what an instance waits for", _EXPLAIN)
    explain.add_argument("id", metavar="ID", help="the instance's id, or its status URL")
    explain.add_argument(
        "--url", type=_url, default="http://localhost:7071", help="the running host (default: %(default)s)"
    )
    explain.add_argument("--json", action="store_true", help="print the host's answer as it is")
    return parser


def _command(
    commands: argparse._SubParsersAction[_Command], name: str, short: str, long: str
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name, help=short, description=long, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def _database(parser: argparse.ArgumentParser, default: str) -> None:
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--db", metavar="FILE", type=Path, help=f"the database file ({default})")
    where.add_argument("--memory", action="store_true", help="keep everything in memory, for this time only")


def _talk(parser: argparse.ArgumentParser, quiet: str) -> None:
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--verbose", "-v", action="store_true", help="every call, and the app's debug logs")
    how.add_argument("--quiet", "-q", action="store_true", help=quiet)


# What a ValueError would say is lost in argparse; its own error type keeps the sentence.
def _port(text: str) -> int:
    if text.isdecimal() and int(text) < 65536:
        return int(text)
    raise argparse.ArgumentTypeError(
        f"'{text}' is no port; it is a number from 1 to 65535, or 0 for any free one"
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if 0 < seconds < 1e9:
        return seconds
    raise argparse.ArgumentTypeError(f"'{text}' is no number of seconds above 0")


_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))  # what a route can take


def _method(text: str) -> str:
    if text.upper() in _METHODS:
        return text.upper()
    raise argparse.ArgumentTypeError(f"'{text}' is no HTTP method; METHOD comes first, then PATH")


def _path(text: str) -> str:
    if "://" in text.split("?")[0]:
        raise argparse.ArgumentTypeError(
            f"'{text}' is a whole URL; give its path only, e.g. /api/start-fanout"
        )
    return text if text.startswith("/") else f"/{text}"


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if colon and name.strip() and not set("\r\n") & set(text):
        return name.strip(), value.strip()
    raise argparse.ArgumentTypeError(f"'{text}' is no header; it is written NAME:VALUE")


def _url(text: str) -> str:
    if text.startswith(("http://", "https://")):
        return text.rstrip("/")
    raise argparse.ArgumentTypeError(f"'{text}' is no URL; it begins with http://")
