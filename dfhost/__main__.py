"""`python -m dfhost` and the `dfhost` command."""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress

from dfhost.cli import main as _main


def main() -> None:
    """Run the command line and leave.

    At once, without taking the interpreter down: the app may have left threads that never end, and client
    sessions whose destructors complain. Exit handlers run, and what was printed is written.
    """
    code = _main()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
