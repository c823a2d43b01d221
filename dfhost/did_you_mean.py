"""The names that a misspelt one probably stands for."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(text: str, names: Iterable[str], most: int = 1) -> list[str]:
    """The best first: names that differ in case, then those that are alike, then those that contain the text."""
    lower = {name.lower(): name for name in reversed(list(names))}
    wanted = text.lower()
    close = get_close_matches(wanted, lower, most, 0.7)
    containing = [name for name in lower if len(wanted) >= 3 and wanted in name]
    loose = get_close_matches(wanted, lower, most, 0.65)
    return [lower[name] for name in dict.fromkeys([*close, *containing, *loose])][:most]


def question(text: str, names: Iterable[str], most: int = 1) -> str:
    """ "Did you mean 'list'?", "" if no name is near."""
    found = nearest(text, names, most)
    return f"Did you mean {' or '.join(map(repr, found))}?" if found else ""
