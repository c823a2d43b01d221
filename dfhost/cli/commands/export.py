"""`dfhost export`: instances with their histories, as JSON, one a line."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

from dfhost.cli.client import host_address, instance_filter, instance_ids
from dfhost.cli.client.management_client import Json, ManagementClient, open_client
from dfhost.cli.exit_codes import DONE, NOT_FOUND
from dfhost.cli.style import count
from dfhost.errors import HostError

DESCRIPTION = """\
Write instances with input, output and history as JSON, one a line (JSON Lines): for a bug report, an archive before
a purge, or a test. Each line is what the management API answers with showHistory and showHistoryOutput. From dfhost
it has "episodes" as well: when each ran, and how many of the events are its own.

examples:
  dfhost export 1f0c6a3e > failed.jsonl
  dfhost export --status Failed --since 1d --output failed.jsonl

exit code: 0; 4 if there are none.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    instance_ids.add_argument(parser, nargs="*")
    instance_filter.add_arguments(parser)
    parser.add_argument("--children", action="store_true", help="the children of these instances, too")
    parser.add_argument("--output", "-o", metavar="FILE", type=Path, help="default: stdout")
    host_address.add_arguments(parser, reads=True)
    parser.set_defaults(json=True)


def run(options: argparse.Namespace) -> int:
    client, ids = open_client(options, *options.id)
    found = [instance_ids.find_id(client, text) for text in ids]
    if not ids:
        found = [str(instance["instanceId"]) for instance in instance_filter.find(client, options)]
    written = 0
    try:
        with (
            options.output.open("w", encoding="utf-8")
            if options.output
            else nullcontext(sys.stdout) as stream
        ):
            for instance in _instances(client, found, options.children):
                stream.write(json.dumps(instance) + "\n")
                written += 1
    except OSError as error:
        if options.output is None:  # `dfhost export | head -1`
            raise
        raise HostError(f"--output {options.output}: {error.strerror}.") from None
    if options.output:
        print(f"Wrote {count(written, 'instance')} to {options.output}.", file=sys.stderr)
    return DONE if written else NOT_FOUND


def _instances(client: ManagementClient, ids: list[str], children: bool) -> Iterator[Json]:
    """Each once, its children after it."""
    seen: set[str] = set()
    waiting = list(reversed(ids))
    while waiting:
        instance_id = waiting.pop()
        if instance_id in seen:
            continue
        seen.add(instance_id)
        shown = {"showHistory": "true", "showHistoryOutput": "true", "showEpisodes": "true"}
        instance = client.status(instance_id, **shown)
        if instance is None:  # purged meanwhile
            continue
        yield instance
        if children:
            events = instance.get("historyEvents") or []
            called = [event["InstanceId"] for event in events if "SubOrchestration" in event["EventType"]]
            waiting += reversed(called)
