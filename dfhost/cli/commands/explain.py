"""`dfhost explain ID`: asks a running host what an instance waits for, and prints the answer in words."""

from __future__ import annotations

import argparse
from datetime import datetime

from dfhost.cli import watching
from dfhost.cli.client import host_address, instance_ids
from dfhost.cli.client.management_client import open_client
from dfhost.cli.exit_codes import DONE, NOT_COMPLETED, NotDone
from dfhost.cli.style import printable, printable_json
from dfhost.cli.views.explanation import FROM_FILE, explanation_lines
from dfhost.runtime_status import FINAL_STATUSES

DESCRIPTION = """\
Ask a running host what an instance waits for, since when, and what holds it up.

examples:
  dfhost explain 1f0c6a3e9b1d4f4f8d7c2a5b6e7f8091
  dfhost explain order-17 --url http://localhost:8080 --json

exit code: 0; 1 if the host does not explain, since it is not dfhost; 4 if it has no such instance.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    instance_ids.add_argument(parser)
    watching.add_argument(parser, until="the instance has ended")
    parser.add_argument("--json", action="store_true", help="print the host's answer as JSON")
    host_address.add_arguments(parser, reads=True)


def run(options: argparse.Namespace) -> int:
    client, [text] = open_client(options, options.id)
    instance_id = instance_ids.find_id(client, text)

    def render(now: datetime) -> tuple[str, bool]:
        answer = client.own_status(instance_id, "explain")
        if answer is None:
            raise NotDone(
                NOT_COMPLETED,
                f"{client.place} does not explain what an instance waits for: it is not dfhost. "
                f"`dfhost show {printable(instance_id)}` lists its open tasks.",
            )
        ended = answer["runtimeStatus"] in FINAL_STATUSES
        if options.json:
            return printable_json(answer), ended
        lines = explanation_lines(answer, now)
        if client.reads_file and not ended and not instance_id.startswith("@"):
            lines.append(f"({FROM_FILE})")
        return "\n".join(map(printable, lines)), ended

    watching.show(render, options.watch)
    return DONE
