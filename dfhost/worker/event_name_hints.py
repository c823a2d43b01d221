"""Event names that are nearly right, told on the console.

An event that nobody waits for is kept for a later wait, here as on Azure, so one whose name is misspelt looks
as if it had never come; nor does the SDK give its task one that differs in case, which the extension counts as
come (recorded). Knows names alone; the caller knows who waits for which.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

from dfhost.host_log import HostLog

_MOST = 50  # slips that are told of: no more than somebody would read
_NEAR = 0.8
_MANY = 20  # awaited names, and
_LONG = 100  # characters of one, beyond which nobody mistypes them by hand
_DIGITS = re.compile(r"\d+")


class EventNameHints:
    """Tells of each slip once."""

    def __init__(self, log: HostLog) -> None:
        self._log = log
        self._told: set[tuple[str, str]] = set()

    def came(self, name: str, awaited: Iterable[str], waiting: str) -> None:
        """An event `name` has come to the orchestrator and instance `waiting`, which waits for `awaited`."""
        names = list(islice(awaited, _MANY + 1))
        if not names or len(names) > _MANY or len(name) > _LONG or len(self._told) == _MOST:
            return
        meant = nearest_event_name(name, names)
        if meant is None or (name, meant) in self._told:
            return
        self._told.add((name, meant))
        same = name.lower() == meant.lower()
        why = "the SDK tells capitals from small letters." if same else "another event, or misspelt?"
        self._log.note(f"The event '{name}' has come to {waiting}, which waits for '{meant}': {why}")


def nearest_event_name(name: str, awaited: Iterable[str]) -> str | None:
    """Which of `awaited` is nearly called `name`, None if one is called so.

    Names that only their numbers tell apart (step1, step2) are no slips of each other.
    """
    names = list(awaited)
    if name in names:
        return None
    known = {each.lower(): each for each in names}
    if name.lower() in known:
        return known[name.lower()]
    plain = _DIGITS.sub("", name.lower())
    near = get_close_matches(
        name.lower(), [each for each in known if _DIGITS.sub("", each) != plain], 1, _NEAR
    )
    return known[near[0]] if near else None
