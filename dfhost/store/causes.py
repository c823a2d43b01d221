"""Why an instance has failed, where its output does not say it: the output is the one that it has on Azure."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from dfhost.engine.ended_history import failed_child, recorded_cause
from dfhost.engine.nondeterminism import DETECTED
from dfhost.short_id import short_id
from dfhost.store import statements as sql

_DEEPEST = 20  # children of children
#: What the output of a parent says where the cause of its child says more.
# The last one is the SDK's for a yielded value that is no task.
_VAGUE = (DETECTED, "is not JSON serializable", "object has no attribute '_is_scheduled'")


def cause_of_failure(source: sqlite3.Connection, history: Sequence[str]) -> tuple[str | None, str]:
    """The cause in a sentence, and the traceback; None and "" if the output says all there is to say.

    Of an instance that failed since its child did, the cause is the child's, behind the names of those that lead to
    it: "charge 6b85898b:0 > book 30d88a57:1: The app's worker process ended (exit code 3) while …".
    """
    path: list[str] = []
    while len(path) < _DEEPEST:
        cause, traceback = recorded_cause(history)
        if cause is not None:
            return (f"{' > '.join(path)}: {cause}" if path else cause), traceback
        children = (failed_child(history, words) for words in _VAGUE)
        if (child := next(filter(None, children), None)) is None:
            break
        path.append(f"{child.name} {short_id(child.instance_id)}")
        history = list(sql.select_events(source, "history", child.instance_id))
    return None, ""
