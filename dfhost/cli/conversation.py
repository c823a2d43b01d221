"""One call to an app's route and the orchestration that follows from it: from request to exit code and output.

Speaks to the host as any client does, over HTTP; only where the answer is a bare 404 does it look at the
app's routes, to say which there are.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp

from dfhost.cli import gc_tuning
from dfhost.cli.console import Console
from dfhost.cli.database_failure import DatabaseFailure
from dfhost.cli.failures import read_failure
from dfhost.cli.follow import CountingLog, InstanceFollower
from dfhost.cli.function_listing import route_listing
from dfhost.cli.progress import progress
from dfhost.cli.run import RunRequest
from dfhost.cli.signals import exit_at_once, handle_signals
from dfhost.cli.style import count, duration
from dfhost.errors import HostError
from dfhost.host import Host
from dfhost.http.function_routes import decode_path
from dfhost.settings import Settings

Outcome = tuple[int, bytes]  # the exit code, what goes to stdout


async def converse(
    request: RunRequest,
    root: Path,
    settings: Settings,
    database: Path | None,
    console: Console,
    timeout: float | None,
    quiet: bool,
) -> Outcome:
    """Start the app, call it, follow what it starts. `timeout` in seconds counts from the call."""
    handle_signals(exit_at_once, signal.SIGINT)
    log = CountingLog(console, calls=console.verbose)
    broken = DatabaseFailure()
    async with Host(
        root, settings=settings, database=database, port=0, log=log, on_failure=broken.happened
    ) as host:
        gc_tuning.resume()
        console.name_width(max((len(function.name) for function in host.app.functions), default=0))
        if not quiet:
            for note in (*settings.notes, *(host.notes if console.verbose else ())):
                console.note(note)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout()) as session:
            talk = _Conversation(request, host, settings, console, log, session, quiet)
            holding = asyncio.ensure_future(talk.hold())
            await broken.unless(holding, timeout)
            if not holding.done():
                holding.cancel()
                return await talk.gave_up(durable=database is not None)
            try:
                return holding.result()
            except aiohttp.ClientError as error:
                raise HostError(f"The host broke off the conversation: {error}.") from None


class _Conversation:
    def __init__(
        self,
        request: RunRequest,
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
        self._began = time.monotonic()
        self._follower: InstanceFollower | None = None

    async def hold(self) -> Outcome:
        method, path, headers, body = self._request
        async with self._session.request(
            method, self._host.url + path, data=body, headers=headers, allow_redirects=False
        ) as response:
            answer = await response.read()
        if response.status == 404 and not answer and not self._has_route():
            known = "; ".join(route_listing(self._host.app, self._settings.route_prefix)) or "none"
            raise HostError(f"The app has no route for {method} {path}. It has: {known}.")
        urls = status_urls(answer) if response.ok else None
        if urls is None:
            return self._plain(response, answer)
        shown = progress(sys.__stderr__ or sys.stderr, self._console, self._quiet)
        self._follower = InstanceFollower(self._session, *urls, self._log, shown)
        try:
            status = await self._follower.ended()
        finally:
            shown.close()
        return self._ended(status)

    async def gave_up(self, durable: bool) -> Outcome:
        """What to say when the time is over."""
        after = f"Gave up after {duration(time.monotonic() - self._began)}"
        if self._follower is None:
            self._console.note(f"{after}: the function has not answered yet.")
            return 1, b""
        status, follower = self._follower.status, self._follower
        told = f"{after}: {status.get('name')} {status.get('instanceId')} is {status.get('runtimeStatus')}"
        if follower.total:
            told += f", {count(follower.done)} of {count(follower.total, 'task')} done"
        why = await follower.why()
        later = " It goes on when the app is next started on this database." if durable else ""
        self._console.note(f"{told}. {why}{later}".rstrip())
        return 1, b""

    def _ended(self, status: dict[str, Any]) -> Outcome:
        self._console.settle()
        state, output = str(status.get("runtimeStatus")), status.get("output")
        told = f"{status.get('name')} {status.get('instanceId')} {state.lower()}"
        told += f" after {duration(time.monotonic() - self._began)}"
        if ran := self._log.activities:
            told += f"; {'1 activity' if ran == 1 else f'{count(ran)} activities'} ran"
        if state == "Completed":
            if not self._quiet:
                self._console.say("", told)
            # A lone surrogate becomes what it was in the host's JSON: an escape.
            text = json.dumps(output, indent=2, ensure_ascii=False) + "\n"
            return 0, text.encode(errors="backslashreplace")
        if state != "Failed":
            told += f"\n{output or 'no reason given'}"
        elif status.get("instanceId") not in self._log.failed_instances:
            # Else the console has shown it in full when it happened.
            failure = read_failure(output).within(str(status.get("name")))
            told += f"\n{failure}\n{failure.stack}"
        self._console.say("error", told.rstrip())
        return 1, b""

    def _plain(self, response: aiohttp.ClientResponse, answer: bytes) -> Outcome:
        """An answer that starts nothing to follow: shown as it is."""
        good = 200 <= response.status < 300
        if not (good and self._quiet):
            hint = ", and no orchestration to follow" if good else ""
            self._console.say("" if good else "warning", f"HTTP {response.status} {response.reason}{hint}")
        return int(not good), answer if not answer or answer.endswith(b"\n") else answer + b"\n"

    def _has_route(self) -> bool:
        path = decode_path(self._request.path.split("?")[0])
        own = path.lower().startswith(("/admin/", "/runtime/"))
        return own or self._host.routes.find(self._request.method, path) is not None


def status_urls(answer: bytes) -> tuple[str, str | None] | None:
    """`statusQueryGetUri` of a check-status answer, and its `progressGetUri` if the app adds one; else None."""
    try:
        body = json.loads(answer)
    except ValueError:
        return None
    urls = (
        [body.get(name) for name in ("statusQueryGetUri", "progressGetUri")] if isinstance(body, dict) else []
    )
    status, progress = (url if isinstance(url, str) else None for url in urls or (None, None))
    return (status, progress) if status else None
