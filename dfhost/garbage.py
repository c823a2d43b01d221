"""Garbage: how often Python collects it, and memory given back after large payloads.

The collector counts allocations. A replay makes thousands of objects that reference counting frees by itself, so
CPython's default thresholds make it scan them, and the loaded app, again and again. With the thresholds here the
SDK's own replays (`benchmarks/floor.py`) take 20 to 30 % less time at 5 to 1,000 items.

But the collector counts objects, not bytes. The SDK's objects of one replay refer to each other, so only the
collector frees them, and with them every text of the history. A hundred replays with payloads of 1 MB are far below
its threshold, and a gigabyte. And glibc keeps what is freed, in the arenas of all threads, until it is asked.
"""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress

_ORDINARY_EVENT = 1000  # characters: many small events are many objects, which the collector sees by itself
_COLLECT_AFTER = 16_000_000  # characters
_QUIET_SECONDS = 1.0
_WORTHWHILE = 500_000  # characters that are collected at once when nothing more comes


def pause_collector() -> None:
    """Stop collecting during the imports: what they make stays."""
    gc.disable()


def resume_collector() -> None:
    """Exempt what was imported, and collect after 50,000 new objects instead of 700."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    gc.enable()


def large_text(characters: int, events: int) -> int:
    """How many of the characters of a history are more than its events have as a rule."""
    return max(0, characters - events * _ORDINARY_EVENT)


class GarbageByVolume:
    """To be used on one loop, that of the host or that of a worker."""

    def __init__(self) -> None:
        self._characters = 0  # since the last collection
        self._young_collections = 0
        self._last_add = 0.0  # loop.time()
        self._is_waiting = False  # for a quiet second

    def add(self, characters: int) -> None:
        """So much large text was replayed (see `large_text`), and what was built from it may be garbage now."""
        self._characters += characters
        if self._characters < _WORTHWHILE:
            return
        loop = asyncio.get_running_loop()
        self._last_add = loop.time()
        if not self._is_waiting:
            self._is_waiting = True
            loop.call_later(_QUIET_SECONDS, self._collect_if_quiet, loop)
        if self._characters > _COLLECT_AFTER:
            self._young_collections += 1
            self._collect(1 if self._young_collections % 8 else 2)

    def _collect_if_quiet(self, loop: asyncio.AbstractEventLoop) -> None:
        seconds = self._last_add + _QUIET_SECONDS - loop.time()
        if seconds > 0:
            loop.call_later(seconds, self._collect_if_quiet, loop)
        else:
            self._is_waiting = False
            self._collect(2)

    def _collect(self, generation: int) -> None:
        self._characters = 0
        gc.collect(generation)
        _trim()


def _trim() -> None:
    """Return freed memory to the system. Only glibc needs it, and has it."""
    import ctypes  # here, since most hosts never see a large payload

    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
