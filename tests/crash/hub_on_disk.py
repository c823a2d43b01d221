"""A task hub whose hosts are killed: what the dead process left in its database, and the marks of its activities.

The app (apps/crash) writes the marks. The database is read from a copy, so that the next host finds it untouched.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.apps import APPS
from tests.support.host_process import HostProcess
from tests.support.waiting import until

APP = APPS / "crash"
TASK_SCHEDULED, TASK_COMPLETED, TASK_FAILED = 4, 5, 6  # DurableTask's EventType


class Mark(NamedTuple):
    host: int  # the number of the host in whose process it was written
    what: str  # begin, end or failed
    key: str


@dataclass
class StoredState:
    """What was in the database when the process died."""

    events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # history, then inbox
    unfinished: dict[str, dict[int, str]] = field(default_factory=dict)  # instance -> task id -> input
    timers: dict[str, str] = field(default_factory=dict)  # instance -> when its next timer fires
    statuses: dict[str, str] = field(default_factory=dict)

    def tasks(self, instance_id: str, *event_types: int) -> list[int]:
        """The task ids of the events of these types, in order."""
        events = [event for event in self.events[instance_id] if event["EventType"] in event_types]
        return [event.get("TaskScheduledId", event["EventId"]) for event in events]


class HubOnDisk:
    """A task hub in `folder` and the hosts that serve it one after the other, numbered from 1."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "hub.db"
        self.release = folder / "release"  # activities that block end once this file exists
        self.host_number = 0
        self._marks = folder / "marks"
        self._marks.touch()

    def start(self) -> HostProcess:
        """The next host, to be used as a context manager."""
        self.host_number += 1
        environ = {"MARKS": self._marks, "HOST_NUMBER": self.host_number, "RELEASE": self.release}
        return HostProcess(
            APP,
            "--db",
            self.database,
            "--quiet",
            **{name: str(value) for name, value in environ.items()},
        )

    def marks(self) -> list[Mark]:
        lines = self._marks.read_text().splitlines()
        return [Mark(int(host), what, key) for host, what, key in (line.split(" ", 2) for line in lines)]

    def mark_count(self) -> int:
        """Costs next to nothing."""
        return self._marks.read_bytes().count(b"\n")

    def until_marked(self, what: str, *keys: str) -> None:
        """Wait until the present host has left this mark for each of the keys."""
        wanted = {Mark(self.host_number, what, key) for key in keys}
        until(lambda: wanted - set(self.marks()), lambda missing: not missing)

    def stored(self) -> StoredState:
        """Read what the dead process left, and leave it as it is."""
        copy = self.folder / f"copy-{self.host_number}"
        copy.mkdir()
        for file in self.folder.glob("hub.db*"):
            shutil.copy(file, copy)
        found = StoredState()
        connection = sqlite3.connect(copy / "hub.db")
        for table in ("history", "inbox"):
            for instance_id, text in connection.execute(
                f"SELECT instance_id, event FROM {table} ORDER BY seq"
            ):
                if not instance_id.startswith("@"):
                    found.events.setdefault(instance_id, []).append(json.loads(text))
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
