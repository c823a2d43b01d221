"""What the console says of waits, events and attempts, in words."""

from __future__ import annotations

from collections.abc import Sequence

from dfhost.cli.style import count
from dfhost.durations import duration, time_left
from dfhost.host_log import Attempt
from dfhost.printable import shortened

_LISTED = 3  # events
_LONGEST_NAME = 40  # characters


def waits_in_words(events: Sequence[str], timer_in: float | None, needs_all: bool) -> str:
    """``for event approved or a timer in 3 d``"""
    waits = [f"event {_name(each)}" for each in events[:_LISTED]]
    if len(events) > _LISTED:
        waits.append(count(len(events) - _LISTED, "more event"))
    if timer_in is not None:
        waits.append(f"a timer {time_left(timer_in)}" if timer_in > 0 else "a timer that is due")
    *others, last = waits
    return f"for {', '.join(others)} {'and' if needs_all else 'or'} {last}" if others else f"for {last}"


def event_in_words(name: str, is_awaited: bool | None) -> str:
    """``event aproved, which nothing waits for yet``"""
    return f"event {_name(name)}" + (", which nothing waits for yet" if is_awaited is False else "")


def attempt_in_words(attempt: Attempt | None) -> str:
    """``attempt 1 of 3 failed, next in 2 s``; of the last one ``attempt 3 of 3``."""
    if attempt is None:
        return ""
    number = f"attempt {attempt.number}" + (f" of {attempt.most}" if attempt.most else "")
    if attempt.is_last:
        return number
    if attempt.next_in is None:
        return f"{number} failed"
    # What somebody has set has no figure behind the point that says nothing: 2 s, not 2.0 s.
    pause = f"in {duration(attempt.next_in).replace('.0 s', ' s')}" if attempt.next_in >= 0.001 else "at once"
    return f"{number} failed, next {pause}"


def _name(event: str) -> str:
    return shortened(event, _LONGEST_NAME)
