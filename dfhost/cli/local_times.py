"""Times for people at the terminal: local ones, as on a clock. The host's sentences and all JSON have them in UTC."""

from __future__ import annotations

import re

from dfhost.timestamps import parse_timestamp

# As the host writes them into its sentences. An error in one may have others, which are the app's.
_TIME = r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"
_IN_SENTENCE = re.compile(rf"(\bat |\bsince |\(){_TIME}")
# What the engine adds to the cause of a failure.
_IN_CAUSE = re.compile(rf"(The app was loaded again after this instance had begun, last at ){_TIME}")


def local_time(text: str) -> str:
    """``2026-11-29T03:42:48Z`` -> ``2026-11-29 04:42:48`` in Berlin. A text that is no such time stays as it is."""
    try:
        return parse_timestamp(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError):  # the end of the year 9999
        return text


def in_local_time(sentence: str) -> str:
    """A sentence of the host's, as `explain` has it, with its times in local time."""
    return _IN_SENTENCE.sub(lambda found: found[1] + local_time(found[2]), sentence)


def cause_in_local_time(text: str) -> str:
    """The cause of a failure, or a text with it, likewise: only the host's own time in it, not those of the app."""
    return _IN_CAUSE.sub(lambda found: found[1] + local_time(found[2]), text)
