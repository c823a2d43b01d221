"""Workers that die, hang or load slowly: when the next one is started, and what the console says."""

from __future__ import annotations

import time
from math import ceil

from dfhost.host_log import HostLog
from dfhost.running_calls import described_call, ordinal
from dfhost.short_id import short_id
from dfhost.worker.calls import RunningCall
from dfhost.worker.output import Terminal
from dfhost.worker.process import Stacks, WorkerProcess

RESTART_INTERVAL = 10.0  # seconds between two starts (WorkerProcessCountOptions.ProcessRestartInterval)
# With n workers Azure recycles the host after 3n deaths within 30 minutes.
_RECYCLED_AFTER = 3
_WINDOW = 30 * 60.0  # seconds
_SHOWN = 5
_SHOWN_IDS = 3


class DeathReport:
    """`count`: of the workers. What they print goes to `terminal`."""

    def __init__(self, log: HostLog, terminal: Terminal, count: int, restart_interval: float) -> None:
        self._log = log
        self._terminal = terminal
        self._limit = _RECYCLED_AFTER * count
        self._meanwhile = "; calls wait for it" if count == 1 else ""
        self._restart_interval = restart_interval
        self._restarts: list[float] = []
        self._deaths: list[float] = []

    def restart_delay(self, last_start: float) -> float:
        """Seconds until the next worker is started, for one that has died or hangs."""
        self._restarts = _recent_and_now(self._restarts)
        is_first = len(self._restarts) == 1
        return 0.0 if is_first else max(0.0, last_start + self._restart_interval - time.monotonic())

    def report_late(
        self, process: WorkerProcess, late: list[RunningCall], delay: float | None, grace: float
    ) -> None:
        """`late`: its calls that have timed out. The others may take `grace` seconds. `delay`: as in `report`."""
        them = calls_in_words(late)
        sentence = (
            f"{them[0].upper()}{them[1:]} took longer than functionTimeout, so worker process {process.pid} is "
            + ("ended." if delay is None else f"replaced. {self._next_start(delay)}")
        )
        if others := list(process.calls.values()):
            sentence += f" What else runs in the old one has {grace:.0f} s to end: {calls_in_words(others)}."
        self._log.note(sentence)

    def report_stacks(self, pid: int, late: list[RunningCall], stacks: Stacks) -> None:
        """Where the calls that have timed out are."""
        calls: dict[tuple[str | None, str | None], RunningCall] = {
            (call.function, call.instance_id): call for call in late
        }
        hanging = [(calls[name, id], stack) for name, id, stack in stacks if (name, id) in calls]
        for call, stack in hanging[:_SHOWN]:
            words = calls_in_words([call])
            self._log.note(f"{words[0].upper()}{words[1:]} hangs here:")
            self._terminal.print("", stack.rstrip())
        if not hanging:
            for stack in [stack for name, _, stack in stacks if name is None][:_SHOWN]:
                self._log.note(f"Worker process {pid} was here:")
                self._terminal.print("", stack.rstrip())

    def report_loading(self, seconds: float, stacks: Stacks) -> None:
        """The app's import takes long."""
        where = next((stack for _, _, stack in stacks), "")
        self._log.note(f"The app has been loading for {seconds:.0f} s{' and is here:' if where else '.'}")
        if where:
            self._terminal.print("", where.rstrip())

    def report(self, process: WorkerProcess, delay: float | None) -> None:
        """To be called before its calls fail. `delay` None: no other worker starts for it."""
        calls = list(process.calls.values())
        sentence = (
            f"The app's worker process {process.pid} has ended ({process.how_it_ended}). "
            f"It was running {calls_in_words(calls)}"
            + ("; any of them may have ended it." if len(calls) > 1 else ".")
        )
        if delay is not None:
            self._deaths = _recent_and_now(self._deaths)
            sentence += f" {self._next_start(delay)}"
            if len(self._deaths) == self._limit:
                nth = ordinal(self._limit)
                sentence += f" That was the {nth} within 30 minutes: Azure would now recycle the host."
        lines = process.output.unseen_lines()
        self._log.note(f"{sentence} Its last output:" if lines else sentence)
        if lines:
            self._terminal.print("", "\n".join(lines))

    def _next_start(self, delay: float) -> str:
        return f"Another worker starts {f'in {ceil(delay)} s{self._meanwhile}' if delay else 'at once'}."


def _recent_and_now(moments: list[float]) -> list[float]:
    """The moments of the last 30 minutes, and the present one."""
    now = time.monotonic()
    return [*(at for at in moments if at > now - _WINDOW), now]


def calls_in_words(calls: list[RunningCall]) -> str:
    """ "no call", "5 calls of activity render (order-17, order-18, …) and function items": by function."""
    if not calls:
        return "no call"
    groups: dict[tuple[str, str], list[RunningCall]] = {}
    for call in calls:
        groups.setdefault((_kind(call), "" if call.kind == "entity" else call.function), []).append(call)
    largest = sorted(groups.values(), key=len, reverse=True)
    shown = [_group_in_words(group) for group in largest[:_SHOWN]]
    if more := sum(map(len, largest[_SHOWN:])):
        shown.append(f"{more} more")
    return f"{', '.join(shown[:-1])} and {shown[-1]}" if len(shown) > 1 else shown[0]


def _group_in_words(group: list[RunningCall]) -> str:
    """Calls of one function, or operations of entities."""
    first = group[0]
    ids = list(dict.fromkeys(short_id(call.instance_id) for call in group if call.instance_id))
    if len(group) == 1:
        return described_call(_kind(first), first.function, ids[0] if ids else None)
    what = "entities" if first.kind == "entity" else f"{_kind(first)} {first.function}"
    dots = ", …" if len(ids) > _SHOWN_IDS else ""
    return f"{len(group)} calls of {what}" + (f" ({', '.join(ids[:_SHOWN_IDS])}{dots})" if ids else "")


def _kind(call: RunningCall) -> str:
    return "function" if call.instance_id is None else call.kind  # "invoke" and "stream" are the protocol's
