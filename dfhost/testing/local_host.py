"""The host in this process, with a clock, stubs and faults. After a crash it is another one, with the same store."""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

from dfhost.engine.entities import EntityId
from dfhost.engine.replay_result import ReplayResult
from dfhost.errors import HostError
from dfhost.host import Host
from dfhost.store.store import Store
from dfhost.testing.apps import LoadedApp
from dfhost.testing.client_patches import patched_client
from dfhost.testing.clock import ManualClock
from dfhost.testing.debugging import is_debugged
from dfhost.testing.determinism import ReplayKey
from dfhost.testing.elsewhere import differences
from dfhost.testing.errors import HostCrashed, NotDeterministic, NotIdle, UnmetFault
from dfhost.testing.faults import Calls, Faults, Stub, When
from dfhost.testing.host_loop import host_loop
from dfhost.testing.records import AppLog, HostReports, Records, inside_user_code
from dfhost.testing.replays import check_histories
from dfhost.testing.report import MOST_OF_QUEUE, ReportedEntity, ReportedQueue, report
from dfhost.testing.responses import read_response, request_bytes
from dfhost.testing.runner import TestRunner
from dfhost.testing.short_report import fits_a_screen, short_report
from dfhost.testing.target_names import CALLED, function_named, target_named

__tracebackhide__ = True  # pytest shows errors at the line of the test

T = TypeVar("T")

_LOOK_SECONDS = 0.01  # real time between two looks, where nobody reports what has changed


