"""`dfhost signal ENTITY OPERATION`: one operation for an entity, without waiting for it."""

from __future__ import annotations

import argparse
import sys
from itertools import islice

from dfhost.cli.client import host_address
from dfhost.cli.client.function_names import check_entity
from dfhost.cli.client.instance_ids import as_stored
from dfhost.cli.client.management_client import ManagementClient, open_client
from dfhost.cli.exit_codes import DONE
from dfhost.cli.payload import read_json
from dfhost.cli.style import printable, printable_json

_SEARCHED = 2000  # entities of the name

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
    parser.set_defaults(value_option=lambda _: "--input")


def run(options: argparse.Namespace) -> int:
    given = read_json("--input", options.input)
    client, _ = open_client(options)
    name, key = options.entity
    check_entity(name, client.functions())
    entity_id = as_stored(f"@{name}@{key}")
    if other := _other_case(client, entity_id):
        print(
            f"{printable(entity_id)} is a new entity. In keys case counts: {printable(other)} is another one.",
            file=sys.stderr,
        )
    client.signal(name, key, options.operation, given)
    if options.json:
        print(printable_json({"instanceId": entity_id, "operation": options.operation}))
    else:
        print(f"Signalled {printable(options.operation)} to {printable(entity_id)}.")
    return DONE


def _other_case(client: ManagementClient, entity_id: str) -> str | None:
    """The entity whose id differs only in case, if there is none of exactly this id."""
    if client.status(entity_id, showInput="false") is not None:
        return None
    name = entity_id.split("@")[1]
    found = (str(each["instanceId"]) for each in client.instances(instanceIdPrefix=f"@{name}@"))
    return next((each for each in islice(found, _SEARCHED) if each.lower() == entity_id.lower()), None)


def _entity(text: str) -> tuple[str, str]:
    name, at, key = text.removeprefix("@").partition("@")
    if name and at:
        return name, key
    raise argparse.ArgumentTypeError(
        f"'{text}' is not an entity; write @NAME@KEY, for example @counter@total"
    )
