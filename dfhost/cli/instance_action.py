"""What suspend, resume, terminate and rewind have in common: one request for each instance that is named."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from dfhost.cli.client import host_address, instance_ids
from dfhost.cli.client.failure_reason import failure_reason
from dfhost.cli.client.management_client import ManagementClient, open_client
from dfhost.cli.exit_codes import DONE, NOT_COMPLETED, WRONG_STATE, NotDone
from dfhost.cli.style import printable, printable_json, printable_lines
from dfhost.runtime_status import FINAL_STATUSES

_SECONDS = 2.0  # for the episode in which the host does what was asked for
_PAUSE = 0.05


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
    reached: Callable[[str], bool] | None = None,
    note: Callable[[ManagementClient, str], str] | None = None,
) -> int:
    """The exit code is that of the first instance for which it could not be done.

    `done`: the words of success, "is suspended". `check`: raises NotDone if it must not be done to an instance.
    `reached`: whether an instance of this status has done it; without it, the host's answer is enough. `note`: what
    else is to be said of an instance, a sentence or "", asked for before it is done.
    """
    client, ids = open_client(options, *options.id)
    code, answers = DONE, []
    for text in ids:
        try:
            instance_id = instance_ids.find_id(client, text, acting=True)
            if check is not None:
                check(client, instance_id)
            more = note(client, instance_id) if note is not None else ""
            client.act(instance_id, verb, options.reason)
            said = (
                f"{done}. {more}".rstrip() if reached is None else _look(client, instance_id, done, reached)
            )
        except NotDone as error:
            if len(ids) == 1:
                raise
            print(f"dfhost: {printable(text)}: {error}", file=sys.stderr)
            code = code or error.exit_code
            continue
        answers.append({"instanceId": instance_id, "requested": verb})
        if not options.json:
            print(f"{printable(instance_id)} {said}")
    if options.json:
        print(printable_json(answers))
    return code


def _look(client: ManagementClient, instance_id: str, done: str, reached: Callable[[str], bool]) -> str:
    """The rest of the sentence about the instance, after a look whether it has done it.

    It does so in an episode, which may fail instead, as when its code no longer fits its history. NotDone then.
    """
    until = time.monotonic() + _SECONDS
    while True:
        status = client.status(instance_id, showInput="false")
        if status is None:
            raise NotDone(WRONG_STATE, f"{printable(instance_id)} was purged meanwhile.")
        state = str(status["runtimeStatus"])
        if reached(state):
            return f"{done}."
        if state == "Failed":
            reason = failure_reason(client, status)
            raise NotDone(NOT_COMPLETED, printable_lines(f"{instance_id} has failed instead: {reason}"))
        if state in FINAL_STATUSES:
            raise NotDone(WRONG_STATE, printable(f"{instance_id} has ended meanwhile: it is {state}."))
        if time.monotonic() > until:
            return f"is still {state}; the request counts from its next episode on."
        time.sleep(_PAUSE)
