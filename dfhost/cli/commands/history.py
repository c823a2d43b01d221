"""`dfhost history ID`: the history events of an instance, one a line."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from dfhost.cli import watching
from dfhost.cli.client import host_address, instance_ids
from dfhost.cli.client.management_client import open_client
from dfhost.cli.exit_codes import DONE
from dfhost.cli.style import Style, printable_json, text_of
from dfhost.cli.views.tables import table_lines
from dfhost.runtime_status import FINAL_STATUSES
from dfhost.timeline.sentences import brief
from dfhost.timestamps import parse_timestamp

DESCRIPTION = """\
Print the history of an instance as the extension shows it: a completion stands in place of what it completes.

examples:
  dfhost history 1f0c6a3e
  dfhost history order-17 --json | jq '.[].EventType'
"""

_LONGEST = 200  # characters of the details


def add_arguments(parser: argparse.ArgumentParser) -> None:
    instance_ids.add_argument(parser)
    watching.add_argument(parser, until="the instance has ended")
    parser.add_argument("--json", action="store_true", help="print the events as the management API has them")
    host_address.add_arguments(parser, reads=True)


def run(options: argparse.Namespace) -> int:
    client, [text] = open_client(options, options.id)
    instance_id = instance_ids.find_id(client, text)

    def render() -> tuple[str, bool]:
        status = (
            client.status(instance_id, showInput="true", showHistory="true", showHistoryOutput="true") or {}
        )
        events = status.get("historyEvents") or []
        ended = status.get("runtimeStatus") in FINAL_STATUSES
        if options.json:
            return printable_json(events), ended
        rows = [_row(number, event) for number, event in enumerate(events, 1)]
        lines = table_lines(("#", "AT", "EVENT", "NAME", "DETAILS"), rows, Style.of(sys.stdout))
        return "\n".join(lines), ended

    watching.show(render, options.watch)
    return DONE


def _row(number: int, event: dict[str, Any]) -> list[str]:
    at = parse_timestamp(str(event["Timestamp"])).astimezone()
    clock = at.strftime("%H:%M:%S") + f".{at.microsecond // 1000:03d}"
    name = event.get("FunctionName") or event.get("Name") or ""
    return [str(number), clock, str(event["EventType"]), str(name), _details(event)]


def _details(event: dict[str, Any]) -> str:
    told = {
        "": event.get("OrchestrationStatus"),
        "input": event.get("Input"),
        "result": event.get("Result"),
        "reason": event.get("Reason"),
        "due": event.get("FireAt"),
        "instance": event.get("InstanceId"),
    }
    parts = [f"{key} {text_of(value)}".strip() for key, value in told.items() if value not in (None, "")]
    return brief(", ".join(parts), _LONGEST)
