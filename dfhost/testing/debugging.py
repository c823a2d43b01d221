"""Whether somebody debugs this process. Then no time-out may end a test while it stands at a breakpoint."""

from __future__ import annotations

import sys

_DEBUGGERS = frozenset(("bdb", "pdb", "pydevd", "_pydevd_bundle", "pydevd_frame_evaluator", "debugpy"))
_is_debugged = False


def debugger_entered() -> None:
    """To be called when a debugger is known to have stopped."""
    global _is_debugged
    _is_debugged = True


def is_debugged() -> bool:
    """Coverage traces, too, so it matters who does."""
    trace = sys.gettrace()
    module = str(getattr(trace, "__module__", "") or type(trace).__module__).partition(".")[0]
    if _is_debugged or (trace is not None and module in _DEBUGGERS):
        return True
    monitoring = getattr(sys, "monitoring", None)  # Python 3.12
    return monitoring is not None and monitoring.get_tool(monitoring.DEBUGGER_ID) is not None
