"""Which executions stay in memory while nothing happens to them.

Everything can be read back from the store, at the price of one replay. That is little for a short history, so of
those the newest few are kept; a parent of ten thousand children would pay it for every child, so long histories
go last, by their total size.
"""

from __future__ import annotations

from collections import OrderedDict

KEPT_SHORT = 1000
KEPT_EVENTS = 500_000  # in long histories, all together: about 250 MB
_LONG = 200  # events


class InstanceCache:
    """Instance ids in the order in which they came to rest."""

    def __init__(self) -> None:
        self._short: OrderedDict[str, None] = OrderedDict()
        self._long: OrderedDict[str, int] = OrderedDict()
        self._events = 0

    def add(self, instance_id: str, events: int) -> None:
        """`instance_id` rests, with so many events in its history."""
        self.remove(instance_id)
        if events < _LONG:
            self._short[instance_id] = None
        else:
            self._long[instance_id] = events
            self._events += events

    def surplus(self) -> list[str]:
        """Who is to be forgotten, and is no longer known here."""
        forgotten = []
        while len(self._short) > KEPT_SHORT:
            forgotten.append(self._short.popitem(last=False)[0])
        while self._events > KEPT_EVENTS and len(self._long) > 1:
            oldest, size = self._long.popitem(last=False)
            self._events -= size
            forgotten.append(oldest)
        return forgotten

    def remove(self, instance_id: str) -> None:
        """It has something to do, or is gone."""
        self._short.pop(instance_id, None)
        self._events -= self._long.pop(instance_id, 0)
