"""`python -m dfhost` as a real process: run to its end, or started, watched, signalled and killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from types import TracebackType

from tests.support.http_client import HttpClient
from tests.support.waiting import DEADLINE

#: Options of every `dfhost start`: `make test-in-process` sets them.
START_OPTIONS = os.environ.get("TEST_START_OPTIONS", "").split()

#: What `run_dfhost` is, and the fixture `dfhost_here`: one command, run to its end.
Dfhost = Callable[..., "subprocess.CompletedProcess[str]"]


def dfhost_command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "dfhost", *map(str, arguments)]


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without what would change what dfhost prints, and with `more`."""
    kept = {name: text for name, text in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    return {**kept, "PYTHONUNBUFFERED": "", **more}


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def run_dfhost(
    *arguments: str | Path,
    cwd: Path | None = None,
    input: bytes = b"",
    prefix: Sequence[str] = (),
    **environ: str,
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, behind the words of `prefix`."""
    done = subprocess.run(
        [*prefix, *dfhost_command(*arguments)],
        cwd=cwd,
        input=input,
        env=clean_environment(**environ),
        capture_output=True,
        timeout=DEADLINE,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


class HostProcess:
    """`dfhost start` on `port`, 0 for a free one, as a context manager. Killed at the end if it still runs.

    Inside the block it serves at `url`; `lines` holds what it has printed so far on stdout and stderr. If it ends
    there and nobody has signalled it or asked for its exit code, the block ends with an AssertionError.
    """

    _open_output = staticmethod(os.pipe)

    def __init__(
        self, *arguments: str | Path, port: str = "0", cwd: str | Path = ".", **environ: str
    ) -> None:
        self.lines: list[str] = []
        self._more = threading.Condition()
        self._ended = False
        self._may_end = False
        output, stdout = self._open_output()
        self._output = os.fdopen(output, errors="replace")  # its universal newlines end a line at each \r
        self._process = subprocess.Popen(
            dfhost_command("start", *arguments, *START_OPTIONS, "--port", port),
            cwd=cwd,
            env=clean_environment(COLUMNS="200", LINES="50", **environ),
            stdout=stdout,
            stderr=stdout,
        )
        os.close(stdout)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> HostProcess:
        try:
            self.line(r"Ready on ")
        except AssertionError:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        ended_by_itself = self._process.poll() is not None and not self._may_end
        self.close()
        if ended_by_itself and error is None:
            raise AssertionError(f"the host has ended with {self._process.returncode}:\n{self.text}")

    @cached_property
    def url(self) -> str:
        return self.line(r"Ready on (http://localhost:\d+)\.")[1]

    @cached_property
    def client(self) -> HttpClient:
        return HttpClient(self.url)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def text(self) -> str:
        """What it has printed so far."""
        return "\n".join(self.lines)

    def line(self, pattern: str) -> re.Match[str]:
        """The first line in which `pattern` is found, as soon as it is printed."""
        seen = 0
        with self._more:
            while True:
                for text in self.lines[seen:]:
                    if found := re.search(pattern, text):
                        return found
                seen = len(self.lines)
                if self._ended or not self._more.wait(DEADLINE):
                    state = f"ended with {self._process.wait()}" if self._ended else "still runs"
                    raise AssertionError(f"no line has {pattern!r}, and the host {state}:\n{self.text}")

    def signal(self, number: signal.Signals = signal.SIGINT) -> None:
        self._may_end = True
        self._process.send_signal(number)

    def exit_code(self) -> int:
        """Wait until the process has ended and all its output is in `lines`."""
        self._may_end = True
        code = self._process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        return code

    def kill(self) -> None:
        """SIGKILL; the process has ended when this returns."""
        self.signal(signal.SIGKILL)
        self.exit_code()

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self.exit_code()
        self._output.close()

    def start_instance(self, path: str, body: object = None) -> str:
        """POST to a starter of the app; the instance's id."""
        response = self.client.request("POST", path, body)
        assert response.status == 202, response
        return str(response.body["id"])

    def _read(self) -> None:
        with suppress(OSError):  # how Linux says that the other side of a terminal is closed
            for text in self._output:
                self._add(text.rstrip("\n"))
        self._ended = True
        self._add()

    def _add(self, *lines: str) -> None:
        with self._more:
            self.lines.extend(lines)
            self._more.notify_all()


class TerminalHostProcess(HostProcess):
    """One that prints to a terminal. What it writes in place of its last line is a further line here."""

    @staticmethod
    def _open_output() -> tuple[int, int]:
        import pty  # not on Windows

        return pty.openpty()
