"""A process that is asked to do one piece of work and says how long it took: the floor, and each peer.

Both ends of a small protocol over pipes: one line of JSON asks, one answers. Between two questions the
process waits in `readline` and costs nothing. The standard library only: peers import this from a virtual
environment of their own.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def processed(n: int) -> list[str]:
    """What a fan-out of n items must return."""
    return [f"Processed item-{i}" for i in range(1, n + 1)]


def serve(work: Callable[[], Generator[Any, Any, None]]) -> None:
    """The inner end. `work` yields once when ready, is sent each question, and yields its answer.

    Whatever the work prints goes to stderr, so that it cannot be taken for an answer.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    generator = work()
    print(json.dumps(next(generator)), file=answers)
    for line in sys.stdin:
        print(json.dumps(generator.send(json.loads(line))), file=answers)
    generator.close()


class Worker:
    """The outer end: `ask()` is one piece of work. What the process says goes to `log`."""

    def __init__(self, python: str, module: str, log: Path, *options: str) -> None:
        self.module, self.log = module, log
        with log.open("ab") as stderr:
            self.process = subprocess.Popen(
                [python, "-m", module, *options],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        self.ready: dict[str, Any] = self._answer()

    def ask(self, **question: Any) -> dict[str, Any]:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.module} ended: see {self.log}\n{self.log.read_text()[-2000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """Let it clean up after itself: the end of its input is the end of its work."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
