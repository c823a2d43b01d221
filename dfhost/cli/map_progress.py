"""How far the running maps are: on a terminal in the console's last line, elsewhere a line now and then.

A map is an instance whose custom status has a total, see docs/map.md. How much of it has ended is in its custom
status, or else in its ledger.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from dfhost.cli.console import Console
from dfhost.cli.progress import LineTimes
from dfhost.cli.reported_progress import ReportedProgress, reported_progress
from dfhost.cli.style import count, printable
from dfhost.short_id import short_id

if TYPE_CHECKING:
    from dfhost.host import Host

_LOOK_SECONDS = 1.0
_TIME_PER_READ = 25  # the pause after a reading, at least, in multiples of what the reading took
_RATE_OVER = 10.0  # seconds


async def show_map_progress(host: Host, console: Console) -> None:
    """To be cancelled when the host stops. Ends if the store cannot be read: of that the host itself speaks."""
    with suppress(Exception):
        await _show(host, console)


async def _show(host: Host, console: Console) -> None:
    maps: dict[str, _Map] = {}
    commits = -1
    while True:
        began = time.monotonic()
        if host.hub.commits != commits:
            commits = host.hub.commits
            before, maps = maps, {}
            for id, name, custom_status, ledger in await host.hub.progress_reports():
                if progress := _reported(custom_status) or _reported(ledger):
                    maps[id] = before.get(id) or _Map(f"{printable(name)} {printable(short_id(id))}")
                    maps[id].read(progress)
        texts = [each.text() for each in maps.values()]
        if console.shows_progress:
            console.show_progress("   ".join(texts))
        else:
            for each, text in zip(maps.values(), texts, strict=True):
                if each.line_times.is_due(text):
                    console.print("", text)
        await asyncio.sleep(max(_LOOK_SECONDS, _TIME_PER_READ * (time.monotonic() - began)))


class _Map:
    def __init__(self, name: str) -> None:
        self._name = name
        self.line_times = LineTimes()
        self._readings: deque[tuple[float, ReportedProgress]] = deque()  # with when, of the last seconds

    def read(self, progress: ReportedProgress) -> None:
        self._readings.append((time.monotonic(), progress))

    def text(self) -> str:
        """``map_orchestrator order-7: 420 of 1,000, 3 failed, 55/s``"""
        now = time.monotonic()
        while len(self._readings) > 1 and self._readings[0][0] < now - _RATE_OVER:
            self._readings.popleft()
        since, first = self._readings[0]
        _, (done, total, failed) = self._readings[-1]
        parts = [f"{count(done)} of {count(total)}"]
        if failed:
            parts.append(f"{count(failed)} failed")
        if done > first.done:
            parts.append(f"{(done - first.done) / (now - since):,.0f}/s")
        return f"{self._name}: {', '.join(parts)}"


def _reported(text: str | None) -> ReportedProgress | None:
    return reported_progress(json.loads(text)) if text else None
