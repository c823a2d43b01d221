"""One scenario's view of a host: start, read, send, wait. Through HTTP alone, so any host will do.

Waiting is for a condition, with a deadline that is only reached if something is wrong.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

Answer = dict[str, Any]
Condition = Callable[[Answer], bool]

ENDED = ("Completed", "Failed", "Terminated", "Canceled")
HEADERS = ("location", "retry-after", "content-type", "x-ms-continuation-token", "allow")
WITH_HISTORY = "&showHistory=true&showHistoryOutput=true"
NO_BODY = object()


def new_token() -> str:
    """A unique text of the same length as in the recordings, since the longest ids are tried."""
    return f"t{secrets.token_hex(6)}e"


def in_path(text: str) -> str:
    return quote(text, safe="")


def short(answer: Answer) -> Answer:
    """The fields of a status answer that scenarios compare; any other answer as it is."""
    body = answer["body"]
    if not isinstance(body, dict) or "runtimeStatus" not in body:
        return answer
    return {key: body[key] for key in ("runtimeStatus", "output", "customStatus", "input")} | {
        "http": answer["status"]
    }


def is_(*statuses: str) -> Condition:
    return lambda body: body.get("runtimeStatus") in statuses


def seconds(time: str) -> float:
    """A history event's time in seconds: UTC, up to seven digits of a fraction."""
    whole = datetime.fromisoformat(time[:19] + "+00:00").timestamp()
    fraction = re.match(r"\.\d+", time[19:])
    return whole + float(fraction[0] if fraction else 0)


def event_types(body: Answer) -> list[str]:
    return [event["EventType"] for event in body.get("historyEvents") or []]


def has_event(kind: str, count: int = 1, **fields: Any) -> Condition:
    """At least `count` events of this kind, with these fields, are in the history."""

    def holds(body: Answer) -> bool:
        events = body.get("historyEvents") or []
        return count <= sum(
            event["EventType"] == kind and fields.items() <= event.items() for event in events
        )

    return holds


@dataclass
class Host:
    """A running host that serves the conformance app."""

    base: str
    session: aiohttp.ClientSession
    deadline: float  # seconds after which a wait has failed
    query: str = ""  # what its links carry: task hub, connection, perhaps a key
    key: str = ""  # "?code=…" if they carry a key

    @property
    def hooks(self) -> str:
        return f"{self.base}/runtime/webhooks/durabletask"

    async def call(self, method: str, url: str, body: Any = NO_BODY, **kwargs: Any) -> Answer:
        """`url` is absolute or begins with a slash, and encoded already. `body` is sent as JSON."""
        if body is not NO_BODY:
            kwargs["json"] = body
        target = URL(self.base + url if url.startswith("/") else url, encoded=True)
        async with self.session.request(method, target, allow_redirects=False, **kwargs) as reply:
            text = await reply.text()
            return {
                "status": reply.status,
                "headers": {k: v for k, v in reply.headers.items() if k.lower() in HEADERS},
                "body": parsed(text),
            }

    async def prepare(self) -> None:
        """Read the query of its links, and check that it runs orchestrations."""
        started = await self.call("POST", "/api/start/plain")
        assert started["status"] == 202, f"{self.base} does not serve the conformance app: {started}"
        link = started["body"]["statusQueryGetUri"]
        self.query = link.split("?", 1)[1]
        if key := re.search(r"\bcode=[^&]+", self.query):
            self.key = f"?{key[0]}"
        end = time.monotonic() + self.deadline
        while (await self.call("GET", link))["status"] != 200:
            assert time.monotonic() < end, "the first orchestration did not complete"
            await asyncio.sleep(0.1)


def parsed(text: str) -> Any:
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


