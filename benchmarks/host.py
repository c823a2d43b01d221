"""A dfhost process of the benchmark's own: started on a fresh file, watched through /proc, stopped.

What the kernel counts is summed over the process and its descendants. Linux only; elsewhere the figures of
memory and CPU are left out (None).
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.client import Connection

ROOT = Path(__file__).resolve().parent.parent
APP = Path(__file__).with_name("app")
STATUS = "/admin/host/status"


class Host:
    """`seconds_to_serve`: from starting the process to the first answer."""

    def __init__(
        self,
        folder: Path,
        database: Path,
        log: Path,
        threads: int | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self.log = log
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.origin = f"http://127.0.0.1:{port}"
        environment = dict(os.environ)
        environment.pop("PYTHON_THREADPOOL_THREAD_COUNT", None)
        if threads:
            environment["PYTHON_THREADPOOL_THREAD_COUNT"] = str(threads)
        command = [sys.executable, "-m", "dfhost", "start", str(folder), *options]
        began = time.perf_counter()
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [*command, "--port", str(port), "--db", str(database)],
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=output,
            )
        self._until_it_answers(began + 60)
        self.seconds_to_serve = time.perf_counter() - began

    def _until_it_answers(self, deadline: float) -> None:
        while True:
            try:
                connection = Connection(self.origin, timeout=30)
                status, _ = connection.get(STATUS)
                connection.close()
                if status == 200:
                    return
            except OSError:
                pass
            if self.process.poll() is not None or time.perf_counter() > deadline:
                self.process.kill()
                tail = self.log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"dfhost does not answer at {self.origin}{STATUS}:\n{tail}")
            time.sleep(0.001)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def peak_memory(self) -> list[int]:
        """Bytes: the peaks (VmHWM) of the host and of its workers. Empty where the kernel does not say."""
        return [_status(pid, "VmHWM:") * 1024 for pid in self._processes()]

    def memory(self) -> list[int]:
        """Bytes resident now (VmRSS), likewise."""
        return [_status(pid, "VmRSS:") * 1024 for pid in self._processes()]

    def cpu(self) -> float | None:
        """Seconds of CPU used so far, to the nanosecond (schedstat), by all threads."""
        pids = self._processes()
        if not pids:
            return None
        return sum(_nanoseconds(pid) for pid in pids) / 1e9

    def _processes(self) -> list[int]:
        parents: dict[int, int] = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                pass
        family = [self.process.pid] if self.process.pid in parents else []
        for pid in family:
            family.extend(child for child, parent in parents.items() if parent == pid)
        return family


def _status(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    return 0


def _nanoseconds(pid: int) -> int:
    return sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{pid}/task").glob("*/schedstat"))


@contextmanager
def scratch(under: Path | None) -> Iterator[Path]:
    """A folder on a real disk, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="dfhost-bench-", dir=under))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def serving(
    work: Path, name: str, folder: Path = APP, threads: int | None = None, options: Sequence[str] = ()
) -> Iterator[Host]:
    """A host with a fresh database `name`.db in `work`, for the length of a `with`."""
    host = Host(folder, work / f"{name}.db", work / f"{name}.log", threads, options)
    try:
        yield host
    finally:
        host.stop()
