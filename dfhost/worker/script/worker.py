"""What a worker's Python runs. It has a folder of its own, since Python puts that first on `sys.path`."""

import signal
import sys
from importlib.util import find_spec
from pathlib import Path


def main() -> None:
    # The host ends the worker. What ctrl-C or a service manager sends to all processes is meant for the host.
    # Handlers, unlike ignored signals, are not inherited by the programs that the app starts.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)

    if (folder := str(Path(__file__).resolve().parent)) in sys.path:
        sys.path.remove(folder)
    if find_spec("dfhost") is None:  # the host runs from a checkout that was not installed
        sys.path.append(str(Path(__file__).resolve().parents[3]))

    from dfhost.worker.main import main

    main()


if __name__ == "__main__":  # the processes that the app spawns by multiprocessing import this file, too
    main()
