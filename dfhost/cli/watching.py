"""`--watch`: the same output again and again, in place on a terminal."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable

_SECONDS = 1.0


def add_argument(parser: ArgumentParser, until: str) -> None:
    parser.add_argument("--watch", action="store_true", help=f"show every change, until {until}")


def show(render: Callable[[], tuple[str, bool]], watch: bool) -> None:
    """Print what `render` returns, once, or with `watch` at each change until its second value is true, or ctrl-C."""
    shown = None
    while True:
        text, is_last = render()
        if text != shown:
            if watch and sys.stdout.isatty():
                sys.stdout.write("\x1b[H\x1b[J")  # to the top left, and clear what follows
            if text:
                print(text, flush=True)
            shown = text
        if not watch or is_last:
            return
        time.sleep(_SECONDS)
