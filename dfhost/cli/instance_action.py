"""What suspend, resume, terminate and rewind have in common: one request for each instance that is named."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from dfhost.cli.client import host_address, instance_ids
from dfhost.cli.client.management_client import ManagementClient, open_client
from dfhost.cli.exit_codes import DONE, NotDone
from dfhost.cli.style import printable, printable_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    instance_ids.add_argument(parser, acting=True, nargs="+")
    parser.add_argument("--reason", metavar="TEXT", help="is kept in the history")
    parser.add_argument("--json", action="store_true", help="print what was asked for as JSON")
    host_address.add_arguments(parser)


def run(
    options: argparse.Namespace,
    verb: str,
    done: str,
    check: Callable[[ManagementClient, str], None] | None = None,
) -> int:
    """The exit code is that of the first instance for which it could not be done.

    `done`: the words of success, "is suspended". `check`: raises NotDone if it must not be done to an instance.
    """
    client, ids = open_client(options, *options.id)
    code, answers = DONE, []
    for text in ids:
        try:
            instance_id = instance_ids.find_id(client, text, acting=True)
            if check is not None:
                check(client, instance_id)
            client.act(instance_id, verb, options.reason)
        except NotDone as error:
            if len(ids) == 1:
                raise
            print(f"dfhost: {printable(text)}: {error}", file=sys.stderr)
            code = code or error.exit_code
            continue
        answers.append({"instanceId": instance_id, "requested": verb})
        if not options.json:
            print(f"{printable(instance_id)} {done}.")
    if options.json:
        print(printable_json(answers))
    return code
