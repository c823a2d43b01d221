"""The dashboard's requests: the page and its files, and below ``/dashboard/api`` what the page shows and does.

    GET   /dashboard/api/hub                                     names of the app and the task hub
    GET   /dashboard/api/stream, …/stream?instance=ID            server-sent events, see `streams`
    GET   /dashboard/api/search?text=…
    GET   /dashboard/api/instance?instance=ID                    what a message of its stream holds, once
    GET   /dashboard/api/history?instance=ID&start=…&count=…
    GET   /dashboard/api/payload?instance=ID&of=input|…&task=…   as plain text, whole
    GET   /dashboard/api/payload?queue=NAME&message=ID           likewise, of a message in a storage queue
    GET   /dashboard/api/maps
    GET   /dashboard/api/entities
    GET   /dashboard/api/queues                                  the storage queues
    GET   /dashboard/api/messages?queue=NAME                     the oldest ones of a storage queue
    GET   /dashboard/api/mistakes                                sentences about the app's code, as on the console
    GET   /dashboard/api/timers                                  the schedules of timer functions, and their next runs
    GET   /dashboard/api/inFlight?instance=ID&activity=NAME      how many ran at once, over time
    GET   /dashboard/api/explain?instance=ID
    GET   /dashboard/api/waits?instances=[…]                     what each waits for, as sentences
    GET   /dashboard/api/rewind?instances=[…]                    why a rewind will not help, as sentences
    POST  /dashboard/api/actions                                 see `actions`; needs the token that the page carries

Ids travel in the query, since they may hold any character. Requests of other web sites never arrive here: `http/`
refuses them.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from importlib.resources import files
from typing import Any, NamedTuple

from dfhost.dashboard import streams, views
from dfhost.dashboard.actions import BadAction, act
from dfhost.dashboard.streams import Message
from dfhost.parse_json import parse_json
from dfhost.runner.functions import AppInfo
from dfhost.task_hub import TaskHub
from dfhost.triggers.queue_triggers import QueueTriggers
from dfhost.triggers.queues import Queues

PATH = "/dashboard"
TOKEN_HEADER = "X-Dashboard-Token"
_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_MOST = 5_000  # entries of one answer
_MOST_WAITS = 60  # instances; a screen shows fewer
#: Nothing but our own files runs or is shown, and no other page may frame this one.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class DashboardReply(NamedTuple):
    status: int
    content_type: str
    body: bytes


class Dashboard:
    """`app`: as it is now. `next_timer_runs`: see `Host`."""

    def __init__(
        self,
        hub: TaskHub,
        queues: Queues,
        queue_triggers: QueueTriggers,
        app_name: str,
        app: Callable[[], AppInfo],
        next_timer_runs: Callable[[], Mapping[str, datetime]],
    ) -> None:
        self._hub = hub
        self._queues = queues
        self._queue_triggers = queue_triggers
        self._app_name = app_name
        self._app = app
        self._next_timer_runs = next_timer_runs
        self._token = secrets.token_urlsafe(24)  # another web page can send requests, but cannot read this
        self._files: dict[str, DashboardReply] = {}

    def stream(self, path: str, query: Mapping[str, str]) -> AsyncIterator[Message | None] | None:
        """The messages that answer this request; None if it is not for a stream."""
        if path != "api/stream":
            return None
        instance_id = query.get("instance")
        return (
            streams.instances(self._hub) if instance_id is None else streams.instance(self._hub, instance_id)
        )

    async def reply(
        self, method: str, path: str, query: Mapping[str, str], token: str, body: bytes
    ) -> DashboardReply:
        """`path`: what follows ``/dashboard/``; `token`: of the header `TOKEN_HEADER`."""
        if method == "GET":
            return self._file(path) if not path.startswith("api/") else await self._read(path[4:], query)
        if method == "POST" and path == "api/actions":
            if not hmac.compare_digest(token.encode(), self._token.encode()):
                return _json(403, {"error": "The host was started anew. Reload the page."})
            return await self._act(body)
        return _json(405, {"error": "No such request."})

    # -- the page --------------------------------------------------------------------------------------------
    def _file(self, name: str) -> DashboardReply:
        if not self._files:
            self._read_files()
        return self._files.get(name or "index.html", _json(404, {"error": "No such file."}))

    def _read_files(self) -> None:
        for file in files("dfhost.dashboard").joinpath("static").iterdir():
            content_type = _TYPES.get(file.name.rpartition(".")[2])
            if content_type is not None:
                body = file.read_bytes().replace(b"{{token}}", self._token.encode())
                self._files[file.name] = DashboardReply(200, content_type, body)

    # -- reading ---------------------------------------------------------------------------------------------
    async def _read(self, what: str, query: Mapping[str, str]) -> DashboardReply:
        hub, instance_id = self._hub, query.get("instance", "")
        match what:
            case "hub":
                return _json(200, {"app": self._app_name, "hub": hub.name})
            case "search":
                return _json(200, await views.search_view(hub, query.get("text", ""), _MOST))
            case "history":
                start, count = _number(query, "start", 0), _number(query, "count", 100)
                return _json(200, views.history_page(hub, instance_id, start, min(count, _MOST)))
            case "payload":
                if (text := await self._payload(query)) is not None:
                    return DashboardReply(200, "text/plain; charset=utf-8", text.encode("utf-8", "replace"))
            case "instance":
                if (view := await views.instance_view(hub, instance_id)) is not None:
                    return _json(200, view)
            case "inFlight":
                return _json(200, await views.in_flight_view(hub, instance_id, query.get("activity", "")))
            case "waits":
                return _json(200, await views.waits_view(hub, _ids(query.get("instances", ""))))
            case "rewind":
                return _json(200, await views.rewind_view(hub, _ids(query.get("instances", ""))))
            case "mistakes":
                return _json(200, self._app().mistakes)
            case "timers":
                return _json(200, views.timers_view(self._app(), self._next_timer_runs()))
            case "maps":
                return _json(200, await views.maps_view(hub))
            case "entities":
                return _json(200, await views.entities_view(hub))
            case "queues":
                return _json(200, [each._asdict() for each in self._queue_triggers.states()])
            case "messages":
                return _json(200, views.messages_view(self._queues, query.get("queue", "")))
            case "explain":
                if (explanation := await hub.explain(instance_id)) is not None:
                    return _json(200, explanation)
        return _json(404, {"error": "There is no such thing here."})

    async def _payload(self, query: Mapping[str, str]) -> str | None:
        if (queue := query.get("queue")) is not None:
            return views.message_text(self._queues, queue, query.get("message", ""))
        task_id = _number(query, "task", -1)
        instance_id, name = query.get("instance", ""), query.get("of", "")
        return await views.payload(self._hub, instance_id, name, task_id if task_id >= 0 else None)

    # -- acting ----------------------------------------------------------------------------------------------
    async def _act(self, body: bytes) -> DashboardReply:
        try:
            asked = parse_json(body)
            if not isinstance(asked, dict):
                raise BadAction("The body must be a JSON object.")
            return _json(200, await act(self._hub, self._queues, asked))
        except (BadAction, ValueError) as error:
            return _json(400, {"error": str(error)})


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, "")
    return int(text) if text.isdecimal() else default


def _ids(text: str) -> list[str]:
    """The ids in a JSON list, as many as are looked up at a time; none if it is no such list."""
    try:
        ids = parse_json(text)
    except ValueError:
        return []
    return [each for each in ids if isinstance(each, str)][:_MOST_WAITS] if isinstance(ids, list) else []


def _json(status: int, value: Any) -> DashboardReply:
    return DashboardReply(status, "application/json; charset=utf-8", json.dumps(value).encode())
