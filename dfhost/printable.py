"""Other people's texts as they can be shown: without what steers a terminal, and not too long. Pure."""

from __future__ import annotations

import re

# What steers a terminal or makes a line look like another one: C0 and C1 controls, line and paragraph separators,
# marks and overrides of the writing direction, halves of surrogate pairs.
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def printable(text: str) -> str:
    """`text` with control characters as escapes: "a\\x1b[2J", "two\\nlines". For texts that clients choose."""
    if text.isprintable():
        return text
    return CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def printable_lines(text: str) -> str:
    """Likewise, but lines stay lines and tabs stay tabs."""
    if text.isprintable():
        return text
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


def shortened(text: str, longest: int) -> str:
    """The text itself, or as much of it as fits into `longest` characters with an ellipsis."""
    return text if len(text) <= longest else text[: longest - 1] + "…"
