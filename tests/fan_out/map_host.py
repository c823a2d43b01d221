"""A host with the map's test app, and its HTTP calls. `Marks` are the times at which each item ran."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.host_process import HostProcess
from tests.support.waiting import DEADLINE, until

APP = Path(__file__).parents[1] / "apps" / "map"
ENDED = ("Completed", "Failed", "Terminated")


class MapHost:
    """Use as a context manager. `database`, in `folder`: its task hub. `arguments` go to `dfhost start`."""

    def __init__(self, folder: Path, *arguments: str | Path, **environ: str) -> None:
        self.marks_file = folder / "marks"
        self.database = folder / "hub.db"
        self.host = HostProcess(APP, "--db", self.database, *arguments, MARKS=str(self.marks_file), **environ)

    def __enter__(self) -> MapHost:
        self.host.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.host.__exit__(*error)

    def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and JSON; `path` may be a whole URL."""
        url = path if path.startswith("http") else self.host.url + path
        data = None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **(headers or {})}
        request = urllib.request.Request(url, data=data, method=method, headers=sent)
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
                status, raw = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                status, raw = error.code, error.read()
        return status, json.loads(raw) if raw else None

    def start_map(self, body: dict[str, Any], **headers: str) -> dict[str, Any]:
        status, answer = self.call("POST", "/api/start-map", {"activity": "work", **body}, headers)
        assert status == 202, answer
        return answer

    def start(self, orchestrator: str, given: Any) -> str:
        status, answer = self.call(
            "POST", f"/runtime/webhooks/durabletask/orchestrators/{orchestrator}", given
        )
        assert status == 202, answer
        return str(answer["id"])

    def status(self, instance_id: str) -> dict[str, Any]:
        return self.call("GET", f"/runtime/webhooks/durabletask/instances/{instance_id}")[1]

    def parts_without_event(self, run: str, event: str) -> list[str]:
        """The ids of the map's running parts that have not got the external event `event`."""
        instances = "/runtime/webhooks/durabletask/instances"
        listed = self.call("GET", f"{instances}?instanceIdPrefix={run}:&runtimeStatus=Running&top=1000")[1]
        without = []
        for part in (each["instanceId"] for each in listed):
            shown = self.call("GET", f"{instances}/{part}?showHistory=true")[1]
            raised = [each["Name"] for each in shown["historyEvents"] if each["EventType"] == "EventRaised"]
            if event not in raised:
                without.append(part)
        return without

    def ended(self, instance_id: str) -> dict[str, Any]:
        return self.until(lambda: self.status(instance_id), lambda shown: shown["runtimeStatus"] in ENDED)

    def progress(self, map_id: str) -> dict[str, Any]:
        status, shown = self.call("GET", f"/api/maps/{map_id}")
        assert status == 200, shown
        return shown

    def until(self, look: Callable[[], Any], good: Callable[[Any], bool]) -> Any:
        """What `look` gives, once it is good."""
        return until(look, good)

    def log(self) -> list[str]:
        """What the app has logged."""
        return Path(f"{self.marks_file}.log").read_text().splitlines()

    def marks(self, map_id: str) -> Marks:
        return Marks(self.marks_file, map_id)


class Marks:
    def __init__(self, file: Path, map_id: str) -> None:
        self.events: list[tuple[float, str, int]] = []
        for line in file.read_text().splitlines():
            what, whose, index, at = line.split()
            if whose == map_id:
                self.events.append((float(at), what, int(index)))
        self.events.sort()

    @property
    def starts(self) -> Counter[int]:
        """How often each item was started."""
        return Counter(index for _, what, index in self.events if what == "start")

    @property
    def ended(self) -> set[int]:
        return {index for _, what, index in self.events if what == "end"}

    @property
    def most_in_flight(self) -> int:
        most = running = 0
        for _, what, _ in self.events:
            running += 1 if what == "start" else -1
            most = max(most, running)
        return most
