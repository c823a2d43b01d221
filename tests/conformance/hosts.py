"""Starts dfhost as its users do: the command, on the conformance app, with a database that is thrown away."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

APP = Path(__file__).parent / "app"
START_DEADLINE = 60.0  # seconds


@contextmanager
def dfhost(app: Path = APP) -> Iterator[str]:
    """A running host's URL. What it said on the console is shown if it does not come up."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        log = Path(folder) / "console.log"
        command = [sys.executable, "-m", "dfhost", "start", str(app)]
        command += ["--port", str(port), "--db", str(Path(folder) / "hub.db")]
        with log.open("wb") as console:
            process = subprocess.Popen(
                command,
                stdout=console,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )
        try:
            wait_for(f"http://127.0.0.1:{port}", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_DEADLINE
    while True:
        try:
            with urllib.request.urlopen(f"{url}/admin/host/status", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"dfhost does not answer:\n{log.read_text(errors='replace')}") from None
            time.sleep(0.05)
