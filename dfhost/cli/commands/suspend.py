"""`dfhost suspend ID…`"""

from __future__ import annotations

import argparse

from dfhost.cli import instance_action

DESCRIPTION = """\
Suspend instances: they start nothing new until they are resumed.

examples:
  dfhost suspend 1f0c6a3e --reason 'the shop is closed'
  dfhost list --status Running --ids | xargs dfhost suspend
"""

add_arguments = instance_action.add_arguments


def run(options: argparse.Namespace) -> int:
    return instance_action.run(
        options, "suspend", "is suspended", reached=lambda status: status == "Suspended"
    )