class LocalHost:
    """Its public methods are for the test's thread."""

    def __init__(
        self, app: LoadedApp, *, now: datetime, timeout: float, timer_triggers: bool, port: int | None = None
    ) -> None:
        self._app = app
        self._timeout = timeout
        self._timer_triggers = timer_triggers
        self._port = port
        self._clock = ManualClock(now if now.tzinfo else now.replace(tzinfo=timezone.utc))
        self._start_time = self._clock.timestamp()
        self._faults = Faults()
        self._records = Records()
        self._loop = host_loop()
        self._exit = ExitStack()
        self._paused = asyncio.Event()  # set when a pause by the clock begins
        self._crash: _Crash | None = None
        self._crashes = 0
        self._begun: dict[ReplayKey, ReplayResult | None] = {}  # see `TestRunner`; it outlives a crash

    # -- its life --------------------------------------------------------------------------------------------

    def open(self) -> None:
        self._folder = Path.cwd()
        with ExitStack() as undo:
            undo.enter_context(self._app.active())
            undo.enter_context(AppLog(self._records).listening())
            undo.enter_context(patched_client(self._clock, self._loop.loop, self._faults))
            self._call(self._start(Store(None, self._clock)))
            undo.callback(lambda: self._call(self._stop()))
            self._exit = undo.pop_all()

    def close(self) -> None:
        self._exit.close()

    async def _start(self, store: Store) -> None:
        self._store = store
        self._app.log.target = HostReports(self._records, self._clock.timestamp, self._app.root)
        self._runner = TestRunner(self._app.runner, self._faults, self._records, self._clock, self._begun)
        self._host = Host(
            self._runner,
            settings=replace(self._app.settings, replay_always=True),
            database=None,
            store=store,
            port=self._port,
            log=self._app.log.target,
            clock=self._clock,
            on_failure=self._failed,
            call_http=self._runner.call_http,
            timer_triggers=self._timer_triggers,
            # A test's app is loaded once, so after a crash the code is what it was; and a replay that the test has
            # not caused would count among those that are compared.
            check_histories=False,
        )
        await self._host.__aenter__()
        self._clock.on_pause = self._pause_began

    def _pause_began(self) -> None:
        self._paused.set()
        self._host.recheck_idle()

    async def _stop(self) -> None:
        await self._host.__aexit__(None, None, None)

    def _failed(self, error: HostError) -> None:
        """The host cannot go on."""
        if self._crash is not None and self._crash.store is not None:
            self._crashes += 1
            self._restarting = asyncio.get_running_loop().create_task(self._restart(self._crash))
        else:
            self._records.notes.append(str(error))

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._loop.call(coroutine)

    @property
    def url(self) -> str:
        return self._host.url

    # -- crashing --------------------------------------------------------------------------------------------

    def crash(self, after_commits: int | None) -> None:
        if after_commits is not None and after_commits < 1:
            raise ValueError("after_commits counts from 1.")
        self.settle()
        if after_commits is None:
            self._call(self._crash_now())
            self.settle()
        else:
            self._crash = _Crash(after_commits)
            self._store.on_commit(self._crash.committed)

    async def _crash_now(self) -> None:
        self._crash = None
        copy = self._store.copy()
        await self._stop()
        await self._start(copy)

    async def _restart(self, crash: _Crash) -> None:
        assert crash.store is not None
        await self._stop()
        await self._start(crash.store)
        self._crash = None

    # -- requests --------------------------------------------------------------------------------------------

    def exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of the response. The app is at rest before the request, and again after it."""
        request = request_bytes(method, url, headers, body, self._host.url.partition("://")[2])
        crashes = self._crashes
        response, is_at_rest = self._call(self._exchange(request, settles=not inside_user_code()))
        if self._crashes > crashes:
            raise HostCrashed(f"The host crashed while it answered {method} {url}. It has started again.")
        if not inside_user_code():
            self._faults.check()
        if not is_at_rest:
            raise self._not_idle(self._timeout)
        return read_response(response)

    async def _exchange(self, request: bytes, *, settles: bool) -> tuple[bytes, bool]:
        """The response, and whether the app came to rest in time."""
        if settles and not await self._come_to_rest(self._timeout):
            return b"", False
        response = asyncio.ensure_future(self._host.exchange(request))
        deadline = time.monotonic() + self._timeout
        while not response.done():
            left = deadline - time.monotonic()
            # Only a pause makes it worth looking whether the host is idle.
            self._paused.clear()
            news = asyncio.ensure_future(self._host.idle() if self._clock.pauses else self._paused.wait())
            await asyncio.wait(
                (response, news), timeout=max(left, _LOOK_SECONDS), return_when=asyncio.FIRST_COMPLETED
            )
            news.cancel()
            if left <= 0 and not is_debugged():
                response.cancel()
                return b"", False
            # While the function itself waits for a time, the clock moves: a client would wait as well.
            if self._clock.pauses and self._host.serves_calls and self._host.is_idle:
                assert self._clock.next_due is not None
                self._clock.move_to(self._clock.next_due)
            await asyncio.sleep(0)
        return response.result(), not settles or await self._come_to_rest(self._timeout)

    # -- coming to rest --------------------------------------------------------------------------------------

    def settle(self) -> None:
        if not inside_user_code():  # a stub that steers runs may not wait for itself
            self._settle(self._timeout)

    def _settle(self, timeout: float) -> None:
        is_at_rest = self._call(self._come_to_rest(timeout))
        self._faults.check()
        if not is_at_rest:
            raise self._not_idle(timeout)

    def _not_idle(self, timeout: float) -> NotIdle:
        running = ", ".join(self._runner.calls.described()) or "a loop of orchestrations or entities"
        return NotIdle(
            f"The app has not come to rest within {timeout:g} s of real time. It runs: {running}. "
            "A longer time-out: the setting durable_timeout, or Host(timeout=…)."
        )

    async def _come_to_rest(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        while not self._is_at_rest:
            idle = asyncio.ensure_future(self._host.idle())
            left = max(_LOOK_SECONDS, deadline - time.monotonic())
            # A host that crashes never comes to rest; the next one does.
            crashing = self._crash is not None
            await asyncio.wait((idle,), timeout=min(left, _LOOK_SECONDS) if crashing else left)
            idle.cancel()
            if time.monotonic() >= deadline and not self._is_at_rest and not is_debugged():
                return False
        return True

    @property
    def _is_at_rest(self) -> bool:
        return self._host.is_idle and not self._is_restarting

    @property
    def _is_restarting(self) -> bool:
        return self._crash is not None and self._crash.store is not None

    def wait_until(self, holds: Callable[[], bool], auto_advance: bool, timeout: float | None) -> bool:
        real = self._timeout if timeout is None else timeout
        deadline = time.monotonic() + real
        if inside_user_code():  # a stub that waits counts as running, so the app will not come to rest
            while not holds() and time.monotonic() < deadline:
                time.sleep(_LOOK_SECONDS)
            return holds()
        self._settle(real)
        while not holds():
            self.check()
            if not auto_advance or (due := self.next_due) is None or time.monotonic() > deadline:
                return False
            self._move_to(due)
            self._settle(real)
        self.check()
        return True

    # -- time ------------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        return self._clock.now()

    @property
    def next_due(self) -> datetime | None:
        return self._call(self._next_due())

    async def _next_due(self) -> datetime | None:
        return self._clock.next_due

    def advance_to(self, moment: datetime) -> None:
        moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        if moment < self.now:
            raise ValueError(
                f"The clock is at {self.now.isoformat()} and cannot go back to {moment.isoformat()}."
            )
        self.settle()
        while (due := self.next_due) is not None and due <= moment:
            self._move_to(due)
            self.settle()
        self._move_to(moment)
        self.settle()

    def _move_to(self, moment: datetime) -> None:
        async def move() -> None:
            self._clock.move_to(moment)

        self._call(move())

    # -- stubs and faults ------------------------------------------------------------------------------------

    def stub(self, name: str, returns: Any, answers: Iterable[Any] | None, when: When | None) -> Stub:
        return self._faults.stub(Stub(target_named(self._host.app, name, *CALLED), returns, answers), when)

    def unstub(self, name: str) -> None:
        self._faults.unstub(target_named(self._host.app, name, *CALLED))

    def fail(self, name: str, error: Any, calls: Calls) -> None:
        self._faults.fail(function_named(self._host.app, name, *CALLED), error, calls)

    def slow(self, name: str, seconds: float, calls: Calls) -> None:
        self._faults.slow(function_named(self._host.app, name, "activity"), seconds, calls)

    def redeliver(self, name: str, calls: Calls) -> None:
        self._faults.redeliver(function_named(self._host.app, name, "activity"), calls)

    def check_orchestrator(self, name: str) -> None:
        function_named(self._host.app, name, "orchestrator")

    def check_entity(self, name: str) -> None:
        function_named(self._host.app, name, "entity")

    # -- looking ---------------------------------------------------------------------------------------------

    @property
    def function_failures(self) -> list[tuple[str, str, str]]:
        return self._records.function_failures

    def calls(self, name: str, instance_id: str | None) -> list[Any]:
        self.settle()
        function = target_named(self._host.app, name, "activity", "orchestrator")
        return self._records.inputs(self._runner.durable_name(function), instance_id)

    def logs(self, instance_id: str | None) -> list[str]:
        self.settle()
        return [line for id, line in self._records.lines if instance_id is None or id == instance_id]

    @property
    def notes(self) -> list[str]:
        self.settle()
        return [*self._host.app.mistakes, *self._records.notes]

    @property
    def instances(self) -> list[str]:
        """The ids of all instances in the order in which they first ran."""
        return list(self._records.instances)

    def check(self) -> None:
        self._faults.check()
        if self._runner.newest_replays.differences:
            sentences, self._runner.newest_replays.differences = self._runner.newest_replays.differences, []
            raise NotDeterministic("\n".join(sentences))

    def warn_of_unmet_faults(self) -> None:
        for fault, place, called in self._faults.unmet:
            text = f"No call has met {fault} ({place}): {called}"
            warnings.warn_explicit(text, UnmetFault, place.file, place.line)

    def assert_replays(
        self,
        history: str | Path | Mapping[str, Any] | Sequence[Mapping[str, Any]],
        orchestrator: str | None,
    ) -> None:
        if isinstance(history, (str, Path)):
            history = self.path(history)
        check_histories(history, orchestrator, self._host.app, self._app.runner.replay)

    def assert_replays_elsewhere(self) -> None:
        self.settle()
        folder, script = str(self._app.root), self._app.script
        replays = list(self._runner.newest_replays.newest.values())
        if sentences := self._call(differences(folder, script, replays)):
            raise NotDeterministic("\n".join(sentences))

    def path(self, file: str | Path) -> Path:
        """A relative path counts from the folder in which the test runs, which is not that of the app."""
        return self._folder / file

    def events(self, id: str) -> list[str]:
        """The history events of an instance as they are stored, with their ids."""
        self.settle()
        return self._store.history(id)

    def report(self, *, short: bool) -> str:
        return self._call(self._report(short))

    async def _report(self, short: bool) -> str:
        hub, explained = self._host.hub, []
        for id in list(self._records.instances):
            timeline, explanation = await hub.timeline(id), await hub.explain(id)
            if timeline is not None and explanation is not None:
                explained.append((timeline, str(explanation["sentence"])))
        entities = []
        for id in list(self._records.entities):
            entity = hub.entity(*EntityId.parse(id))
            failed = [batch for batch in self._records.failed_batches if batch.entity_id == id]
            entities.append(ReportedEntity(id, entity.state if entity else None, failed))
        queues = []
        for name, messages, _ in self._store.storage_queues():
            oldest = [message.text for message in self._store.queue_messages(name, MOST_OF_QUEUE)]
            queues.append(ReportedQueue(name, messages, oldest))
        names = tuple(f"{timeline.name} (" for timeline, _ in explained)
        notes = [mistake for mistake in self._host.app.mistakes if mistake.startswith(names)]
        notes += self._records.notes
        unmet = [f"{fault}: {called}" for fault, _, called in self._faults.unmet]
        about = explained, entities, queues, unmet, notes, self._start_time
        text = report(*about)
        return short_report(*about) if short and not fits_a_screen(text) else text


class _Crash:
    """Waits for the last commit of a host. `store`: what was committed by then."""

    def __init__(self, after_commits: int) -> None:
        self._left = after_commits
        self.store: Store | None = None

    def committed(self, copy: Callable[[], Store]) -> None:
        """In the writer's thread."""
        self._left -= 1
        if not self._left:
            self.store = copy()
            raise HostError("The test has let the host crash.")
