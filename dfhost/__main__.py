"""`python -m dfhost` and the `dfhost` command."""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress

from dfhost.cli import main as _main


def main() -> None:
    """Run the command line, run the exit handlers, flush the streams, and end the process without a teardown.

    Some threads of an app never end, and one that prints during the interpreter's teardown makes Python abort with
    a fatal error. Azure ends a worker process in the same way.
    """
    if sys.path and sys.path[0] in ("", os.getcwd()):
        # `python -m` puts the present folder first. As in the real worker, an app's own folder comes last.
        sys.path.append(sys.path.pop(0))
    code = _main()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
