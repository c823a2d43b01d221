"""`--watch`: the same output again and again, in place on a terminal."""

from __future__ import annotations

import re
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable
from datetime import datetime, timezone

_SECONDS = 1.0
#: ``in 5 min`` before the moment itself: the host counts down in its sentences.
_TIME_LEFT = re.compile(r"\b(in [\w ]+|now)(?= \(\d{4}-\d\d-\d\d[T ][\d:]+Z?\))")


def add_argument(parser: ArgumentParser, until: str) -> None:
    parser.add_argument("--watch", action="store_true", help=f"show every change, until {until}")


def show(render: Callable[[datetime], tuple[str, bool]], watch: bool) -> None:
    """Print what `render` returns, once, or with `watch` at each change until its second value is true, or ctrl-C.

    `render` is given the time up to which ages and durations count. In a pipe it is no change that they have grown:
    the output is compared as it would have been at the time of the last one.
    """
    text, is_last = render(shown_at := _now())
    in_place = watch and sys.stdout.isatty()
    _print(text, in_place)
    while watch and not is_last:
        time.sleep(_SECONDS)
        shown, (text, is_last) = text, render(_now() if in_place else shown_at)
        if not in_place:
            if _without_time_left(text) == _without_time_left(shown):
                continue
            text, is_last = render(shown_at := _now())
        if text != shown:
            _print(text, in_place)


def _print(text: str, in_place: bool) -> None:
    if in_place:
        sys.stdout.write("\x1b[H\x1b[J")  # to the top left, and clear what follows
    if text:
        print(text, flush=True)


def _without_time_left(text: str) -> str:
    return _TIME_LEFT.sub("", text)


def _now() -> datetime:
    return datetime.now(timezone.utc)
