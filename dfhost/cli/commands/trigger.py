"""`dfhost trigger NAME`: runs a function that has a timer, a queue or another trigger, as its trigger would."""

from __future__ import annotations

import argparse
import math
import sys

from dfhost.cli import arguments
from dfhost.cli.client import host_address
from dfhost.cli.client.function_names import check_triggered
from dfhost.cli.client.management_client import open_client
from dfhost.cli.exit_codes import DONE, NOT_COMPLETED, NotDone
from dfhost.cli.payload import read_bytes
from dfhost.cli.style import printable, printable_json, printable_lines
from dfhost.durations import duration
from dfhost.errors import HostError
from dfhost.instance_failure import death_in_words
from dfhost.user_frames import user_frames

DESCRIPTION = """\
Run a function that has a timer, queue, blob or other trigger once, as if its trigger had fired. dfhost tells how the
call ends, Core Tools and Azure only that it begins. A message in a queue is another matter: see `dfhost queue`.

examples:
  dfhost trigger on_order --input '{"id": 7}'
  dfhost trigger nightly --timeout 300

exit code: 0 once it has succeeded, or has begun where the host tells no more; 1 if it failed or took too long.
"""

_LONGEST_WAIT = 999_999  # seconds: the host reads six digits, and a socket's time-out ends at 24 days


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("function", metavar="NAME", help="of the function")
    parser.add_argument(
        "--input",
        "--data",
        metavar="TEXT",
        default="",
        help="the message as it is, of a blob its content or file:PATH; @FILE, or @- for stdin (default: empty)",
    )
    waiting = parser.add_mutually_exclusive_group()
    waiting.add_argument(
        "--timeout",
        metavar="S",
        type=arguments.seconds,
        default=30,
        help="wait at most S seconds (default: 30)",
    )
    waiting.add_argument("--no-wait", action="store_true", help="return when the call has begun")
    parser.add_argument("--json", action="store_true", help="print what was run, and how it ended, as JSON")
    host_address.add_arguments(parser)
    parser.set_defaults(value_option=lambda _: "--input")


def run(options: argparse.Namespace) -> int:
    try:
        text = read_bytes("--input", options.input).decode()
    except UnicodeDecodeError:
        raise HostError("--input is not UTF-8 text. For a blob, file:PATH sends a file as it is.") from None
    client, _ = open_client(options)
    check_triggered(options.function, client.functions())
    wait = 0 if options.no_wait else min(math.ceil(options.timeout), _LONGEST_WAIT)
    end, name = client.trigger(options.function, text, wait), printable(options.function)
    if end == {}:
        raise NotDone(
            NOT_COMPLETED,
            f"{name} has not ended after {duration(wait)}. It goes on; the host's log shows its end.",
        )
    if options.json:
        print(printable_json({"function": options.function, "input": text, **(end or {"succeeded": None})}))
    elif end is None:
        told = "" if options.no_wait else f"{client.place} does not tell how it ends. "
        print(f"{name} runs. {told}The host's log shows its end.")
    elif end["succeeded"]:
        print(f"{name} has succeeded.")
    else:
        failure = f"{name} failed: {death_in_words(end['error'])}\n{user_frames(end['stack'])}"
        print(printable_lines(failure.rstrip()), file=sys.stderr)
    return DONE if end is None or end["succeeded"] else NOT_COMPLETED
