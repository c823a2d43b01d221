"""`python -m dfhost` and the `dfhost` command."""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress

from dfhost.cli import main as _main


def main() -> None:
    """Run the command line and leave: exit handlers run, what was printed is written, and that is all.

    The interpreter is not taken down around the app's threads: some never end, others print meanwhile, which
    Python answers with a fatal error. The platform, too, ends a worker where it stands.
    """
    code = _main()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
