"""`WorkerPool`: the workers that there are. Starts them, and replaces those that die, hang or have old code.

A worker is *ready* while it may be given calls (`turns.py`). One that leaves, because it is outdated or has a call
that hangs, is given no more of them and has some time to end those that it has.

`reload` starts workers with the code as it is now. Those that are ready stay so until the first of the new ones has
loaded the app; from then on all calls go to the new ones. If the app cannot be loaded, everything stays as it was.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from dfhost.background_tasks import BackgroundTasks
from dfhost.errors import AppError, AppImportFailed, HostError
from dfhost.host_log import HostLog
from dfhost.runner.app_runner import ClientTexts, HostServices
from dfhost.runner.functions import AppInfo
from dfhost.worker import protocol
from dfhost.worker.app_changes import app_changes
from dfhost.worker.calls import OUTDATED, RunningCall
from dfhost.worker.channel import Message
from dfhost.worker.deaths import DeathReport, calls_in_words
from dfhost.worker.output import Terminal
from dfhost.worker.process import WorkerOptions, WorkerProcess
from dfhost.worker.turns import Turns

_HANGING_GRACE = 3.0  # seconds that the calls beside one that has timed out may still take
_STACKS_WITHIN = 1.0  # seconds for a worker with a call that hangs to say where
OUTDATED_GRACE = 30.0  # seconds that calls may take that the old code has begun
_STOPS_WITHIN = 1.5  # seconds
# Seconds after which the console says where the app's import is; then twice as many, and so on.
_SLOW_LOADING = 5.0


class WorkerPool:
    """`count`: how many workers there are. `restart_interval`: seconds between two starts, if workers die.

    `outdated_grace`: seconds that the calls in an outdated worker may still take. `on_message` gets what workers say
    of their calls. The first workers are started here.
    """

    app: AppInfo
    streams_http = False

    def __init__(
        self,
        options: WorkerOptions,
        log: HostLog,
        sink: Terminal,
        count: int,
        restart_interval: float,
        outdated_grace: float,
        on_message: Callable[[WorkerProcess, Message], None],
    ) -> None:
        self._options = options
        self._log = log
        self._sink = sink
        self._count = count
        self._restart_interval = restart_interval
        self._outdated_grace = outdated_grace
        self._on_message = on_message
        self.processes = [WorkerProcess(options, sink) for _ in range(count)]
        # Started by a reload, and none of them has loaded the app yet.
        self._loading: list[WorkerProcess] = []
        self._examined: set[WorkerProcess] = set()  # whose threads are looked at
        self._started_at = time.monotonic()
        self._deaths = DeathReport(log, sink, count, restart_interval)
        self.turns = Turns()
        self._services: HostServices | None = None
        self._clients: ClientTexts = {}
        self._tasks = BackgroundTasks()
        self._replaces = True  # workers that die or hang
        self._stopping = False

    # -- its life --------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Wait until the app is loaded. Raises AppError."""
        self._loop = asyncio.get_running_loop()
        self._loaded: asyncio.Future[None] = self._loop.create_future()
        for process in self.processes:
            self._open(process)
        try:
            await self._loaded
        except BaseException:
            await self.stop()
            raise

    def connect(self, services: HostServices) -> None:
        """Let calls begin. Raises AppError."""
        self._services = services
        self._clients = services.clients(self.app)
        for process in self.processes:
            if process.app is not None:
                self._make_ready(process)

    def expect_stop(self) -> None:
        """The host takes no new work: a worker that dies or hangs from now on is not replaced."""
        self._replaces = False

    async def stop(self) -> None:
        if self._stopping:
            return
        self._stopping = True
        self._tasks.cancel()
        for process in self.processes:
            process.abandon_calls()
            process.stop()
        await self._wait_for_ends()
        for process in self.processes:
            process.kill()
        await self._wait_for_ends()

    async def _wait_for_ends(self) -> None:
        deadline = time.monotonic() + _STOPS_WITHIN
        while self.processes and time.monotonic() < deadline:
            await asyncio.sleep(0.005)

    def _open(self, process: WorkerProcess) -> None:
        process.open(self._receive, self._lost, self._ended)
        self._tasks.start(self._report_slow_loading(process))

    async def _report_slow_loading(self, process: WorkerProcess) -> None:
        seconds = _SLOW_LOADING
        while True:
            await asyncio.sleep(process.started_at + seconds - time.monotonic())
            loading = [each for each in self.processes if each.app is None and not each.is_expected_to_end]
            if process not in loading:
                return
            if process is loading[0]:
                stacks = await asyncio.to_thread(process.stacks, _STACKS_WITHIN)
                self._deaths.report_loading(seconds, stacks)
            seconds *= 2

    def _start_process(self) -> WorkerProcess:
        """Raises HostError."""
        try:
            process = WorkerProcess(self._options, self._sink)
        except OSError as error:  # say, too little memory
            raise HostError(f"A worker process cannot be started: {error.strerror or error}.") from error
        self.processes.append(process)
        self._started_at = process.started_at
        self._open(process)
        return process

    def _start_missing(self) -> None:
        """Start one worker if there are too few; a reload starts its own."""
        staying = sum(not process.is_expected_to_end for process in self.processes)
        if staying < self._count and not self._loading and self._replaces and not self._stopping:
            try:
                self._start_process()
            except HostError as error:
                self._log.note(f"{error} dfhost tries again in {self._restart_interval:.0f} s.")
                self._loop.call_later(self._restart_interval, self._start_missing)

    def _restart(self) -> float | None:
        """Have the next worker started for one that dies or hangs: in so many seconds; None if none is started."""
        if not self._replaces:
            return None
        delay = self._deaths.restart_delay(self._started_at)
        self._loop.call_later(delay, self._start_missing)
        return delay

    # -- what becomes of the workers -------------------------------------------------------------------------

    def _receive(self, process: WorkerProcess, message: Message) -> None:
        match message:
            case ("loaded", app):
                self._app_loaded(process, *protocol.app_from_wire(app))
            case ("not loaded", sentence, traceback):
                self._not_loaded(process, sentence, traceback or "")
            case _:
                self._on_message(process, message)

    def _app_loaded(self, process: WorkerProcess, app: AppInfo, streams_http: bool) -> None:
        process.app = app
        if process.is_expected_to_end:
            return
        if not self._loaded.done():
            self.app, self.streams_http = app, streams_http
            self._loaded.set_result(None)
        elif process in self._loading:
            self._change_app(process, app, streams_http)
        elif self._services is not None:
            self._make_ready(process)

    def _not_loaded(self, process: WorkerProcess, sentence: str, traceback: str) -> None:
        if process.is_expected_to_end:
            return
        if not self._loaded.done():
            error = AppImportFailed(sentence, traceback) if traceback else AppError(sentence)
            self._loaded.set_exception(error)
        elif process in self._loading:
            self._reload_failed(sentence, traceback)
        else:
            self._log.note(f"{sentence} The app is loaded again in {self._restart_interval:.0f} s.")
            self._discard(process)
            self._loop.call_later(self._restart_interval, self._start_missing)

    def _make_ready(self, process: WorkerProcess) -> None:
        assert self._services is not None
        process.send("connect", self._clients, self._services.client_url)
        self.turns.add(process)

    def _lost(self, process: WorkerProcess) -> None:
        self.turns.remove(process)

    def _ended(self, process: WorkerProcess) -> None:
        self.processes.remove(process)
        if self._stopping:
            return
        sentence = f"The app's worker process ended while it loaded the app ({process.how_it_ended})."
        if not self._loaded.done():
            self._loaded.set_exception(AppError(sentence))
        elif process in self._loading:
            self._reload_failed(sentence)
        elif not process.is_expected_to_end:
            self._deaths.report(process, self._restart())
        elif process.calls:
            self._deaths.report(process, None)
        process.end_calls(process.failure)

    def _discard(self, process: WorkerProcess) -> None:
        process.is_expected_to_end = True
        process.kill()

    # -- a call that hangs -----------------------------------------------------------------------------------

    def replace(self, process: WorkerProcess, late: list[RunningCall]) -> None:
        """`late` have timed out in it: start another worker, and kill this one once its other calls have ended."""
        self._examined.add(process)
        if process.is_expected_to_end:  # it has outdated code, and ends once its calls have
            self._tasks.start(self._report_stacks(process, late))
            return
        process.is_expected_to_end = True
        self._lost(process)
        self._deaths.report_late(process, late, self._restart(), _HANGING_GRACE)
        self._tasks.start(self._kill(process, late))

    async def _kill(self, process: WorkerProcess, late: list[RunningCall]) -> None:
        await self._report_stacks(process, late)
        await self._calls_ended(process, _HANGING_GRACE)
        process.kill()

    async def _report_stacks(self, process: WorkerProcess, late: list[RunningCall]) -> None:
        stacks = await asyncio.to_thread(process.stacks, _STACKS_WITHIN)
        self._deaths.report_stacks(process.pid, late, stacks)
        self._examined.discard(process)

    async def _calls_ended(self, process: WorkerProcess, grace: float) -> None:
        """Wait until they have, and until it is known where they hang; at most `grace` seconds."""
        deadline = time.monotonic() + grace
        while (process.calls or process in self._examined) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)

    # -- a reload --------------------------------------------------------------------------------------------

    def reload(self, options: WorkerOptions) -> None:
        """Start workers with the code and `options` as they are now. A reload that is under way is given up."""
        if self._stopping:
            return
        self._options = options
        for process in self._loading:
            self._discard(process)
        self._loading = []
        try:
            for _ in range(self._count):
                self._loading.append(self._start_process())
        except HostError as error:
            self._reload_failed(str(error))

    def _change_app(self, process: WorkerProcess, app: AppInfo, streams_http: bool) -> None:
        """The first worker of a reload has loaded the app: from now on calls go to it and those that follow."""
        assert self._services is not None
        serving = self.turns.hold()  # while the host changes its tables no call goes to either
        before, self.app = self.app, app
        try:
            clients = self._services.clients(app)
            notes = self._services.change_app(before, app)
        except AppError as error:
            self.app = before
            self.turns.set_ready(serving)
            self._reload_failed(str(error))
            return
        outdated = [each for each in self.processes if each not in self._loading]
        self.streams_http, self._clients, self._loading = streams_http, clients, []
        self._deaths = DeathReport(self._log, self._sink, self._count, self._restart_interval)
        self._make_ready(process)
        for each in outdated:
            if not each.is_expected_to_end:
                each.is_expected_to_end = True
                self._tasks.start(self._retire(each))
        for note in (f"The app is loaded ({app_changes(before, app)}).", *notes):
            self._log.note(note)

    async def _retire(self, process: WorkerProcess) -> None:
        await self._calls_ended(process, self._outdated_grace)
        if process.calls:
            calls = list(process.calls.values())
            cut = " Streamed responses are cut off." if any(call.kind == "stream" for call in calls) else ""
            self._log.note(
                f"After {self._outdated_grace:.0f} s the old code still ran {calls_in_words(calls)}. "
                f"That begins again with the new code.{cut}"
            )
            process.end_calls(OUTDATED)
        process.stop()
        await asyncio.sleep(_STOPS_WITHIN)
        process.kill()

    def _reload_failed(self, sentence: str, traceback: str = "") -> None:
        loading, self._loading = self._loading, []
        for process in loading:
            self._discard(process)
        if traceback:
            self._sink.print("", traceback.rstrip())
        self._log.note(f"The app goes on as it was: {sentence}")
        for _ in range(self._count):  # some may have died meanwhile
            self._loop.call_later(self._restart_interval, self._start_missing)
