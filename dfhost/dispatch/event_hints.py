"""Hints on the console about external events that the code will probably not take as they were meant.

An event that nothing waits for is kept for a later wait, here as on Azure. So one with a typo in its name seems to
have never come. The extension ignores case, but the SDK does not give an event to a task whose name differs in case
(recorded). `raise_event` of the SDK's client encodes the data twice, so the code gets JSON text, a str (recorded).
This module compares names and looks at data. Its caller knows which instance waits for which event.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice
from shlex import quote

from dfhost.engine.history import Event
from dfhost.host_log import HostLog
from dfhost.parse_json import parse_json

_MOST_HINTS = 50  # nobody would read more
_SIMILARITY = 0.8
# Beyond these, names are made by programs, which make no typos.
_MOST_AWAITED = 20
_LONGEST_NAME = 100
_LONGEST_EVENT = 100_000  # characters; to parse more would hold the loop up
_DIGITS = re.compile(r"\d+")
# In the text of a history event: the data is a string that looks like JSON. `null` is no data, and harmless.
_JSON_IN_STRING = re.compile(r'"Input":"\\"(?:[{[\d-]|true|false|\\\\\\")')


class EventHints:
    """Gives each hint about a name once, and the hint about data once."""

    def __init__(self, log: HostLog) -> None:
        self._log = log
        self._given: set[tuple[str, str]] = set()
        self._said_json_in_string = False

    def arrived(self, event: Event, awaited: Iterable[str], receiver: str) -> None:
        """`event` has come to `receiver` (orchestrator and instance), which waits for events named `awaited`."""
        if not self._said_json_in_string and _is_json_in_string(event):
            self._said_json_in_string = True
            self._log.note(
                f"The event '{event.key}' has come to {receiver} as JSON in a string. The SDK's raise_event "
                "sends all data so, on Azure too. The code gets a str; json.loads makes the value of it."
            )
        self._compare_names(event.key, awaited, receiver)

    def child_awaits(self, name: str, receiver: str, child_id: str) -> None:
        """The event has come to `receiver`, whose child waits for it. The receiver does not."""
        if len(self._given) == _MOST_HINTS or (name, child_id) in self._given:
            return
        self._given.add((name, child_id))
        command = f"dfhost raise {quote(child_id)} {quote(name)}"
        self._log.note(
            f"The event '{name}' has come to {receiver}, which does not wait for it. "
            f"Its sub-orchestration {child_id} does: `{command}`."
        )

    def _compare_names(self, name: str, awaited: Iterable[str], receiver: str) -> None:
        names = list(islice(awaited, _MOST_AWAITED + 1))
        if not names or len(names) > _MOST_AWAITED or len(name) > _LONGEST_NAME:
            return
        if len(self._given) == _MOST_HINTS:
            return
        meant = nearest_event_name(name, names)
        if meant is None or (name, meant) in self._given:
            return
        self._given.add((name, meant))
        differs_in_case = name.lower() == meant.lower()
        why = "Event names are case-sensitive in the SDK." if differs_in_case else "Is it misspelt?"
        self._log.note(f"The event '{name}' has come to {receiver}, which waits for '{meant}'. {why}")


def _is_json_in_string(event: Event) -> bool:
    if len(event.text) > _LONGEST_EVENT or _JSON_IN_STRING.search(event.text) is None:
        return False
    try:
        parse_json(json.loads(json.loads(event.text)["Input"]))
    except (ValueError, TypeError, KeyError):
        return False
    return True


def nearest_event_name(name: str, awaited: Iterable[str]) -> str | None:
    """The one of `awaited` that `name` may be a typo of; None if `name` is one of them.

    Names that differ in their digits alone (step1, step2) are no typos.
    """
    names = list(awaited)
    if name in names:
        return None
    by_lower_case = {each.lower(): each for each in names}
    if name.lower() in by_lower_case:
        return by_lower_case[name.lower()]
    without_digits = _DIGITS.sub("", name.lower())
    candidates = [each for each in by_lower_case if _DIGITS.sub("", each) != without_digits]
    nearest = get_close_matches(name.lower(), candidates, 1, _SIMILARITY)
    return by_lower_case[nearest[0]] if nearest else None
