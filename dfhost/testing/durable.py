"""`Durable`: what a test has in its hands. It starts, steers and looks at a whole app.

Everything that also works against another host goes through HTTP, as any client of it would. What needs the host in
this process (the clock, stubs, faults) goes through `LocalHost`; against a URL such a test is skipped.
"""

from __future__ import annotations

import json
import unittest
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dfhost.app.json_values import from_json, to_json
from dfhost.durations import exact_duration
from dfhost.management.responses import sentence_in
from dfhost.management.urls import WEBHOOKS_PATH
from dfhost.runtime_status import FINAL_STATUSES
from dfhost.testing.entities import Entity
from dfhost.testing.errors import HostCrashed, StillWaiting
from dfhost.testing.faults import NOT_GIVEN, Calls, Stub, When, on_calls, raised_error
from dfhost.testing.local_host import LocalHost
from dfhost.testing.queues import Queue
from dfhost.testing.remote_host import RemoteHost
from dfhost.testing.responses import Response, with_query
from dfhost.testing.runs import Run

__tracebackhide__ = True  # pytest shows errors at the line of the test

_EFFECT_SECONDS = 5.0  # for a host elsewhere to do what it has accepted


class Durable:
    """The fixture `durable`, or what ``with Host() as durable`` gives.

    Each method that starts or steers something returns once the app has come to rest: when nothing is left to do at
    the present time of the clock.
    """

    def __init__(self, host: LocalHost | RemoteHost, *, auto_advance: bool = False) -> None:
        self._host = host
        #: Whether the clock moves on by itself while a test waits, whenever nothing else can run.
        self.auto_advance = auto_advance
        self._runs: dict[str, Run] = {}  # those that the test has started or asked for, by their ids
        self._entities: dict[tuple[str, str], Entity] = {}  # likewise
        self._may_warn = True  # of faults that no call has met

    @property
    def url(self) -> str:
        """The host's address. Nobody listens there unless the host was asked to."""
        return self._host.url

    # -- starting --------------------------------------------------------------------------------------------

    def start(
        self, orchestrator: str, input: Any = None, *, id: str | None = None, version: str | None = None
    ) -> Run:
        """Start an orchestrator, with the input as `client.start_new` sends it. `id`: 32 hex digits unless given."""
        self._host.check_orchestrator(orchestrator)
        id = id or uuid.uuid4().hex
        path = f"orchestrators/{quote(orchestrator, safe='')}/{quote(id, safe='')}"
        body = ""
        if input is not None:  # JSON in JSON, as the SDK sends it
            body = json.dumps(to_json(input, f"the input of {orchestrator}"))
        self._manage("POST", with_query(path, {"version": version}), body)
        run = self.run(id)
        self._wait_for_effect(lambda: run.status != "Pending")
        return run

    def run(self, id: str) -> Run:
        """The instance with this id."""
        return self._runs.setdefault(id, Run(self, id))

    @property
    def runs(self) -> list[Run]:
        """All instances, the oldest first."""
        found = [each for each in self._listed("instances") if not each["instanceId"].startswith("@")]
        order = {id: number for number, id in enumerate(self._host.instances)}
        found.sort(key=lambda each: (each["createdTime"], order.get(each["instanceId"], -1)))
        return [Run(self, each["instanceId"]) for each in found]

    def entity(self, name: str, key: str) -> Entity:
        """The entity with this name and key, whether it exists or not. The app must have a function of this name."""
        self._host.check_entity(name)
        return self._entities.setdefault((name.lower(), key), Entity(self, name, key))

    @property
    def entities(self) -> list[Entity]:
        """All entities that exist."""
        ids = [each["entityId"] for each in self._listed("entities")]
        return [Entity(self, id["name"], id["key"]) for id in ids]

    def queue(self, name: str) -> Queue:
        """The storage queue with this name, to put messages into it, and to look at what functions have written."""
        return Queue(self, name)

    def trigger(self, function: str, input: str = "") -> None:
        """Run a function that has a timer, a queue or another trigger, as by hand. `input`: its message, as text.

        Raises AssertionError if the function fails, unless a retry of its own policy is ahead.
        """
        known = len(self._host.function_failures)
        body = json.dumps({"input": input}).encode()
        response = self.request("POST", f"/admin/functions/{quote(function, safe='')}", data=body)
        if response.status != 202:
            raise AssertionError(
                f"{function} cannot be run: {response.status} {response.text or 'no such function'}"
            )
        self._host.settle()
        for _, name, error in self._host.function_failures[known:]:
            if name.lower() == function.lower():
                raise AssertionError(f"{name} failed: {error}")

    # -- HTTP ------------------------------------------------------------------------------------------------

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = NOT_GIVEN,
        data: bytes | str = b"",
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Response:
        """Send a request to the host: to the app's routes (``/api/…``), or to any other path that it serves.

        `json`: a value to send as JSON. `data`: the body as it is. `params`: the query.
        """
        sent = dict(headers or {})
        body = data.encode() if isinstance(data, str) else data
        if json is not NOT_GIVEN:
            body = to_json(json, "the body").encode()
        if body and "content-type" not in {name.lower() for name in sent}:
            sent["Content-Type"] = "application/json"
        return self._send(method, with_query(path, params or {}), sent, body)

    def _send(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        known = len(self._host.function_failures)
        status, fields, content = self._host.exchange(method, path, headers, body)
        new = self._host.function_failures[known:]
        failures = [error for kind, _, error in new if kind == "http"]
        return Response(status, fields, content, self.run, failures[-1] if failures else "")

    def get(self, path: str, **options: Any) -> Response:
        """`request` with GET."""
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> Response:
        """`request` with POST."""
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Any) -> Response:
        """`request` with PUT."""
        return self.request("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> Response:
        """`request` with PATCH."""
        return self.request("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> Response:
        """`request` with DELETE."""
        return self.request("DELETE", path, **options)

    # -- time ------------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """The time by the test's clock (UTC). It stands still until it is moved."""
        return self._local("the test's own clock").now

    @property
    def next_due(self) -> datetime | None:
        """When the next timer fires, be it of an orchestrator, a retry or a timer trigger; None if none is set."""
        return self._local("the test's own clock").next_due

    def advance(
        self,
        duration: timedelta | None = None,
        *,
        days: float | None = None,
        hours: float | None = None,
        minutes: float | None = None,
        seconds: float | None = None,
    ) -> None:
        """Move the clock on. All that becomes due on the way happens, each at its own time.

        Without arguments: to the next time at which something is due. Raises `StillWaiting` if there is none.
        """
        local = self._local("the test's own clock")
        given = {"days": days, "hours": hours, "minutes": minutes, "seconds": seconds}
        units = {unit: count for unit, count in given.items() if count is not None}
        if duration is None and not units:
            if (due := local.next_due) is None:
                raise StillWaiting("Nothing waits for a time, so there is nothing to advance to.")
            return self.advance_to(due)
        return self.advance_to(local.now + (duration or timedelta()) + timedelta(**units))

    def advance_to(self, moment: datetime) -> None:
        """Move the clock to `moment` (with its time zone, else UTC), as `advance` does."""
        self._local("the test's own clock").advance_to(moment)

    # -- faults ----------------------------------------------------------------------------------------------

    def stub(
        self,
        name: str,
        returns: Any = NOT_GIVEN,
        *,
        answers: Iterable[Any] | None = None,
        when: When | None = None,
    ) -> Stub:
        """Let something else answer in the place of a function, by its name.

        `name`: an activity, a sub-orchestrator, an entity, ``call_http``, or a method of the durable client
        (``client.start_new``). `returns`: the value, or a function that is called with the input (for an entity with
        the operation and its input) and whose result counts. `answers`: one value or function for each call, in
        order. An exception among them is raised.

        `when`: only for calls for which this function, called as one in `returns` would be, says so:
        ``when=lambda given: given["amount"] > 900``. Of several such stubs the newest counts.
        """
        if returns is not NOT_GIVEN and answers is not None:
            raise TypeError("stub() takes either `returns` or `answers`.")
        return self._local("stubs").stub(name, None if returns is NOT_GIVEN else returns, answers, when)

    def unstub(self, name: str) -> None:
        """Let the app's own function answer again, without stub, failures and delays."""
        self._local("stubs").unstub(name)

    def fail(
        self,
        name: str,
        *,
        times: int | None = None,
        error: BaseException | type[BaseException] | str = "it was made to fail",
        on_call: int | Iterable[int] | None = None,
        when: When | None = None,
    ) -> None:
        """Let calls of an activity, sub-orchestrator or entity raise `error`.

        A text is the message of a RuntimeError. An exception class gets a message if it takes one.
        All calls, or the next `times`, or those with the numbers `on_call` (the first is 1). Retries count. Of these
        only calls for whose input `when` holds, as in `stub`.
        """
        self._local("faults").fail(name, raised_error(error), Calls(times, on_calls(on_call), when))

    def slow(
        self,
        name: str,
        duration: timedelta | None = None,
        *,
        seconds: float = 0,
        minutes: float = 0,
        hours: float = 0,
        times: int | None = None,
        on_call: int | Iterable[int] | None = None,
        when: When | None = None,
    ) -> None:
        """Let calls of an activity take that long by the test's clock. `times`, `on_call`, `when` as in `fail`."""
        takes = (duration or timedelta()) + timedelta(seconds=seconds, minutes=minutes, hours=hours)
        self._local("faults").slow(name, takes.total_seconds(), Calls(times, on_calls(on_call), when))

    def redeliver(
        self,
        name: str,
        *,
        times: int | None = None,
        on_call: int | Iterable[int] | None = None,
        when: When | None = None,
    ) -> None:
        """Let calls of an activity run twice, as after a crash: the first result is lost. Options as in `fail`."""
        self._local("faults").redeliver(name, Calls(times, on_calls(on_call), when))

    def crash(self, after_commits: int | None = None) -> None:
        """Let the host die and start it again with what was committed; what ran is lost and runs again.

        At once, or, if `after_commits` is given, as soon as so many more commits are done.
        """
        self._local("a host that may crash").crash(after_commits)

    # -- looking ---------------------------------------------------------------------------------------------

    def calls(self, name: str, *, of: Run | None = None) -> list[Any]:
        """The inputs of all calls of an activity or sub-orchestrator, in the order of scheduling.

        Every attempt counts, and a call that `redeliver` has repeated counts twice. A sub-orchestration that
        continues as new is one call, with its first input. `of`: only those of one instance.
        """
        return self._local("the record of calls").calls(name, of.id if of else None)

    @property
    def logs(self) -> list[str]:
        """What the app's functions have logged, with its level: ``INFO charged 12``. Replays are left out."""
        return self._logs_of(None)

    @property
    def notes(self) -> list[str]:
        """The sentences that the host would print on the console: hints and warnings about the app."""
        return self._local("the host's console").notes

    def assert_replays(
        self,
        history: str | Path | Mapping[str, Any] | Sequence[Mapping[str, Any]],
        orchestrator: str | None = None,
    ) -> None:
        """Replay saved histories with the code as it is today, and fail if it asks for something else.

        `NotDeterministic` names each instance that differs. Raises ValueError for what is not a history.
        `history`: a JSON file with the status of an instance from the management API, with ``showHistory=true`` and
        ``showHistoryOutput=true``; a file of `dfhost export` or `Run.save_history`; or what such a file holds.
        `orchestrator`: its name, if not that of the history.
        """
        self._local("the app's code").assert_replays(history, orchestrator)

    def assert_replays_elsewhere(self) -> None:
        """Replay what this test has run in a second process, and fail if anything differs there.

        It finds what is the same within one process, above all the order of sets. It takes a second or two.
        """
        self._local("the app's code").assert_replays_elsewhere()

    def report(self, *, short: bool = False) -> str:
        """What happened in every instance so far, for people. It is printed when a test fails.

        `short`: on one screen, as it is printed without ``pytest -vv``: the causes of failures come first, the rest
        is counted. Against a URL: in those instances that the test has started or asked for, and never short.
        """
        if isinstance(self._host, LocalHost):
            return self._host.report(short=short)
        return "\n\n".join("\n".join(run._report()) for run in self._runs.values())

    # -- for runs and entities -------------------------------------------------------------------------------

    def _manage(
        self,
        method: str,
        path: str,
        body: str = "",
        accept: Iterable[int] = (200, 202),
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """A request to the management API; `path` without its prefix. Fails unless the status is in `accept`."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        try:
            response = self._send(method, f"{WEBHOOKS_PATH}/{path}", sent, body.encode())
        except HostCrashed:
            # The host was at rest, so the commit after which it crashed was that of this request.
            self._host.settle()
            return Response(202, {}, b"", self.run)
        if response.status not in accept:
            said = sentence_in(response.body) or response.text
            raise AssertionError(f"The host has refused {method} {path}: {response.status} {said}")
        return response

    def _explained_of(self, id: str) -> dict[str, Any]:
        """What an instance waits for, as ``?explain=true`` has it; without `waitsFor` if the host does not say."""
        explained = from_json(self._manage("GET", f"instances/{quote(id, safe='')}?explain=true").text)
        if "waitsFor" not in explained:  # only dfhost explains
            sentence = f"It is {explained['runtimeStatus']}."
            return {
                "name": explained["name"],
                "runtimeStatus": explained["runtimeStatus"],
                "sentence": sentence,
            }
        return dict(explained)

    def _logs_of(self, id: str | None) -> list[str]:
        """The log of one instance, or the whole log."""
        return self._local("the app's log").logs(id)

    def _events_of(self, id: str) -> list[Any]:
        """The history events of an instance, with their ids."""
        return [json.loads(text) for text in self._local("the stored history").events(id)]

    @property
    def _is_local(self) -> bool:
        """Whether the host has the test's clock."""
        return isinstance(self._host, LocalHost)

    def _path(self, file: str | Path) -> Path:
        """The file that a test means."""
        return self._local("the app's folder").path(file)

    def _wait_until(self, holds: Callable[[], bool], what: Callable[[], str], timeout: float | None) -> None:
        """Return once `holds()`. Raises StillWaiting with `what()` if that will not come by itself."""
        start = self._host.now if isinstance(self._host, LocalHost) else None
        if self._host.wait_until(holds, self.auto_advance, timeout):
            return
        raise StillWaiting(what() + self._given_up(start))

    def _given_up(self, start: datetime | None) -> str:
        """Says that `auto_advance` stopped although something is still due. `start`: when the wait began."""
        if start is None or self.now == start or not self.auto_advance or self.next_due is None:
            return ""
        return (
            f"\n  auto_advance stopped after {exact_duration(self.now - start)}, when the time-out in real time was "
            "over. Use durable.advance(…) for an orchestration that never ends."
        )

    def _wait_for_effect(self, holds: Callable[[], bool]) -> None:
        """Against a URL, a host that has accepted a request has not done yet what was asked for."""
        if not self._is_local:
            self._host.wait_until(holds, False, _EFFECT_SECONDS)

    def _left_behind(self) -> list[str]:
        """What a test against a URL leaves there: its instances that have not ended, and its entities."""
        left: list[str] = []
        if self._is_local:
            return left
        with suppress(OSError, AssertionError):  # the host is gone, or refuses: the test has said so
            for run in self._runs.values():
                status = run._status_or_none()
                if status is not None and status["runtimeStatus"] not in FINAL_STATUSES:
                    left.append(f"{status['name']} {run.id} ({status['runtimeStatus']})")
            left += (f"the entity {each.name} {each.key}" for each in self._entities.values() if each.exists)
        return left

    def check(self) -> None:
        """Raise what was found meanwhile: mistakes in the test's faults, orchestrators that are not deterministic."""
        self._host.check()

    def _warn_of_unmet_faults(self) -> None:
        """Once, and for a test that has passed: of one that failed the report names them."""
        if self._may_warn:
            self._may_warn = False
            self._host.warn_of_unmet_faults()

    def _listed(self, path: str) -> list[dict[str, Any]]:
        """A list of the management API, all its pages."""
        listed: list[dict[str, Any]] = []
        token, header = "", "x-ms-continuation-token"
        while True:
            page = self._manage("GET", path, headers={header: token} if token else None)
            listed += from_json(page.text)
            token = page.headers.get(header) or ""
            if token in ("", "null"):
                return listed

    def _local(self, what: str) -> LocalHost:
        """The host in this process. Against a URL the test is skipped: it needs `what`."""
        if isinstance(self._host, LocalHost):
            return self._host
        raise unittest.SkipTest(f"needs {what}, so it does not run against {self._host.url}")
