"""`dfhost completion SHELL`: the script that completes `dfhost` in a shell."""

from __future__ import annotations

import argparse

from dfhost.cli.exit_codes import DONE
from dfhost.cli.style import printable

DESCRIPTION = """\
Print a script that completes verbs, options, statuses, ids, orchestrators and awaited events at a tab.

examples:
  dfhost completion bash >> ~/.bashrc
  dfhost completion zsh >> ~/.zshrc
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", metavar="SHELL", choices=("bash", "zsh"), help="bash or zsh")


def run(options: argparse.Namespace) -> int:
    from dfhost.cli import completion

    if options.shell == "words":
        for word, meaning in completion.candidates(options.words):
            print(printable(word) + (f"\t{printable(meaning)}" if meaning else ""))
    else:
        print(completion.BASH if options.shell == "bash" else completion.ZSH, end="")
    return DONE
