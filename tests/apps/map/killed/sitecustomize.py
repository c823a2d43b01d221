"""Kills the host it is on the path of, before the n-th commit after the file KILL_AT appeared, which holds n.

It watches through SQLite's own trace, so it knows nothing of who commits, or why.
"""

import os
import signal
import sqlite3

_connect = sqlite3.connect
_armed = os.environ["KILL_AT"]
_seen = 0


def _trace(statement):
    global _seen
    if statement.startswith("COMMIT") and os.path.exists(_armed):
        _seen += 1
        with open(_armed) as file:
            if _seen >= int(file.read()):
                os.kill(os.getpid(), signal.SIGKILL)


def _traced(*arguments, **options):
    connection = _connect(*arguments, **options)
    connection.set_trace_callback(_trace)
    return connection


sqlite3.connect = _traced
