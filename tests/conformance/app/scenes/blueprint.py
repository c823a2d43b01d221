"""The one blueprint, the short names of its decorators, and what the app remembers outside any history.

The memory is the process's own: it counts calls that a replay must not repeat, and it keeps the gates by
which a scenario holds an activity until it has seen what it wants to see.
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

import azure.durable_functions as df
import azure.functions as func

bp = df.Blueprint(http_auth_level=func.AuthLevel.ANONYMOUS)
orchestrator = bp.orchestration_trigger(context_name="context")
activity = bp.activity_trigger(input_name="value")

PATIENCE = 90.0  # seconds that a held activity waits; longer than any scenario's own deadline

_lock = threading.Lock()
_calls: Counter[str] = Counter()
_open: set[str] = set()


def call_number(key: str) -> int:
    """1 for the first call with this key, 2 for the second, ..."""
    with _lock:
        _calls[key] += 1
        return _calls[key]


def open_gate(name: str) -> None:
    _open.add(name)


async def gate(name: str) -> None:
    """Return once `open_gate(name)` was called."""
    await _until(lambda: name in _open, f"gate {name} to open")


async def meet(key: str, parties: int) -> None:
    """Return once `parties` callers have come with this key: proof that they run at the same time."""
    call_number(f"meet {key}")
    await _until(lambda: _calls[f"meet {key}"] >= parties, f"{parties} to meet at {key}")


async def _until(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {PATIENCE:.0f} s for {what}")
        await asyncio.sleep(0.01)


def later(context: df.DurableOrchestrationContext, seconds: float) -> datetime:
    return context.current_utc_datetime + timedelta(seconds=seconds)
