"""The extension's sentence about an unknown function, which names all functions of the app, for people. Pure."""

from __future__ import annotations

import re

from dfhost.did_you_mean import question

_SENTENCE = (
    r"(The function '([^']*)' doesn't exist, is disabled, or is not an \w+ function\. Additional info: "
    r"The following are the known \w+ functions: )('[^']*'(?:, '[^']*')*)\."
)
_MOST_NAMES = 5


def in_short(text: str) -> str:
    """`text` with only a few of the names in such a sentence. Before that stands what was probably meant.

    Other texts are left as they are.
    """

    def shorten(found: re.Match[str]) -> str:
        names = re.findall("'([^']*)'", found[3])
        meant = question(found[2], names)
        head = f"{meant} " if meant and meant not in text else ""
        listed = ", ".join(map(repr, names[:_MOST_NAMES]))
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        return f"{head}{found[1]}{listed}{more}."

    return re.sub(_SENTENCE, shorten, text)
