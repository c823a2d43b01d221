"""A map of an activity that the app does not have: the map stops at once, and fails with a sentence.

Only the host knows what the app has, and says so when a chunk calls the activity: that chunk fails as a whole, on
Azure too, with a sentence that names all activities. Pure.
"""

from __future__ import annotations

import difflib
import re

from fan_out.maps.results import Results

_SENTENCE = re.compile(
    r"The function '(?P<name>[^']*)' doesn't exist, is disabled, or is not an activity function\.(?P<known>.*)",
    re.S,
)


class UnknownActivity(ValueError):
    """The app has no activity of the name that the map was given, or it is disabled."""


def unknown_activity(results: Results) -> UnknownActivity | None:
    """The error to raise if a chunk has failed for this reason."""
    for attempts, _, error in filter(None, results):
        if attempts == 0 and error and (found := _SENTENCE.search(error)):
            near = difflib.get_close_matches(found["name"], re.findall("'([^']+)'", found["known"]), 1)
            meant = f" Did you mean '{near[0]}'?" if near else ""
            return UnknownActivity(f"The app has no activity '{found['name']}', or it is disabled.{meant}")
    return None
