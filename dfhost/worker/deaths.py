"""Deaths of workers: when the next one is started, and what the console says."""

from __future__ import annotations

import time
from collections import Counter

from dfhost.host_log import HostLog
from dfhost.running_calls import described_call, ordinal
from dfhost.worker.process import RunningCall, WorkerProcess

RESTART_INTERVAL = 10.0  # seconds between two starts (WorkerProcessCountOptions.ProcessRestartInterval)
_RECYCLED_AFTER = 3  # deaths of each worker, in
_WINDOW = 30 * 60.0  # seconds, on Azure
_SHOWN = 5


class DeathReport:
    """`count`: of the workers."""

    def __init__(self, log: HostLog, count: int, restart_interval: float) -> None:
        self._log = log
        self._limit = _RECYCLED_AFTER * count
        self._restart_interval = restart_interval
        self._deaths: list[float] = []

    def restart_delay(self, last_start: float) -> float:
        """Seconds until the next worker is started, for one that has just died."""
        now = time.monotonic()
        self._deaths = [at for at in self._deaths if at > now - _WINDOW] + [now]
        return 0.0 if len(self._deaths) == 1 else max(0.0, last_start + self._restart_interval - now)

    def report(self, process: WorkerProcess, delay: float | None) -> None:
        """To be called before its calls fail. `delay` None: no other worker starts for it."""
        sentence = (
            f"The app's worker process {process.pid} has ended ({process.end}). "
            f"It was running {calls_in_words(list(process.calls.values()))}."
        )
        if delay is None:
            self._log.note(sentence)
            return
        sentence += (
            f" Another worker starts {f'in {delay:.0f} s; calls wait for it' if delay else 'at once'}."
        )
        if len(self._deaths) == self._limit:
            sentence += (
                f" That was the {ordinal(self._limit)} within 30 minutes: Azure would now recycle the host."
            )
        self._log.note(sentence)


def calls_in_words(calls: list[RunningCall]) -> str:
    """ "no call", "activity render of instance order-17 and function items (2 calls)"."""
    if not calls:
        return "no call"
    counts = Counter(map(_described, calls)).most_common(_SHOWN)
    shown = [f"{text} ({number} calls)" if number > 1 else text for text, number in counts]
    if more := len(calls) - sum(number for _, number in counts):
        shown.append(f"{more} more")
    return f"{', '.join(shown[:-1])} and {shown[-1]}" if len(shown) > 1 else shown[0]


def _described(call: RunningCall) -> str:
    kind = "function" if call.instance_id is None else call.kind  # "invoke" and "stream" are the protocol's
    return described_call(kind, call.function, call.instance_id)
