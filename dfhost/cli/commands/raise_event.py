"""`dfhost raise ID EVENT`: an external event for one instance."""

from __future__ import annotations

import argparse
from shlex import quote

from dfhost.cli.client import host_address, instance_ids
from dfhost.cli.client.management_client import open_client
from dfhost.cli.exit_codes import DONE, MISTAKE, NotDone
from dfhost.cli.payload import read_json
from dfhost.cli.style import printable, printable_json
from dfhost.did_you_mean import nearest
from dfhost.runtime_status import FINAL_STATUSES

DESCRIPTION = """\
Raise an external event for an instance. A name that is nearly one that the instance waits for is refused, unless
--force is given: such an event would be kept, and nothing would ever wait for it.

examples:
  dfhost raise 1f0c6a3e Approval --data '{"by": "Ada"}'
  dfhost raise order-17 Paid
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    instance_ids.add_argument(parser, acting=True)
    parser.add_argument("event", metavar="EVENT", help="its name, in the case in which it is waited for")
    parser.add_argument(
        "--data", "--input", metavar="JSON", help="JSON, @FILE, or @- for stdin (default: null)"
    )
    parser.add_argument("--force", action="store_true", help="raise it whatever the instance waits for")
    parser.add_argument("--json", action="store_true", help="print what was raised as JSON")
    host_address.add_arguments(parser)
    parser.set_defaults(value_option=lambda _: "--data")


def run(options: argparse.Namespace) -> int:
    data = read_json("--data", options.data)
    client, [text] = open_client(options, options.id)
    instance = instance_ids.find_instance(client, text, acting=True)
    instance_id = str(instance["instanceId"])
    waits = None
    if not options.force and instance["runtimeStatus"] not in FINAL_STATUSES:
        waits = client.awaited_events(instance_id)
        _refuse_if_meant_otherwise(options.event, instance_id, waits or {})
    client.raise_event(instance_id, options.event, data or "null")
    if options.json:
        print(printable_json({"instanceId": instance_id, "event": options.event}))
        return DONE
    later = "." if waits is None else _later(options.event, instance_id, waits)
    print(f"Raised {printable(options.event)} for {printable(instance_id + later)}")
    return DONE


def _refuse_if_meant_otherwise(event: str, instance_id: str, waits: dict[str, list[str]]) -> None:
    """NotDone if another event, or another instance, was probably meant."""
    undone = "Nothing was raised; --force does it anyway."
    if near := _meant(event, waits.get(instance_id, [])):
        sentence = f"{instance_id} waits for '{near}', not for '{event}'."
        raise NotDone(MISTAKE, f"{printable(sentence)} {undone}")
    if child := _waiting_child(event, instance_id, waits):
        sentence = f"{instance_id} does not wait for '{event}', but its sub-orchestration {child} does"
        command = f"dfhost raise {quote(child)} {quote(event)}"
        raise NotDone(MISTAKE, f"{printable(f'{sentence}: `{command}`.')} {undone}")


def _later(event: str, instance_id: str, waits: dict[str, list[str]]) -> str:
    """The rest of the sentence: whether the instance waits for the event."""
    if event in waits[instance_id]:
        return "."
    others = ", but for " + ", ".join(dict.fromkeys(waits[instance_id])) if waits[instance_id] else ""
    return f", which does not wait for it yet{others}."


def _waiting_child(event: str, instance_id: str, waits: dict[str, list[str]]) -> str:
    """The first of its sub-orchestrations that waits for the event, "" if none does or the instance itself does."""
    waiting = [each for each, names in waits.items() if event in names]
    return "" if instance_id in waiting else next(iter(waiting), "")


def _meant(name: str, awaited: list[str]) -> str:
    """The awaited name that `name` probably is, "" if it is one or like none."""
    return "" if name in awaited else next(iter(nearest(name, awaited)), "")
