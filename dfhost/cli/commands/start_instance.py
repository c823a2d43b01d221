"""`dfhost start-instance NAME`: a new instance of an orchestrator, on a host that runs."""

from __future__ import annotations

import argparse
import sys
import time

from dfhost.cli import arguments
from dfhost.cli.client import host_address
from dfhost.cli.client.failure_reason import failure_reason
from dfhost.cli.client.function_names import check_orchestrator
from dfhost.cli.client.management_client import Json, ManagementClient, check_name, open_client
from dfhost.cli.exit_codes import DONE, NOT_COMPLETED, NotDone
from dfhost.cli.payload import read_json
from dfhost.cli.style import printable, printable_json, printable_lines
from dfhost.durations import duration
from dfhost.runtime_status import FINAL_STATUSES

DESCRIPTION = """\
Start an orchestrator by its name on a running host, and print the new instance's id, or with --wait its output.
The input reaches the orchestrator as from `client.start_new`.

examples:
  dfhost start-instance fan_out_fan_in_orchestrator --input '["a", "b"]' --wait
  dfhost start-instance nightly --id nightly-2026-01-31

exit code: 0 once it is started, with --wait once it has completed; 1 if it failed, was terminated or took too long;
5 if an instance of that id runs already.
"""

_LONGEST_PAUSE = 1.0  # seconds between two looks at the status


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="of the orchestrator")
    parser.add_argument(
        "--input", "--data", metavar="JSON", help="JSON, @FILE, or @- for stdin (default: none)"
    )
    parser.add_argument("--id", default="", help="the instance's id (default: a new one)")
    parser.add_argument("--version", default="", help="the instance's version (default: that of host.json)")
    parser.add_argument("--wait", action="store_true", help="until it has ended; print its output")
    parser.add_argument("--timeout", metavar="S", type=arguments.seconds, help="wait at most S seconds")
    parser.add_argument(
        "--json", action="store_true", help="print its links, or with --wait its status, as JSON"
    )
    host_address.add_arguments(parser)
    parser.set_defaults(value_option=lambda _: "--input")


def run(options: argparse.Namespace) -> int:
    given = read_json("--input", options.input)
    client, _ = open_client(options)
    check_orchestrator(options.name, client.functions())
    check_name(options.id)
    before = client.status(options.id, showInput="false") if options.id else None
    links = client.start(options.name, given, options.id, options.version)
    instance_id = str(links["id"])
    if before is not None:  # hosts replace an instance that has ended
        print(f"Replaced {printable(_ended(before))}.", file=sys.stderr)
    if options.wait:
        return _wait(client, instance_id, options)
    print(printable_json(links) if options.json else printable(instance_id))
    return DONE


def _ended(status: Json) -> str:
    """ "approval order-1, which had completed" """
    state = str(status["runtimeStatus"]).lower()
    had = "had" if state in ("completed", "failed") else "had been"
    return f"{status['name']} {status['instanceId']}, which {had} {state}"


def _wait(client: ManagementClient, instance_id: str, options: argparse.Namespace) -> int:
    start, pause = time.monotonic(), 0.02
    while True:
        status = client.status(instance_id) or {}
        state, passed = str(status.get("runtimeStatus")), time.monotonic() - start
        if state in FINAL_STATUSES:
            break
        if options.timeout and passed >= options.timeout:
            raise NotDone(
                NOT_COMPLETED, f"{printable(instance_id)} is {state} after {duration(passed)}. It goes on."
            )
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)
    if options.json:
        print(printable_json(status))
    elif state == "Completed":
        print(printable_json(status.get("output")))
    else:
        reason = (
            failure_reason(client, status)
            if state == "Failed"
            else str(status.get("output") or "no reason given")
        )
        print(printable_lines(f"{instance_id} {state.lower()}: {reason}"), file=sys.stderr)
    return DONE if state == "Completed" else NOT_COMPLETED
