"""The host's clock: now, as the text that events carry."""

from __future__ import annotations

import time

_newest = (-1, "")


def now() -> str:
    """UTC to the millisecond, ``2026-11-22T15:29:11.170000Z``.

    No finer, since the SDK reads every event's timestamp at every replay: a text seen before is not parsed again.
    """
    global _newest
    milliseconds = time.time_ns() // 1_000_000
    known, text = _newest
    if known != milliseconds:
        seconds, thousandths = divmod(milliseconds, 1000)
        text = time.strftime(f"%Y-%m-%dT%H:%M:%S.{thousandths:03d}000Z", time.gmtime(seconds))
        _newest = (milliseconds, text)
    return text
