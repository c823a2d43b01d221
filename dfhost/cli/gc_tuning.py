"""Python's garbage collector, set for a process that replays histories. The process is the command line's own.

The collector counts allocations, and a replay makes thousands of objects that reference counting frees by itself:
with CPython's thresholds it looks through them, and through the loaded app, again and again. Measured on the
SDK's own replays (`benchmarks/floor.py`): 20 to 30 % less time at 5 to 1,000 items.
"""

from __future__ import annotations

import gc


def pause() -> None:
    """While everything is imported: what is made now stays."""
    gc.disable()


def resume() -> None:
    """What was imported is never looked at again; cycles are looked for after 50,000 new objects, not 700."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    gc.enable()
