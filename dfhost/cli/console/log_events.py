"""What the console is given: starts, ends and waits of calls, failures, and texts, each with its time.

Plain values. `Console` makes them on any thread, and `LogFormatter` turns them into lines.
"""

from __future__ import annotations

from typing import NamedTuple

# (time.time(), verb, function, trigger, instance id, seconds, item). The verb is "started" or "finished"; of an
# activity also "again", for one that has started and may have run under the last host; of an
# orchestration also "waiting", "received", "suspended", "resumed", "rewound", and "ended" where it did not end by
# itself. A plain tuple, because a fan-out makes two of them for each item: a class costs the host 2 % of its time.
Call = tuple[float, str, str, str, "str | None", float, str]


class FailedCall(NamedTuple):
    """The first seven fields are those of a `Call`. The verb is "failed", or "retrying" if there is another attempt.

    `attempt`: which one it was of how many, and when the next one begins.
    """

    at: float
    verb: str
    function: str
    trigger: str
    instance_id: str | None
    seconds: float
    item: str
    error: str
    stack: str
    attempt: str = ""


class Message(NamedTuple):
    """A log record (`label`: its level), a printed line (""), or a note of the host's ("note").

    `text` None: `number` more records of `logger` that are only counted.
    """

    at: float
    label: str
    text: str | None
    logger: str = ""
    number: int = 1


LogEvent = Call | FailedCall | Message
