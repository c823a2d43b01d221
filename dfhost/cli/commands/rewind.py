"""`dfhost rewind ID…`"""

from __future__ import annotations

import argparse

from dfhost.cli import instance_action

DESCRIPTION = """\
Run the failed parts of failed instances again: what has succeeded is kept.

examples:
  dfhost rewind 1f0c6a3e
  dfhost list --status Failed --since 1h --ids | xargs dfhost rewind
"""

add_arguments = instance_action.add_arguments


def run(options: argparse.Namespace) -> int:
    return instance_action.run(options, "rewind", "is rewound")
