"""How far the running maps are: on a terminal in the console's last line, elsewhere a line now and then.

If a map ends with failed or missing items, a line says how many: its own line is that of any orchestration.
How much of a map has ended is in its ledger, see docs/map.md. An instance without one may have counts in its custom
status.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from dfhost.cli.console.console import Console
from dfhost.cli.progress.bar import LineTimes
from dfhost.cli.style import count, printable
from dfhost.reported_progress import ReportedProgress
from dfhost.short_id import short_id
from dfhost.timestamps import timestamp_of

if TYPE_CHECKING:
    from dfhost.host import Host

_LOOK_SECONDS = 1.0
_TIME_PER_READ = 25  # the pause after a reading, at least, in multiples of what the reading took
_RATE_OVER = 10.0  # seconds
_COMMIT_SECONDS = 10.0  # at most, between the time of an end and its commit


async def show_map_progress(host: Host, console: Console) -> None:
    """To be cancelled when the host stops. Ends if the store cannot be read: of that the host itself speaks."""
    with suppress(Exception):
        await _show(host, console)


async def _show(host: Host, console: Console) -> None:
    maps: dict[str, _Map] = {}
    ended: set[str] | None = None  # which have had their line, those that an earlier host has run among them
    commits, since = -1, time.time() - _COMMIT_SECONDS
    while True:
        began = time.monotonic()
        if host.hub.commits != commits:
            commits = host.hub.commits
            before, maps, ended_before, ended = maps, {}, ended, set[str]()
            until, since = since, time.time() - _COMMIT_SECONDS
            for run in reversed(await host.hub.maps(timestamp_of(until))):
                title = f"{printable(run.name)} {printable(short_id(run.map_id))}"
                if not (progress := run.progress):
                    continue
                if run.is_over:
                    ended.add(run.map_id)
                    is_new = ended_before is not None and run.map_id not in ended_before
                    if is_new and (missing := _missing(progress)):
                        console.print("", f"{title} ended: {missing}")
                elif run.status == "Running":
                    maps[run.map_id] = before.get(run.map_id) or _Map(title)
                    maps[run.map_id].read(progress)
        if console.shows_progress:
            console.show_progress("   ".join(each.text() for each in maps.values() if not each.is_complete))
        else:
            for each in maps.values():
                if each.is_line_due():
                    console.print("", each.text())
        await asyncio.sleep(max(_LOOK_SECONDS, _TIME_PER_READ * (time.monotonic() - began)))


class _Map:
    def __init__(self, name: str) -> None:
        self._name = name
        self._line_times = LineTimes()
        self._has_line = False
        self._readings: deque[tuple[float, ReportedProgress]] = deque()  # with when, of the last seconds

    def read(self, progress: ReportedProgress) -> None:
        self._readings.append((time.monotonic(), progress))

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to say of it, though its orchestration may go on and wait for an approval."""
        _, (done, total, _) = self._readings[-1]
        return done == total

    def is_line_due(self) -> bool:
        """Whether it has a line now, which it has only when its counts have changed."""
        if self.is_complete and not self._has_line:
            return False
        is_due = self._line_times.is_due(self._readings[-1][1])
        self._has_line |= is_due
        return is_due

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
        if first.done < done < total:
            parts.append(f"{(done - first.done) / (now - since):,.0f}/s")
        return f"{self._name}: {', '.join(parts)}"


def _missing(progress: ReportedProgress) -> str:
    """``119 of 120 succeeded, 1 failed``; "" if all did."""
    done, total, failed = progress
    parts = [f"{count(done - failed)} of {count(total)} succeeded"]
    if failed:
        parts.append(f"{count(failed)} failed")
    if done < total:
        parts.append(f"{count(total - done)} not done")
    return ", ".join(parts) if len(parts) > 1 else ""
