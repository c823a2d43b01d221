"""`dfhost rewind ID…`"""

from __future__ import annotations

import argparse

from dfhost.cli import instance_action
from dfhost.cli.exit_codes import WRONG_STATE, NotDone
from dfhost.cli.management_client import ManagementClient
from dfhost.cli.style import printable

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
    if retried := _retried_call(client, instance_id):
        raise NotDone(
            WRONG_STATE,
            f"{printable(retried)} was retried. A rewind then fails as non-deterministic, on Azure too: "
            f"the history keeps the timers of the retries. Use `dfhost restart {printable(instance_id)}`; "
            "--force rewinds it all the same.",
        )


def _retried_call(client: ManagementClient, instance_id: str) -> str:
    """The label of a call that was retried, in the instance or in a failed child, which is rewound with it."""
    answer = client.own_status(instance_id, "timeline", limit=_SHORT_PAYLOADS)
    if answer is None or answer["runtimeStatus"] != "Failed":  # the host says so itself
        return ""
    for task in answer["tasks"]:
        if task.get("attempt", 1) > 1:
            return str(task["label"])
    for task in answer["tasks"]:
        if task["state"] == "failed" and task["kind"] == "subOrchestration":
            child = str(task["instanceId"])
            if client.status(child, showInput="false") is not None and (
                label := _retried_call(client, child)
            ):
                return label
    return ""
