"""Hosts that are killed: one file of state, one of marks, and what both say after each death.

The marks are written by the app (apps/crash); the state is read from a copy of the database as the dead process
left it, so that the next host finds everything as it was.
"""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from tests.support.cli_process import DEADLINE, Started

APP = Path(__file__).parents[1] / "apps" / "crash"
MANAGEMENT = "/runtime/webhooks/durabletask"
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy knows of a local host


class Mark(NamedTuple):
    life: int
    what: str
    key: str


@dataclass
class Remains:
    """What lay in the database when the process died."""

    histories: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # what has arrived comes last
    unfinished: dict[str, dict[int, str]] = field(default_factory=dict)  # instance -> task id -> input
    timers: dict[str, str] = field(default_factory=dict)  # instance -> when it fires next
    statuses: dict[str, str] = field(default_factory=dict)

    def tasks(self, instance_id: str, *kinds: int) -> list[int]:
        """The task ids that the events of these kinds are about, in order."""
        events = [event for event in self.histories[instance_id] if event["EventType"] in kinds]
        return [event.get("TaskScheduledId", event["EventId"]) for event in events]


TASK_SCHEDULED, TASK_COMPLETED, TASK_FAILED = 4, 5, 6


class Crashing:
    """A task hub in `folder` and the hosts that serve it one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "hub.db"
        self.release = folder / "release"
        self._marks = folder / "marks"
        self._marks.touch()
        self.life = 0

    def start(self) -> Started:
        """The next host, to be used as a context manager."""
        self.life += 1
        surroundings = {"MARKS": self._marks, "LIFE": self.life, "RELEASE": self.release}
        environ = {name: str(value) for name, value in surroundings.items()}
        return Started(APP, "--db", self.database, "--quiet", **environ)

    def marks(self) -> list[Mark]:
        lines = self._marks.read_text().splitlines()
        return [Mark(int(life), what, key) for life, what, key in (line.split(" ", 2) for line in lines)]

    def marks_now(self) -> int:
        """How many there are; costs next to nothing."""
        return self._marks.read_bytes().count(b"\n")

    def until_marked(self, what: str, *keys: str) -> None:
        """Wait until each of the keys has this mark of the present life."""
        wanted = {Mark(self.life, what, key) for key in keys}
        wait_until(lambda: wanted <= set(self.marks()), f"no {what} of {keys}")

    def remains(self) -> Remains:
        """Read what the dead process left, and leave it as it is."""
        copy = self.folder / f"remains-{self.life}"
        copy.mkdir()
        for file in self.folder.glob("hub.db*"):
            shutil.copy(file, copy)
        found = Remains()
        connection = sqlite3.connect(copy / "hub.db")
        for table in ("history", "inbox"):
            for instance_id, text in connection.execute(
                f"SELECT instance_id, event FROM {table} ORDER BY seq"
            ):
                if not instance_id.startswith("@"):
                    found.histories.setdefault(instance_id, []).append(json.loads(text))
        for instance_id, task_id, input in connection.execute(
            "SELECT instance_id, task_id, input FROM activities"
        ):
            found.unfinished.setdefault(instance_id, {})[task_id] = json.loads(input)
        found.timers = dict(connection.execute("SELECT instance_id, min(fire_at) FROM timers GROUP BY 1"))
        found.statuses = dict(connection.execute("SELECT instance_id, status FROM instances"))
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()
        shutil.rmtree(copy)
        return found


class Client:
    """The management API of a host that may die at any moment (OSError then)."""

    def __init__(self, host: Started) -> None:
        self._base = host.url.replace("localhost", "127.0.0.1") + MANAGEMENT

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._base}/{path}", data=data, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with _OPENER.open(request, timeout=DEADLINE) as response:
                return response.status, json.loads(response.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def start(self, orchestrator: str, instance_id: str, input: Any = None) -> None:
        """The instance exists when this returns."""
        body = None if input is None else json.dumps(input)
        status, answer = self.request("POST", f"orchestrators/{orchestrator}/{quote(instance_id)}", body)
        assert status == 202, (status, answer)

    def tell(self, instance_id: str, verb: str, body: Any = None) -> None:
        status, answer = self.request("POST", f"instances/{quote(instance_id)}/{verb}", body)
        assert status == 202, (status, answer)

    def status(self, instance_id: str) -> dict[str, Any]:
        status, answer = self.request("GET", f"instances/{quote(instance_id)}")
        assert status in (200, 202), (status, answer)
        return dict(answer)

    def until(self, instance_id: str, test: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        told: dict[str, Any] = {}

        def asked() -> bool:
            told.update(self.status(instance_id))
            return test(told)

        wait_until(asked, lambda: f"{instance_id} is {told}")
        return told

    def output(self, instance_id: str) -> Any:
        """What it completes with."""
        told = self.until(
            instance_id, lambda told: told["runtimeStatus"] in ("Completed", "Failed", "Terminated")
        )
        assert told["runtimeStatus"] == "Completed", told
        return told["output"]


def kill(host: Started) -> None:
    host.signal(signal.SIGKILL)
    host.exit_code()


def wait_until(test: Callable[[], bool], otherwise: str | Callable[[], str]) -> None:
    deadline = time.monotonic() + 2 * DEADLINE
    while not test():
        if time.monotonic() > deadline:
            raise AssertionError(otherwise if isinstance(otherwise, str) else otherwise())
        time.sleep(0.002)