@dataclass
class Scene:
    """What a scenario may do with the host; `names` maps its ids to what the recording calls them."""

    host: Host
    token: str = field(default_factory=new_token)
    names: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.names[self.token] = "TOK"
        self.call = self.host.call
        self.hooks = self.host.hooks

    def name(self, instance_id: str, called: str | None = None) -> str:
        """Note an id; the recording calls it I1, I2, ... in the order of noting, or `called`."""
        if instance_id not in self.names:
            self.names[instance_id] = called or f"I{len(self.names)}"
        return instance_id

    # -- starting ----------------------------------------------------------------------------------------------
    async def start(
        self, orchestrator: str, payload: Any = NO_BODY, *, id: str | None = None, **query: str
    ) -> tuple[Answer, str]:
        """Start through the app's starter, hence the SDK's client: the answer and the instance id."""
        pairs = ({"id": id} if id is not None else {}) | query
        text = "&".join(f"{key}={in_path(value)}" for key, value in pairs.items())
        answer = await self.call("POST", f"/api/start/{orchestrator}{'?' + text if text else ''}", payload)
        if id is not None:
            return answer, id
        assert isinstance(answer["body"], dict) and "id" in answer["body"], f"not started: {answer}"
        return answer, self.name(answer["body"]["id"])

    async def begin(self, orchestrator: str, payload: Any = NO_BODY, *, id: str | None = None) -> str:
        """The id of a new instance."""
        return (await self.start(orchestrator, payload, id=id))[1]

    async def begin_waiting(self, orchestrator: str, payload: Any = NO_BODY, *, id: str | None = None) -> str:
        """The id of a new instance, once it is Running."""
        instance_id = await self.begin(orchestrator, payload, id=id)
        await self.until(instance_id, is_("Running"))
        return instance_id

    # -- reading -----------------------------------------------------------------------------------------------
    def url(self, instance_id: str, verb: str = "", extra: str = "") -> str:
        path = f"{self.hooks}/instances/{in_path(instance_id)}{'/' + verb if verb else ''}"
        return f"{path}?{self.host.query}{extra}"

    async def get(self, instance_id: str, extra: str = "") -> Answer:
        return await self.call("GET", self.url(instance_id, extra=extra))

    async def until(
        self,
        instance_id: str,
        condition: Condition | None = None,
        extra: str = "",
        patience: float | None = None,
    ) -> Answer:
        """The status once `condition` holds for its body (once it has ended, by default).

        Past the host's deadline it is an error; past `patience`, if given, the answer is what there is then.
        """
        condition = condition or is_(*ENDED)
        start = time.monotonic()
        while True:
            answer = await self.get(instance_id, extra)
            if isinstance(answer["body"], dict) and condition(answer["body"]):
                return answer
            passed = time.monotonic() - start
            if passed > (patience or self.host.deadline):
                if patience is None:
                    last = await self.get(instance_id, WITH_HISTORY)
                    raise TimeoutError(f"{instance_id} after {self.host.deadline:.0f} s: {last}")
                return answer
            await asyncio.sleep(min(max(0.05, passed / 4), 0.5))  # the longer it takes, the fewer requests

    async def until_event(self, instance_id: str, kind: str, count: int = 1, **fields: Any) -> Answer:
        """Once the history has `count` such events."""
        return await self.until(instance_id, has_event(kind, count, **fields), "&showHistory=true")

    async def final(self, instance_id: str, patience: float | None = None) -> Answer:
        """What it answers with the history once it has ended."""
        await self.until(instance_id, patience=patience)
        return await self.get(instance_id, WITH_HISTORY)

    async def ended(self, instance_id: str, patience: float | None = None) -> Answer:
        """The same; both statuses, if the host fails to show the history."""
        plain = await self.until(instance_id, patience=patience)
        full = await self.get(instance_id, WITH_HISTORY)
        return full if full["status"] in (200, 202) else {"plain": plain, "with_history": full}

    async def outcome(self, instance_id: str, patience: float | None = None) -> Answer:
        """The compared fields of its last status."""
        return short(await self.until(instance_id, patience=patience))

    # -- sending -----------------------------------------------------------------------------------------------
    async def post(
        self, instance_id: str, verb: str, extra: str = "", body: Any = NO_BODY, **kw: Any
    ) -> Answer:
        return await self.call("POST", self.url(instance_id, verb, extra), body, **kw)

    async def event(self, instance_id: str, name: str, data: Any) -> Answer:
        return await self.post(instance_id, "raiseEvent/" + in_path(name), body=data)

    async def suspend(self, instance_id: str, reason: str) -> Answer:
        """Suspend it and wait until its status says so."""
        answer = await self.post(instance_id, "suspend", f"&reason={in_path(reason)}")
        await self.until(instance_id, is_("Suspended"))
        return answer

    async def resume(self, instance_id: str, reason: str) -> Answer:
        return await self.post(instance_id, "resume", f"&reason={in_path(reason)}")

    async def tidy(self, *instance_ids: str) -> None:
        """Terminate instances that are not needed any more."""
        for instance_id in instance_ids:
            await self.post(instance_id, "terminate", "&reason=tidy")

    async def open_gate(self, name: str) -> None:
        assert (await self.call("POST", f"/api/gate/{in_path(name)}"))["status"] == 204

    # -- the SDK's client --------------------------------------------------------------------------------------
    async def client(self, call: str, payload: Any = NO_BODY, **query: str) -> Answer:
        """One call of the SDK's client, made by the app: the whole answer."""
        text = "&".join(f"{key}={in_path(value)}" for key, value in query.items())
        return await self.call("POST", f"/api/client/{call}?{text}", payload)

    async def sdk(self, call: str, payload: Any = NO_BODY, **query: str) -> Any:
        """The same; only what the SDK returned or raised."""
        return (await self.client(call, payload, **query))["body"]

    # -- entities ----------------------------------------------------------------------------------------------
    def entity_url(self, name: str, key: str, extra: str = "") -> str:
        return f"{self.hooks}/entities/{name}/{in_path(key)}?{self.host.query}{extra}"

    async def entity(self, key: str, name: str = "cell") -> Answer:
        return await self.call("GET", self.entity_url(name, key))

    async def entity_exists(self, key: str, name: str = "cell") -> Answer:
        """Its state, once there is any."""
        end = time.monotonic() + self.host.deadline
        while (answer := await self.entity(key, name))["status"] != 200:
            if time.monotonic() > end:
                raise TimeoutError(f"entity {name} {key}: {answer}")
            await asyncio.sleep(0.05)
        return answer


def ids_only(bodies: Collection[Answer]) -> list[str]:
    return [body["instanceId"] for body in bodies]
