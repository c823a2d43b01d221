"""`dfhost signal ENTITY OPERATION`: one operation for an entity, without waiting for it."""

from __future__ import annotations

import argparse

from dfhost.cli.client import host_address
from dfhost.cli.client.function_names import check_entity
from dfhost.cli.client.management_client import open_client
from dfhost.cli.exit_codes import DONE
from dfhost.cli.payload import read_json
from dfhost.cli.style import printable, printable_json

DESCRIPTION = """\
Signal an entity. The operation is queued; `dfhost show @counter@total` has the state after it has run.

examples:
  dfhost signal @counter@total add --input 5
  dfhost signal counter@total reset
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("entity", metavar="ENTITY", type=_entity, help="@NAME@KEY, as lists show it")
    parser.add_argument("operation", metavar="OPERATION")
    parser.add_argument(
        "--input", "--data", metavar="JSON", help="JSON, @FILE, or @- for stdin (default: none)"
    )
    parser.add_argument("--json", action="store_true", help="print what was sent as JSON")
    host_address.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    given = read_json("--input", options.input)
    client, _ = open_client(options)
    name, key = options.entity
    check_entity(name, client.functions())
    client.signal(name, key, options.operation, given)
    entity_id = f"@{name.lower()}@{key}"
    if options.json:
        print(printable_json({"instanceId": entity_id, "operation": options.operation}))
    else:
        print(f"Signalled {printable(options.operation)} to {printable(entity_id)}.")
    return DONE


def _entity(text: str) -> tuple[str, str]:
    name, at, key = text.removeprefix("@").partition("@")
    if name and at:
        return name, key
    raise argparse.ArgumentTypeError(
        f"'{text}' is not an entity; write @NAME@KEY, for example @counter@total"
    )
