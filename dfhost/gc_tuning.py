"""Python's garbage collector, tuned for a process that replays histories.

The collector counts allocations. A replay makes thousands of objects that reference counting frees by itself, so
CPython's default thresholds make it scan them, and the loaded app, again and again. Measured on the SDK's own
replays (`benchmarks/floor.py`): 20 to 30 % less time at 5 to 1,000 items.
"""

from __future__ import annotations

import gc


def pause() -> None:
    """Stop collecting during the imports: what they make stays."""
    gc.disable()


def resume() -> None:
    """Exempt what was imported, and collect after 50,000 new objects instead of 700."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    gc.enable()
