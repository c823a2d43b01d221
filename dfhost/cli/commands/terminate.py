"""`dfhost terminate ID…`"""

from __future__ import annotations

import argparse

from dfhost.cli import instance_action
from dfhost.cli.client.management_client import ManagementClient
from dfhost.cli.style import count, printable
from dfhost.short_id import short_id
from dfhost.timeline import model

DESCRIPTION = """\
End instances at once. Activities that run go on to their end, and so do children: on Azure, too.

examples:
  dfhost terminate 1f0c6a3e --reason 'wrong input'
  dfhost list --name nightly --status Running --ids | xargs dfhost terminate
"""

_NAMED = 3  # sub-orchestrations; more are counted

add_arguments = instance_action.add_arguments


def run(options: argparse.Namespace) -> int:
    return instance_action.run(options, "terminate", "is terminated", note=_what_goes_on)


def _what_goes_on(client: ManagementClient, instance_id: str) -> str:
    timeline = client.own_status(instance_id, "timeline", limit="1") or {}
    children = [
        printable(short_id(str(task["instanceId"])))
        for task in timeline.get("tasks", ())
        if task["kind"] == model.CHILD and task["state"] in model.OPEN and task.get("instanceId")
    ]
    if len(children) == 1:
        return f"Its sub-orchestration {children[0]} goes on."
    shown = ", ".join(children[:_NAMED])
    if (more := len(children) - _NAMED) > 0:
        shown += f" and {count(more, 'other')}"
    return f"Its sub-orchestrations {shown} go on." if children else ""
