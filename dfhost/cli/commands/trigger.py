"""`dfhost trigger NAME`: runs a function that has a timer, a queue or another trigger, as its trigger would."""

from __future__ import annotations

import argparse

from dfhost.cli.client import host_address
from dfhost.cli.client.function_names import check_triggered
from dfhost.cli.client.management_client import open_client
from dfhost.cli.exit_codes import DONE
from dfhost.cli.payload import read_bytes
from dfhost.cli.style import printable, printable_json
from dfhost.errors import HostError

DESCRIPTION = """\
Run a function that has a timer, queue, blob or other trigger once, as if its trigger had fired. dfhost polls no
queues, so this stands in for a message. It returns when the call has begun; the host's console shows how it ends.

examples:
  dfhost trigger on_order --input '{"id": 7}'
  dfhost trigger nightly
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("function", metavar="NAME", help="of the function")
    parser.add_argument(
        "--input",
        "--data",
        metavar="TEXT",
        default="",
        help="the message as it is, of a blob its content or file:PATH; @FILE, or @- for stdin (default: empty)",
    )
    parser.add_argument("--json", action="store_true", help="print what was run as JSON")
    host_address.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    try:
        text = read_bytes("--input", options.input).decode()
    except UnicodeDecodeError:
        raise HostError("--input is not UTF-8 text. For a blob, file:PATH sends a file as it is.") from None
    client, _ = open_client(options)
    check_triggered(options.function, client.functions())
    client.trigger(options.function, text)
    if options.json:
        print(printable_json({"function": options.function, "input": text}))
    else:
        print(f"{printable(options.function)} runs. The host's console, or `dfhost logs`, shows how it ends.")
    return DONE
