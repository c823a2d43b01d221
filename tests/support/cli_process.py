"""`python -m dfhost` as a real process, its lines to be waited for."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

DEADLINE = 60.0  # seconds; machines may be slow, and nothing waits as long as that when all is well


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "dfhost", *map(str, arguments)]


def environment(**more: str) -> dict[str, str]:
    """The tests' own, without what would change what is printed."""
    kept = {name: text for name, text in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    return {**kept, "PYTHONUNBUFFERED": "", **more}


def dfhost(
    *arguments: str | Path, cwd: Path | None = None, input: bytes = b"", **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    done = subprocess.run(
        command(*arguments),
        cwd=cwd,
        input=input,
        env=environment(**environ),
        capture_output=True,
        timeout=DEADLINE,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


class Started:
    """`dfhost start`, as a context manager; `url` once it serves. Killed at the end if it still runs."""

    def __init__(self, *arguments: str | Path, **environ: str) -> None:
        self.lines: list[str] = []
        self.url = ""
        self._process = subprocess.Popen(
            command("start", *arguments, "--port", "0"),
            env=environment(**environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._more = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Started:
        self.url = self.line(r"Ready on (http://localhost:\d+)\.")[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        if self._process.stdout:
            self._process.stdout.close()

    def line(self, pattern: str) -> re.Match[str]:
        """The first line that `pattern` is found in, as soon as it is printed."""
        seen = 0
        with self._more:
            while True:
                for text in self.lines[seen:]:
                    if found := re.search(pattern, text):
                        return found
                seen = len(self.lines)
                if self._ended or not self._more.wait(DEADLINE):
                    raise AssertionError(f"no line has {pattern!r}:\n" + "\n".join(self.lines))

    def signal(self, number: signal.Signals = signal.SIGINT) -> None:
        self._process.send_signal(number)

    def exit_code(self) -> int:
        code = self._process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        return code

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=DEADLINE) as response:
            return response.status, response.read().decode()

    def start_instance(self, path: str, body: Any = None) -> str:
        """POST to a starter; the instance's id."""
        return str(json.loads(self.request("POST", path, body)[1])["id"])

    def _read(self) -> None:
        assert self._process.stdout is not None
        for text in self._process.stdout:
            self._add([text.rstrip("\n")])
        self._ended = True
        self._add([])

    def _add(self, lines: Iterable[str] | Sequence[str]) -> None:
        with self._more:
            self.lines.extend(lines)
            self._more.notify_all()
