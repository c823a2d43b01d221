"""The command line: one command in, one exit code out.

The verbs are in `commands/`, and `parser` reads their arguments. Here a mistake becomes a sentence, not a traceback.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dfhost.cli.commands import COMMANDS
from dfhost.cli.exit_codes import exit_code
from dfhost.cli.parser import parse
from dfhost.cli.style import printable_lines
from dfhost.errors import HostError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code (`exit_codes`)."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        return COMMANDS[options.command].load().run(options)
    except KeyboardInterrupt:
        return 130
    except HostError as error:
        # When the app cannot be imported, its own traceback says more than our sentence.
        sys.stderr.write(getattr(error, "traceback", ""))
        print(f"dfhost: {printable_lines(str(error))}", file=sys.stderr)
        return exit_code(error)
