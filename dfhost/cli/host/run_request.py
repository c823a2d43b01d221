"""Run one request on a host of its own and follow the orchestration that it starts, up to exit code and output.

Talks to the host over HTTP, as any client does. Only after a bare 404 does it read the app's routes directly, to
list them.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp

from dfhost.cli.client.function_names import check_orchestrator
from dfhost.cli.console.console import Console
from dfhost.cli.console.counting_log import CountingLog
from dfhost.cli.host.first_request import FirstRequest
from dfhost.cli.host.instance_follower import InstanceFollower, status_urls
from dfhost.cli.host.stopping import FatalFailure
from dfhost.cli.progress.bar import progress
from dfhost.cli.style import count, printable, printable_json, printable_lines
from dfhost.cli.views.function_listing import route_listing, similar_route
from dfhost.durations import duration
from dfhost.errors import HostError
from dfhost.garbage import resume_collector
from dfhost.host import Host
from dfhost.http.urls import decode_path
from dfhost.instance_failure import death_in_words, read_failure
from dfhost.runner.app_runner import AppRunner
from dfhost.runner.functions import AppInfo
from dfhost.settings import Settings

RunOutcome = tuple[int, bytes]  # the exit code, and what goes to stdout


async def run_to_end(
    request: FirstRequest,
    runner: AppRunner,
    settings: Settings,
    database: Path | None,
    console: Console,
    log: CountingLog,
    failure: FatalFailure,
    timeout: float | None,
    quiet: bool,
) -> RunOutcome:
    """Start the app, call it, follow what it starts. `timeout` in seconds counts from the call."""

    def on_ready(host: Host) -> None:
        if host.interrupted_calls_note:
            console.note(host.interrupted_calls_note)
            console.flush()  # it may happen again at once

    async with Host(
        runner,
        settings=settings,
        database=database,
        port=0,
        log=log,
        on_failure=failure.report,
        on_ready=on_ready,
    ) as host:
        resume_collector()
        console.set_name_width(max((len(function.name) for function in host.app.functions), default=0))
        if not quiet:
            for note in (*settings.notes, *(host.notes if console.verbose else ())):
                console.note(note)
            if not console.verbose:
                _note_mistakes_when_they_count(host.app, log)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout()) as session:
            call = _Call(request, host, settings, console, log, session, quiet)
            running = asyncio.ensure_future(call.run())
            await failure.watch(running, timeout)
            if not running.done():
                running.cancel()
                return await call.give_up(durable=database is not None)
            try:
                return running.result()
            except aiohttp.ClientError as error:
                raise HostError(f"The connection to the host failed: {error}.") from None


def _note_mistakes_when_they_count(app: AppInfo, log: CountingLog) -> None:
    """Those of the functions that this run calls: each begins with its function's name, "fan (function_app.py, …"."""
    for mistake in app.mistakes:
        function = app.get(mistake.partition(" (")[0])
        if function is not None:
            log.note_when_started(function.durable_name, mistake)


class _Call:
    def __init__(
        self,
        request: FirstRequest,
        host: Host,
        settings: Settings,
        console: Console,
        log: CountingLog,
        session: aiohttp.ClientSession,
        quiet: bool,
    ) -> None:
        self._request = request
        self._host = host
        self._settings = settings
        self._console = console
        self._log = log
        self._session = session
        self._quiet = quiet
        self._start_time = time.monotonic()
        self._follower: InstanceFollower | None = None

    async def run(self) -> RunOutcome:
        method, path, headers, body, orchestrator = self._request
        if orchestrator:
            async with self._session.get(f"{self._host.url}/admin/functions") as listing:
                check_orchestrator(orchestrator, await listing.json())
        async with self._session.request(
            method, self._host.url + path, data=body, headers=headers, allow_redirects=False
        ) as response:
            answer = await response.read()
        if response.status == 404 and not answer and not self._has_route():
            routes = "; ".join(route_listing(self._host.app, self._settings.route_prefix)) or "none"
            meant = similar_route(
                self._host.app, self._settings.route_prefix, decode_path(path.split("?")[0])
            )
            raise HostError(f"The app has no route for {method} {path}. It has: {routes}. {meant}".rstrip())
        urls = status_urls(answer) if response.ok else None
        if urls is None:
            return self._plain_outcome(response, answer)
        bar = progress(sys.__stderr__ or sys.stderr, self._console, self._quiet)
        self._follower = InstanceFollower(self._session, *urls, self._log, bar)
        try:
            status = await self._follower.ended()
        finally:
            bar.close()
        return self._instance_outcome(status)

    async def give_up(self, durable: bool) -> RunOutcome:
        """Say how far the run was when its time was over."""
        gave_up = f"Gave up after {duration(time.monotonic() - self._start_time)}"
        if self._follower is None:
            self._console.note(f"{gave_up}: the function has not answered yet.")
            return 1, b""
        status, follower = self._follower.status, self._follower
        line = f"{gave_up}: {status.get('name')} {status.get('instanceId')} is {status.get('runtimeStatus')}"
        if follower.total:
            line += f", {count(follower.done)} of {count(follower.total, 'task')} done"
        reason = await follower.waiting_reason()
        later = " It continues when the app is next started with this database." if durable else ""
        self._console.note(f"{line}. {reason}{later}".rstrip())
        return 1, b""

    def _instance_outcome(self, status: dict[str, Any]) -> RunOutcome:
        self._console.flush_summaries()
        state, output = str(status.get("runtimeStatus")), status.get("output")
        line = f"{status.get('name')} {status.get('instanceId')} {state.lower()}"
        line += f" after {duration(time.monotonic() - self._start_time)}"
        if activities := self._log.activities:
            line += f"; {'1 activity' if activities == 1 else f'{count(activities)} activities'} ran"
        if state == "Completed":
            if not self._quiet:
                self._console.print("", printable(line))
            return 0, f"{printable_json(output)}\n".encode()
        if state != "Failed":
            line += f"\n{output or 'no reason given'}"
        elif status.get("instanceId") not in self._log.failed_instances:
            # A failure in the log is already on the console, in full.
            failure = read_failure(output).within(str(status.get("name")))
            line += f"\n{death_in_words(str(failure))}\n{failure.stack}"
        self._console.print("error", printable_lines(line.rstrip()))
        return 1, b""

    def _plain_outcome(self, response: aiohttp.ClientResponse, answer: bytes) -> RunOutcome:
        """For a response that starts nothing to follow: its body as it is."""
        good = 200 <= response.status < 300
        if not (good and self._quiet):
            hint = ", and no orchestration to follow" if good else ""
            reason = printable(response.reason or "")
            self._console.print("" if good else "warning", f"HTTP {response.status} {reason}{hint}")
        return int(not good), answer if not answer or answer.endswith(b"\n") else answer + b"\n"

    def _has_route(self) -> bool:
        path = decode_path(self._request.path.split("?")[0])
        hosts_own = path.lower().startswith(("/admin/", "/runtime/"))
        return hosts_own or self._host.routes.find(self._request.method, path) is not None
