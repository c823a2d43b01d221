"""How numbers, colours and other people's texts look at the terminal."""

from __future__ import annotations

import json
import os
import re
from typing import Any, TextIO

from dfhost.printable import CONTROLS
from dfhost.printable import printable as printable
from dfhost.printable import printable_lines as printable_lines

_CODES = {"red": "31", "green": "32", "yellow": "33", "cyan": "36", "dim": "2", "bold": "1"}

#: How each runtime status looks.
STATUS_LOOKS = {
    "Completed": "green",
    "Failed": "red",
    "Terminated": "red",
    "Canceled": "red",
    "Running": "cyan",
    "Suspended": "yellow",
    "Pending": "dim",
}


class Style:
    """Colours a text: `style("failed", "red")`. It stays plain with the look "", and where colour is not wanted."""

    def __init__(self, colour: bool) -> None:
        self.colour = colour

    @classmethod
    def of(cls, stream: TextIO) -> Style:
        """Colour on a terminal that supports it, unless NO_COLOR (https://no-color.org) is set."""
        plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
        return cls(stream.isatty() and not plain)

    def __call__(self, text: str, look: str) -> str:
        return f"\x1b[{_CODES[look]}m{text}\x1b[0m" if self.colour and text and look else text


def count(number: int, noun: str = "") -> str:
    """4312 -> "4,312"; 1, "task" -> "1 task"; 2, "task" -> "2 tasks"."""
    return f"{number:,}" + (f" {noun}{'' if number == 1 else 's'}" if noun else "")


def text_of(value: Any) -> str:
    """A text as it is, any other value as JSON in one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def printable_json(value: Any) -> str:
    """Indented JSON in which control characters stand as its own escapes: the value stays the same."""

    def escape(found: re.Match[str]) -> str:
        return found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}"

    return CONTROLS.sub(escape, json.dumps(value, indent=2, ensure_ascii=False))
