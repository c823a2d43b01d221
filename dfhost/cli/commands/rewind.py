"""`dfhost rewind ID…`"""

from __future__ import annotations

import argparse

from dfhost.cli import instance_action
from dfhost.cli.client.management_client import ManagementClient
from dfhost.cli.exit_codes import WRONG_STATE, NotDone
from dfhost.cli.style import printable

DESCRIPTION = """\
Run the failed parts of failed instances again: what has succeeded is kept. After retries that fails as
non-deterministic, on Azure too. Such an instance is left as it is, unless --force is given: restart it instead.

examples:
  dfhost rewind 1f0c6a3e
  dfhost list --status Failed --since 1h --ids | xargs dfhost rewind
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="rewind it even if a call was retried")
    instance_action.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    check = None if options.force else _check
    return instance_action.run(options, "rewind", "is rewound", check)


def _check(client: ManagementClient, instance_id: str) -> None:
    """NotDone if the rewind is known to fail. Of another host than dfhost that is not known before."""
    answer = client.own_status(instance_id, "rewindWarning")
    if answer is not None and (warning := answer["rewindWarning"]):
        restart = f"`dfhost restart {instance_id}`"
        raise NotDone(
            WRONG_STATE,
            printable(f"{warning} Nothing was done: use {restart}; --force rewinds it all the same."),
        )
