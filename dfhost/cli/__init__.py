"""The command line: one command in, one exit code out.

The verbs are in `commands/`, and `parser` reads their arguments. Here a mistake becomes a sentence, not a traceback.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

from dfhost.cli.commands import COMMANDS
from dfhost.cli.exit_codes import DONE, INTERRUPTED, NOT_COMPLETED, exit_code
from dfhost.cli.parser import parse
from dfhost.cli.style import printable_lines
from dfhost.errors import HostError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code (`exit_codes`)."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments[:2] == ["host", "start"]:  # `func host start`, as VS Code's tasks have it
        del arguments[0]
    if arguments[:1] == ["help"]:  # `git help log`
        arguments = [*arguments[1:2], "--help"]
    options = parse(arguments)
    try:
        code = COMMANDS[options.command].load().run(options)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `dfhost list | head -1`
        _drop_output()
        return DONE
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        _drop_output()
        print(f"dfhost: The output could not be written: {error.strerror}.", file=sys.stderr)
        return NOT_COMPLETED
    except HostError as error:
        # When the app cannot be imported, its own traceback says more than our sentence.
        sys.stderr.write(getattr(error, "traceback", ""))
        print(f"dfhost: {printable_lines(str(error))}", file=sys.stderr)
        return exit_code(error)


def _drop_output() -> None:
    """Leave nothing for Python to flush at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
