"""`dfhost restart ID`: the same orchestrator with the same input, from the beginning."""

from __future__ import annotations

import argparse

from dfhost.cli.client import host_address, instance_ids
from dfhost.cli.client.management_client import open_client
from dfhost.cli.exit_codes import DONE
from dfhost.cli.style import printable, printable_json

DESCRIPTION = """\
Start an instance anew with its first input, as a new instance or in place of the old one.

examples:
  dfhost restart 1f0c6a3e
  dfhost restart order-17 --same-id
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    instance_ids.add_argument(parser, acting=True)
    parser.add_argument("--same-id", action="store_true", help="replace the instance, which must have ended")
    parser.add_argument("--json", action="store_true", help="print the new instance's links as JSON")
    host_address.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    client, [text] = open_client(options, options.id)
    instance_id = instance_ids.find_id(client, text, acting=True)
    links = client.restart(instance_id, new_id=not options.same_id)
    if options.json:
        print(printable_json(links))
    else:
        print(printable(str(links["id"])))
    return DONE
