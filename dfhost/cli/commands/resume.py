"""`dfhost resume ID…`"""

from __future__ import annotations

import argparse

from dfhost.cli import instance_action

DESCRIPTION = """\
Let suspended instances go on.

examples:
  dfhost resume 1f0c6a3e
  dfhost list --status Suspended --ids | xargs dfhost resume
"""

add_arguments = instance_action.add_arguments


def run(options: argparse.Namespace) -> int:
    return instance_action.run(
        options, "resume", "goes on", reached=lambda status: status not in ("Suspended", "Failed")
    )
