"""`dfhost terminate ID…`"""

from __future__ import annotations

import argparse

from dfhost.cli import instance_action
from dfhost.cli.client import instance_ids
from dfhost.cli.client.management_client import ManagementClient

DESCRIPTION = """\
End instances at once. Activities that run go on to their end, and so do children: on Azure, too.

examples:
  dfhost terminate 1f0c6a3e --reason 'wrong input'
  dfhost list --name nightly --status Running --ids | xargs dfhost terminate
"""

add_arguments = instance_action.add_arguments


def run(options: argparse.Namespace) -> int:
    return instance_action.run(options, "terminate", "is terminated", note=_what_goes_on)


def _what_goes_on(client: ManagementClient, instance_id: str) -> str:
    children = instance_ids.children(client, instance_id, only_open=True)
    if len(children) == 1:
        return f"Its sub-orchestration {instance_ids.in_words(children)} goes on."
    return f"Its sub-orchestrations {instance_ids.in_words(children)} go on." if children else ""
