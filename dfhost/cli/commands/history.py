"""`dfhost history ID`: the history events of an instance, one a line."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime
from typing import Any

from dfhost.cli import watching
from dfhost.cli.client import host_address, instance_ids
from dfhost.cli.client.management_client import open_client
from dfhost.cli.exit_codes import DONE
from dfhost.cli.local_times import local_time
from dfhost.cli.style import Style, printable_json, text_of
from dfhost.cli.views.tables import table_lines
from dfhost.instance_failure import failure_text
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

    def render(_: datetime) -> tuple[str, bool]:
        shown = {"showInput": "true", "showHistory": "true", "showHistoryOutput": "true"}
        if not options.json:
            shown["showRewound"] = "true"
        status = client.status(instance_id, **shown) or {}
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
    name = event.get("FunctionName") or event.get("Name") or _rewound(event).get("FunctionName") or ""
    return [str(number), clock, str(event["EventType"]), str(name), _details(event)]


def _details(event: dict[str, Any]) -> str:
    if event["EventType"] == "GenericEvent":
        return brief(_of_rewind(event), _LONGEST)
    told = {
        "": event.get("OrchestrationStatus"),
        "input": event.get("Input"),
        "result": event.get("Result"),
        "reason": event.get("Reason"),
        "due": event.get("FireAt") and local_time(str(event["FireAt"])),
        "instance": event.get("InstanceId"),
    }
    parts = [f"{key} {text_of(value)}".strip() for key, value in told.items() if value not in (None, "")]
    return brief(", ".join(parts), _LONGEST)


def _of_rewind(event: dict[str, Any]) -> str:
    """Of a GenericEvent: rewinds alone leave these, in the place of what failed and as the sign to go on."""
    if before := _rewound(event):
        reason = before.get("Reason")
        text = f"rewound {before['EventType']}"
        return text if reason is None else f"{text}, reason {failure_text(reason)}"
    return f"rewind, reason {event['Data']}" if event.get("Data") else "of a rewind"


def _rewound(event: dict[str, Any]) -> dict[str, Any]:
    """What stood in its place; only dfhost says so."""
    return event.get("Rewound") or {}
