"""`dfhost rewind ID…`"""

from __future__ import annotations

import argparse

from dfhost.cli import instance_action
from dfhost.cli.client.management_client import ManagementClient
from dfhost.cli.exit_codes import WRONG_STATE, NotDone
from dfhost.cli.style import printable
from dfhost.timeline.sentences import rewind_warning

DESCRIPTION = """\
Run the failed parts of failed instances again: what has succeeded is kept. After retries that fails as
non-deterministic, on Azure too. Such an instance is left as it is, unless --force is given: restart it instead.

examples:
  dfhost rewind 1f0c6a3e
  dfhost list --status Failed --since 1h --ids | xargs dfhost rewind
"""

_SHORT_PAYLOADS = "100"  # characters: only the labels of the tasks are shown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="rewind it even if a call was retried")
    instance_action.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    check = None if options.force else _check
    return instance_action.run(options, "rewind", "is rewound", check)


def _check(client: ManagementClient, instance_id: str) -> None:
    """NotDone if the rewind is known to fail. Of another host than dfhost that is not known before."""
    if warning := rewind_warning(_retried_calls(client, instance_id)):
        restart = f"`dfhost restart {instance_id}`"
        raise NotDone(
            WRONG_STATE,
            printable(f"{warning} Nothing was done: use {restart}; --force rewinds it all the same."),
        )


def _retried_calls(client: ManagementClient, instance_id: str) -> list[str]:
    """The labels of the calls that were retried, in the instance or in a failed child, which is rewound with it."""
    answer = client.own_status(instance_id, "timeline", limit=_SHORT_PAYLOADS)
    if answer is None or answer["runtimeStatus"] != "Failed":  # the host refuses it itself
        return []
    retried = [str(label) for label in answer["retried"]]
    for task in answer["tasks"]:
        if not retried and task["state"] == "failed" and task["kind"] == "subOrchestration":
            child = str(task["instanceId"])
            if client.status(child, showInput="false") is not None:
                retried = _retried_calls(client, child)
    return retried
