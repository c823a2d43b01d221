"""One instance of an orchestration, as a test steers it and looks at it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dfhost.app.json_values import from_json, to_json
from dfhost.engine.entities import EntityId, is_entity_id
from dfhost.engine.history import SUB_ORCHESTRATION_CREATED
from dfhost.instance_failure import failure_text
from dfhost.runtime_status import FINAL_STATUSES
from dfhost.testing.entities import Entity
from dfhost.testing.errors import RunEnded, RunFailed, StillWaiting
from dfhost.testing.remote_report import instance_lines
from dfhost.testing.responses import with_query
from dfhost.testing.waits import clock_advice, event_advice, missing_timer, missing_wait, reasons
from dfhost.timeline import model

if TYPE_CHECKING:
    from dfhost.testing.durable import Durable

__tracebackhide__ = True  # pytest shows errors at the line of the test


class Run:
    """One instance. `durable.start` gives it, `response.run`, `durable.run(id)`, or `run.children`.

    Whatever is looked at is looked at once the app has come to rest.
    """

    def __init__(self, durable: Durable, id: str) -> None:
        self._durable = durable
        #: The instance id.
        self.id = id

    def __repr__(self) -> str:
        return f"<Run {self.id}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    # -- its end ---------------------------------------------------------------------------------------------

    def result(self, timeout: float | None = None) -> Any:
        """The output of the instance, which must complete.

        Fails at once, with what the instance waits for, if nothing is left to run. With `durable.auto_advance` the
        clock first moves on as often as something waits for a time. `timeout` is in real seconds. Raises
        `StillWaiting`, or `RunFailed` with the reason.
        """
        status = self._ended(timeout)
        if status["runtimeStatus"] == "Completed":
            return status["output"]
        cause = self._explained().get("cause")  # for people; the output has Azure's words
        raise RunFailed(
            f"{self._title(status)} has ended as {status['runtimeStatus']}: {failure_text(status['output'])}"
            + (f"\n  {cause}" if cause else ""),
            status["runtimeStatus"],
            str(status["output"]),
        )

    def failure(self, timeout: float | None = None) -> str:
        """Why the instance failed; it must fail. Waits as `result` does. Raises `RunEnded` if it completes.

        The text is Azure's: ``Orchestrator function 'pay' failed: Activity function 'charge' failed: KeyError: 'a'``,
        without the .NET exceptions that `output` has.
        """
        status = self._ended(timeout)
        if status["runtimeStatus"] == "Failed":
            return failure_text(status["output"])
        raise RunEnded(
            f"{self._title(status)} has not failed, it has ended as {status['runtimeStatus']}: {status['output']!r}"
        )

    def wait(self, timeout: float | None = None) -> str:
        """Wait for the end as `result` does; the runtime status, whichever it is."""
        return str(self._ended(timeout)["runtimeStatus"])

    def until(self, condition: Callable[[Run], object], timeout: float | None = None) -> Run:
        """Wait until ``condition(run)`` is true: at once, or with `durable.auto_advance` at some later time.

        Raises `StillWaiting` if nothing is left to run, and `RunEnded` if the instance ends before.
        """
        self._durable._wait_until(lambda: bool(condition(self)) or self.ended, self._not_reached, timeout)
        if not condition(self):
            status = self._status()
            raise RunEnded(
                f"The condition does not hold, and {self._title(status)} has ended as "
                f"{status['runtimeStatus']}: {status['output']!r}"
            )
        return self

    def waits_for(
        self,
        *,
        event: str | None = None,
        timer: timedelta | datetime | bool | None = None,
        activity: str | None = None,
        child: str | None = None,
        entity: str | None = None,
        retry: str | None = None,
    ) -> Run:
        """Assert that the code waits for this now, perhaps among other things.

        `timer`: the time that is left, the moment at which it is due, or True for any. `child`: the name of a
        sub-orchestrator. `entity`: the operation that was called. `retry`: the activity that is tried again later.
        """
        explained = self._explained()
        if explained["runtimeStatus"] in FINAL_STATUSES:
            raise RunEnded(f"{self._title(explained)} waits for nothing. {explained['sentence']}")
        if "waitsFor" not in explained:
            self._durable._local("a host that knows what an instance waits for")
        wanted = {
            model.EVENT: event,
            model.ACTIVITY: activity,
            model.CHILD: child,
            model.ENTITY_CALL: entity,
            model.RETRYING: retry,
        }
        missing = missing_wait(explained, wanted)
        if timer and not missing:
            missing = missing_timer(explained, timer, lambda: self._durable.now)
        if missing:
            raise StillWaiting(
                f"{self._title(explained)} does not wait for {missing}. {explained['sentence']}"
                + self._advice(explained)
            )
        return self

    def _ended(self, timeout: float | None) -> dict[str, Any]:
        status: dict[str, Any] = {}

        def has_ended() -> bool:
            status.update(self._status())
            return status["runtimeStatus"] in FINAL_STATUSES

        self._durable._wait_until(has_ended, self._not_ended, timeout)
        return status

    def _not_ended(self) -> str:
        explained = self._explained()
        advice = self._advice(explained, is_wait=True)
        return f"{self._title(explained)} has not ended. {explained['sentence']}{advice}"

    def _not_reached(self) -> str:
        explained = self._explained()
        subject = f"The condition does not hold. {self._title(explained)}"
        return f"{subject}: {explained['sentence']}{self._advice(explained, is_wait=True)}"

    def _advice(self, explained: dict[str, Any], *, is_wait: bool = False) -> str:
        """What those wait for that it waits for, and what a test may do about it.

        `is_wait`: whether the test waits for something that may come with the time.
        """
        about_events = list(event_advice(explained))
        advice = [*reasons(explained), *about_events]
        if self._durable._is_local:
            about_time = clock_advice(explained, self._durable.now, self._durable.next_due)
            advice += about_time
            if is_wait and about_time and not about_events and not self._durable.auto_advance:
                advice.append(
                    "durable.auto_advance = True moves it on while the test waits, as often as needed."
                )
        return "".join(f"\n  {line}" for line in advice)

    # -- what it is ------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name of its orchestrator."""
        return str(self._status()["name"])

    @property
    def status(self) -> str:
        """Pending, Running, Suspended, Completed, Failed or Terminated."""
        return str(self._status()["runtimeStatus"])

    @property
    def ended(self) -> bool:
        """Whether it has completed, failed or was terminated."""
        return self.status in FINAL_STATUSES

    @property
    def input(self) -> Any:
        """What it was started with."""
        value = self._status()["input"]
        if isinstance(value, str):  # the SDK's client sends JSON in JSON
            try:
                return from_json(value)
            except ValueError:
                return value
        return value

    @property
    def output(self) -> Any:
        """Its output so far: the result, the reason of a failure, or None."""
        return self._status()["output"]

    @property
    def custom_status(self) -> Any:
        """What `set_custom_status` has set last."""
        return self._status()["customStatus"]

    @property
    def history(self) -> list[dict[str, Any]]:
        """Its history events, as the management API lists them."""
        events = self._status(showHistory=True, showHistoryOutput=True).get("historyEvents")
        return list(events or ())

    def save_history(self, file: str | Path) -> None:
        """Write the history to a JSON file for `durable.assert_replays`, with the ids of all tasks."""
        status = self._status()
        saved = {key: status[key] for key in ("name", "instanceId", "runtimeStatus")}
        saved["historyEvents"] = self._durable._events_of(self.id)
        self._durable._path(file).write_text(json.dumps(saved, indent=1), "utf-8")

    @property
    def explanation(self) -> str:
        """What it waits for and why, in a sentence."""
        return str(self._explained()["sentence"])

    @property
    def children(self) -> list[Run]:
        """The sub-orchestrations that it has started, in order."""
        if self._durable._is_local:
            events = self._durable._events_of(self.id)
            ids = [each["InstanceId"] for each in events if each["EventType"] == SUB_ORCHESTRATION_CREATED]
        else:  # a child that has ended is listed where it ended
            called = [each for each in self.history if "SubOrchestration" in each["EventType"]]
            called.sort(key=lambda each: each.get("ScheduledTime") or each["Timestamp"])
            ids = [each["InstanceId"] for each in called]
        return [Run(self._durable, id) for id in dict.fromkeys(ids)]

    @property
    def entities(self) -> list[Entity]:
        """The entities that it has called or signalled, in the order of the first time."""
        ids = [event["InstanceId"] for event in self.history if event["EventType"] == "EventSent"]
        return [Entity(self._durable, *EntityId.parse(id)) for id in dict.fromkeys(ids) if is_entity_id(id)]

    def calls(self, name: str) -> list[Any]:
        """The inputs of its calls of an activity or sub-orchestrator, as `Durable.calls` counts them."""
        return self._durable.calls(name, of=self)

    @property
    def logs(self) -> list[str]:
        """What its orchestrator and its activities have logged, replays left out."""
        return self._durable._logs_of(self.id)

    # -- steering --------------------------------------------------------------------------------------------

    def raise_event(self, name: str, data: Any = None) -> Run:
        """Raise an external event, as the management API does. `RunEnded` if the instance has ended.

        The code gets the data itself. From `client.raise_event` of the SDK it gets a text, which holds JSON.
        """
        return self._steer(
            f"raiseEvent/{quote(name, safe='')}", body=to_json(data, f"the data of the event {name}")
        )

    def terminate(self, reason: str = "") -> Run:
        """End the instance as Terminated; its children go on."""
        return self._steer("terminate", FINAL_STATUSES, reason=reason)

    def suspend(self, reason: str = "") -> Run:
        """Let the instance start nothing more, and not end, until `resume`.

        As on Azure its code sees what comes meanwhile and goes on: to its next call, and its custom status is shown.
        """
        return self._steer("suspend", (*FINAL_STATUSES, "Suspended"), reason=reason)

    def resume(self, reason: str = "") -> Run:
        """Let a suspended instance go on."""
        return self._steer("resume", (*FINAL_STATUSES, "Running"), reason=reason)

    def rewind(self, reason: str = "") -> Run:
        """Let a failed instance try again what failed."""
        return self._steer("rewind", ("Running", "Completed"), reason=reason)

    def restart(self) -> Run:
        """Start a new instance with the same input."""
        response = self._durable._manage("POST", f"instances/{quote(self.id, safe='')}/restart")
        return self._durable.run(str(json.loads(response.body)["id"]))

    def purge(self) -> None:
        """Delete an instance that has ended, with its history."""
        self._durable._manage("DELETE", f"instances/{quote(self.id, safe='')}")

    def _steer(self, verb: str, then: Collection[str] = (), body: str = "", **query: str) -> Run:
        """`then`: the statuses of which it has one afterwards."""
        path = with_query(f"instances/{quote(self.id, safe='')}/{verb}", query)
        response = self._durable._manage("POST", path, body, accept=(202, 410))
        if response.status == 410:
            status = self._status()
            raise RunEnded(f"{self._title(status)} has ended as {status['runtimeStatus']}.")
        if then:
            self._durable._wait_for_effect(lambda: self.status in then)
        return self

    # -- reading ---------------------------------------------------------------------------------------------

    def _status(self, **query: Any) -> dict[str, Any]:
        status = self._status_or_none(**query)
        if status is None:  # against a URL it may come a moment later
            self._durable._wait_for_effect(lambda: self._status_or_none() is not None)
            status = self._status_or_none(**query)
        if status is None:
            raise AssertionError(f"There is no instance {self.id}.")
        return status

    def _status_or_none(self, **query: Any) -> dict[str, Any] | None:
        path = with_query(f"instances/{quote(self.id, safe='')}", query)
        response = self._durable._manage("GET", path, accept=(200, 202, 404))
        return None if response.status == 404 else dict(from_json(response.text))

    def _report(self) -> Iterator[str]:
        """What happened in it, as a host elsewhere tells it."""
        if self._status_or_none() is None:
            return iter((f"{self.id}: does not exist",))
        return instance_lines(self._status(showHistory=True, showHistoryOutput=True), self.explanation)

    def _explained(self) -> dict[str, Any]:
        return self._durable._explained_of(self.id)

    def _title(self, status: Mapping[str, Any]) -> str:
        return f"{status['name']} {self.id}"
