"""One call to an app's route and the orchestration that follows from it: from request to exit code and output.

Speaks to the host as any client does, over HTTP; only where the answer is a bare 404 does it look at the
app's routes, to say which there are.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp

from dfhost.app.functions import App
from dfhost.cli.console import Console
from dfhost.cli.failures import read_failure
from dfhost.cli.follow import Follower
from dfhost.cli.listing import routes
from dfhost.cli.progress import progress
from dfhost.cli.run import Request
from dfhost.cli.style import count, duration
from dfhost.errors import HostError
from dfhost.host import Host
from dfhost.http.routes import RouteTable, decode_path
from dfhost.settings import Settings

Outcome = tuple[int, bytes]  # the exit code, what goes to stdout


async def converse(
    request: Request,
    root: Path,
    settings: Settings,
    database: Path | None,
    console: Console,
    timeout: float | None,
    quiet: bool,
) -> Outcome:
    """Start the app, call it, follow what it starts. `timeout` in seconds counts from the call."""
    async with Host(root, settings=settings, database=database, port=0, journal=console) as host:
        for note in settings.notes:
            console.note(note)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout()) as session:
            talk = _Conversation(request, host, settings, console, session, quiet)
            try:
                return await asyncio.wait_for(talk.hold(), timeout)
            except asyncio.TimeoutError:
                return await talk.gave_up(durable=database is not None)
            except aiohttp.ClientError as error:
                raise HostError(f"The host broke off the conversation: {error}.") from None


class _Conversation:
    def __init__(
        self,
        request: Request,
        host: Host,
        settings: Settings,
        console: Console,
        session: aiohttp.ClientSession,
        quiet: bool,
    ) -> None:
        self._request = request
        self._host = host
        self._settings = settings
        self._console = console
        self._session = session
        self._quiet = quiet
        self._began = time.monotonic()
        self._follower: Follower | None = None

    async def hold(self) -> Outcome:
        method, path, headers, body = self._request
        async with self._session.request(
            method, self._host.url + path, data=body, headers=headers, allow_redirects=False
        ) as response:
            answer = await response.read()
        if response.status == 404 and not answer and not self._has_route(self._host.app):
            known = "; ".join(routes(self._host.app, self._settings.route_prefix)) or "none"
            raise HostError(f"The app has no route for {method} {path}. It has: {known}.")
        url = status_url(answer) if response.ok else None
        if url is None:
            return self._plain(response, answer)
        shown = progress(sys.__stderr__ or sys.stderr, self._console, self._quiet)
        self._follower = Follower(self._session, url, self._console, shown)
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
        output, state = status.get("output"), status.get("runtimeStatus")
        activities = self._console.ended("activity")
        told = f"{status.get('name')} {status.get('instanceId')} {str(state).lower()}"
        told += f" after {duration(time.monotonic() - self._began)}"
        told += f", {'1 activity' if activities == 1 else f'{count(activities)} activities'}"
        if state == "Completed":
            if not self._quiet:
                self._console.say("", told)
            # A lone surrogate becomes what it was in the host's JSON: an escape.
            text = json.dumps(output, indent=2, ensure_ascii=False) + "\n"
            return 0, text.encode(errors="backslashreplace")
        failure = read_failure(output) if state == "Failed" else None
        reason = str(failure.within(str(status.get("name")))) if failure else str(output or "no reason given")
        # The console has shown the traceback when it happened, unless it happened in an earlier run.
        stack = f"\n{failure.stack}" if failure and not self._console.failures else ""
        self._console.say("failed" if failure else "warning", f"{told}\n{reason}{stack}")
        return 1, b""

    def _plain(self, response: aiohttp.ClientResponse, answer: bytes) -> Outcome:
        """An answer that starts nothing to follow: shown as it is."""
        good = 200 <= response.status < 300
        if not (good and self._quiet):
            hint = ", and no orchestration to follow" if good else ""
            self._console.say("" if good else "warning", f"HTTP {response.status} {response.reason}{hint}")
        return int(not good), answer if not answer or answer.endswith(b"\n") else answer + b"\n"

    def _has_route(self, app: App) -> bool:
        path = decode_path(self._request.path.split("?")[0])
        table: RouteTable[None] = RouteTable(self._settings.route_prefix)
        for function in app.http_functions:
            trigger = function.trigger
            table.add(
                function.name, trigger.get("route") or function.name, trigger.get("methods") or (), None
            )
        own = path.lower().startswith(("/admin/", "/runtime/"))
        return own or table.find(self._request.method, path) is not None


def status_url(answer: bytes) -> str | None:
    """The `statusQueryGetUri` of a check-status answer, None for any other."""
    try:
        body = json.loads(answer)
    except ValueError:
        return None
    url = body.get("statusQueryGetUri") if isinstance(body, dict) else None
    return url if isinstance(url, str) else None
