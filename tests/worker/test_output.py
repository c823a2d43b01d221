"""What a worker prints and logs reaches the host's sink, and what is only counted costs it little."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dfhost.worker.output import OutputReader
from tests.support.waiting import until

WORKER = """
from dfhost.worker.output import PipeSink
sink = PipeSink(verbose=False)
sink.print("info", "begins")
for number in range(5000):
    sink.count_records("info" if number % 5 else "warning", "shop")
{end}
"""


class Sink:
    verbose = False
    puts = 0

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.counts: list[tuple[str, str, int]] = []

    def print(self, label: str, text: str, at: float | None = None) -> None:
        self.lines.append(f"{label} {text}")

    def count_records(self, level: str, logger: str, number: int = 1) -> None:
        self.counts.append((level, logger, number))

    def write(self, text: str) -> None:
        self.lines.append(text)

    def flush(self) -> None:
        pass


@contextmanager
def worker(end: str) -> Iterator[Sink]:
    """What a host sees of a worker that counts 5,000 records and ends so, or with its stdin."""
    sink = Sink()
    command = [sys.executable, "-c", WORKER.format(end=end)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        reader = OutputReader(os.dup(process.stdout.fileno()), sink)
        reader.start()
        yield sink
        process.stdin.close()
        process.wait(60)
        reader.finish(60)


def test_every_record_is_counted_and_a_burst_comes_in_a_few_messages() -> None:
    with worker("sink.flush()") as sink:
        pass
    assert sink.lines == ["info begins"]
    totals = {
        level: sum(number for each, _, number in sink.counts if each == level)
        for level in ("info", "warning")
    }
    assert totals == {"info": 4000, "warning": 1000}
    assert {logger for _, logger, _ in sink.counts} == {"shop"}
    assert len(sink.counts) < 500


def test_counts_come_without_anything_else_to_say() -> None:
    with worker("import sys; sys.stdin.read()") as sink:
        until(lambda: sum(number for _, _, number in sink.counts), lambda counted: counted == 5000)


@pytest.mark.parametrize("line_end", ["\n", "\r"])
@pytest.mark.parametrize("printed", ["abc\0def", "\0", "\0[1]", f"\0{'[' * 100_000}"])
def test_zero_bytes_of_the_app_are_shown_as_they_are(printed: str, line_end: str) -> None:
    line = f"{printed}{line_end}"
    sink = Sink()
    read, write = os.pipe()
    reader = OutputReader(read, sink)
    reader.start()
    os.write(write, line.encode())
    until(lambda: "".join(sink.lines), lambda shown: shown == line)
    os.write(write, b"after\n")
    os.close(write)
    reader.finish(60)
    assert "".join(sink.lines) == f"{line}after\n"
