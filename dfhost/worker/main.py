"""The process of a worker from its start to its end: its streams, its ties to the host. `Worker` does the rest."""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

from dfhost import forked_children
from dfhost.app import exceptions
from dfhost.app_output import AppLogLevels, LogHandling
from dfhost.worker.output import PipeSink, WorkerStream
from dfhost.worker.worker import Worker, end_process


def main() -> None:
    start, host_pipe = _read_start()
    forked_children.end_at_sigterm(signal.getsignal(signal.SIGTERM))
    sink = PipeSink(start["verbose"])
    if sys.breakpointhook is sys.__breakpointhook__ and not os.environ.get("PYTHONBREAKPOINT"):
        sys.breakpointhook = _breakpoint
    sys.stdout, sys.stderr = streams = WorkerStream(1, sink), WorkerStream(2, sink)
    faulthandler.enable(file=2, all_threads=False)
    threading.Thread(target=_end_with_host, args=(host_pipe,), name="host", daemon=True).start()
    levels = AppLogLevels(start["log_levels"], start["verbose"], start["quiet"])
    peer = socket.create_connection(("127.0.0.1", start["port"]))
    with LogHandling(sink, levels):
        worker = Worker(Path(start["root"]), start["only"], peer, start["secret"], streams)
        worker.say_hello()  # before the app is loaded, which may take its time
        worker.run()
        for stream in streams:
            stream.finish()
        sink.flush()
    end_process()


def _read_start() -> tuple[dict[str, Any], int]:
    """The host's JSON line, and the pipe that it came by, which ends with the host. The app gets an empty stdin."""
    line = b""
    while not line.endswith(b"\n"):
        if not (byte := os.read(0, 1)):
            sys.exit("The app's worker is started by dfhost.")
        line += byte
    host_pipe = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    start: dict[str, Any] = json.loads(line)
    return start, host_pipe


def _breakpoint(*_: object, **__: object) -> None:
    """pdb would read the end of the empty stdin, and fail the call by a BdbQuit."""
    print(
        f"breakpoint() has no terminal in a worker process{exceptions.place_of_frame(sys._getframe(1))}. "
        "Start dfhost with --in-process to use it, or with --debug for a debugger.",
        file=sys.stderr,
    )


def _end_with_host(host_pipe: int) -> None:
    """The host is gone: nobody needs this process any more, and it may be deep in user code."""
    os.read(host_pipe, 1)
    end_process()
