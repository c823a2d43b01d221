"""Asks a person yes or no, before something is done that may not be meant."""

from __future__ import annotations

import sys

from dfhost.cli.exit_codes import MISTAKE, NotDone


def agreed(question: str, refusal: str) -> bool:
    """Whether the answer is yes. NotDone with the sentence `refusal` where there is no terminal to ask at."""
    if not sys.stdin.isatty():
        raise NotDone(MISTAKE, refusal)
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
