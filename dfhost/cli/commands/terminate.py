"""`dfhost terminate ID…`"""

from __future__ import annotations

import argparse

from dfhost.cli import instance_action

DESCRIPTION = """\
End instances at once. Activities that run go on to their end, and so do children: on Azure, too.

examples:
  dfhost terminate 1f0c6a3e --reason 'wrong input'
  dfhost list --name nightly --status Running --ids | xargs dfhost terminate
"""

add_arguments = instance_action.add_arguments


def run(options: argparse.Namespace) -> int:
    return instance_action.run(options, "terminate", "is terminated")
