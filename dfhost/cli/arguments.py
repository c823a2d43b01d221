"""The types of arguments that several commands take: a text in, a value or a sentence about the mistake out."""

from __future__ import annotations

# argparse drops the text of a ValueError; only its own error type keeps the sentence.
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path

MAX_WORKERS = 10  # as on Azure
DEBUG_PORT = 9091  # what VS Code's Azure Functions extension has in its launch.json


def port(text: str) -> int:
    if text.isdecimal() and int(text) < 65536:
        return int(text)
    raise ArgumentTypeError(f"'{text}' is not a port; give a number from 1 to 65535, or 0 for any free port")


def seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if 0 < number < 1e9:
        return number
    raise ArgumentTypeError(f"'{text}' is not a number of seconds above 0")


def workers(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= MAX_WORKERS:
        return int(text)
    raise ArgumentTypeError(
        f"'{text}' is not a number of workers; give one from 1 to {MAX_WORKERS}, or --in-process for none"
    )


def url(text: str) -> str:
    if text.startswith(("http://", "https://")):
        return text.rstrip("/")
    if "://" in text:
        raise ArgumentTypeError(f"'{text}' is not a URL; a URL begins with http://")
    scheme = "http" if text.startswith(("localhost", "127.0.0.1", "[::1]")) else "https"
    raise ArgumentTypeError(f"'{text}' is not a URL; write {scheme}://{text}")


def above_zero(text: str) -> int:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise ArgumentTypeError(f"'{text}' is not a number above 0")


# -- of the commands that are a host ------------------------------------------------------------------------------
def add_database(parser: ArgumentParser, default: str) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--db", metavar="FILE", type=Path, help=f"the database file ({default})")
    group.add_argument(
        "--memory", action="store_true", help="keep everything in memory: nothing outlives the process"
    )


def add_replay(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--replay",
        choices=("auto", "always"),
        default="auto",
        help="always: replay the whole history in every episode, as Azure does; slow when it is long (default: auto)",
    )


def add_workers(parser: ArgumentParser, *, debug: bool = False) -> None:
    """`debug`: the command has `--debug` as well."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--workers",
        metavar="N",
        type=workers,
        help="run the app in N worker processes (default: the app setting FUNCTIONS_WORKER_PROCESS_COUNT, or 1)",
    )
    group.add_argument(
        "--in-process",
        action="store_true",
        help="run the app in the host's own process, whatever the setting says: for breakpoint(), or to save memory",
    )
    if debug:
        group.add_argument(
            "--debug",
            metavar="PORT",
            type=port,
            nargs="?",
            const=DEBUG_PORT,
            help="run the app in one worker, which waits for a debugger at PORT "
            f"(default: {DEBUG_PORT}, as in VS Code)",
        )


def add_reload(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--no-reload", action="store_true", help="do not load the app again when its files change"
    )


def add_verbosity(parser: ArgumentParser, quiet: str) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--verbose", "-v", action="store_true", help="show every call, and the app's debug logs"
    )
    group.add_argument("--quiet", "-q", action="store_true", help=quiet)
