"""Gates at which the apps under test stop, so that a test decides the order of what happens.

An app in the test's own process imports this module: user code calls `stop_at("work")`, the test awaits `arrivals`
and calls `open`. No test sleeps in the hope that something has happened meanwhile.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict

from tests.support.waiting import DEADLINE


class Gate:
    """`arrived`: who has come so far, in order; `most`: the greatest number that stood here at one moment."""

    def __init__(self) -> None:
        self.is_open = threading.Event()
        self.arrived: list[object] = []
        self.most = 0
        self._inside = 0
        self._lock = threading.Lock()

    def enter(self, who: object) -> None:
        with self._lock:
            self.arrived.append(who)
            self._inside += 1
            self.most = max(self.most, self._inside)

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1


_gates: defaultdict[str, Gate] = defaultdict(Gate)


# -- for user code -------------------------------------------------------------------------------------------
def stop_at(name: str, who: object = None) -> None:
    """Block the thread until the gate is open."""
    gate = _gates[name]
    gate.enter(who)
    try:
        if not gate.is_open.wait(DEADLINE):
            raise TimeoutError(f"nobody opened the gate {name!r}")
    finally:
        gate.leave()


def note(name: str, who: object = None) -> None:
    """Arrive without stopping."""
    _gates[name].enter(who)
    _gates[name].leave()


async def stop_at_async(name: str, who: object = None) -> None:
    """Wait until the gate is open, without blocking the loop."""
    gate = _gates[name]
    gate.enter(who)
    try:
        while not gate.is_open.is_set():
            await asyncio.sleep(0.002)
    finally:
        gate.leave()


def is_open(name: str) -> bool:
    return _gates[name].is_open.is_set()


# -- for the test --------------------------------------------------------------------------------------------
def open(*names: str) -> None:
    """Let through those who stand there and those who come later."""
    for name in names:
        _gates[name].is_open.set()


def close(name: str) -> None:
    _gates[name].is_open.clear()


def arrived(name: str) -> list[object]:
    """Those who have come to the gate, in order."""
    return list(_gates[name].arrived)


def most(name: str) -> int:
    """The greatest number that stood at the gate at one moment."""
    return _gates[name].most


async def arrivals(name: str, count: int = 1) -> list[object]:
    """Those who have come, as soon as there are `count`."""
    deadline = time.monotonic() + DEADLINE
    while len(_gates[name].arrived) < count:
        if time.monotonic() > deadline:
            raise AssertionError(f"{len(arrived(name))} of {count} came to the gate {name!r}")
        await asyncio.sleep(0.002)
    return arrived(name)


def open_all() -> None:
    """Open every gate."""
    open(*_gates)


def reset() -> None:
    """Open and forget every gate."""
    open_all()
    _gates.clear()
