"""The scenarios of the management API: what happens between their exchanges, and the requests that an ask only names.

A script takes a scenario's recorded exchanges and makes the request for each, in order. It is told the answer to each
before it makes the next. Instances are waited for where the recording shows that they have ended.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Generator, Sequence
from typing import Any
from urllib.parse import quote

from tests.front.exchanges import Answer, Front, Request, request, request_of
from tests.support.waiting import until

API = "/runtime/webhooks/durabletask"
JSON = [("Content-Type", "application/json")]
ENDED = ("Completed", "Failed", "Terminated")

Exchanges = Sequence[dict[str, Any]]
Steps = Generator["Request | Answer", Answer, None]
Script = Callable[[Front, Exchanges], Steps]


# -- instances -----------------------------------------------------------------------------------------------
def post(front: Front, path: str, body: bytes = b"1") -> Request:
    return request("POST", API + path, front.host, JSON, body)


def get(front: Front, path: str) -> Request:
    return request("GET", API + path, front.host)


def start(front: Front, orchestrator: str, instance_id: str, body: bytes = b"1") -> None:
    front.exchange(post(front, f"/orchestrators/{orchestrator}/{instance_id}", body))


def status_of(front: Front, instance_id: str) -> str | None:
    """The runtime status; None if there is no such instance, or what there is has no status."""
    answer = front.exchange(get(front, f"/instances/{instance_id}"))[0]
    try:
        shown = json.loads(answer.get("body") or "null")
    except ValueError:  # shortened
        return "Completed"
    return shown.get("runtimeStatus") if isinstance(shown, dict) else None


def wait_until_ended(front: Front, instance_id: str) -> None:
    until(lambda: status_of(front, instance_id), lambda status: status is None or status in ENDED)


def wait_until_running(front: Front, instance_id: str) -> None:
    until(lambda: status_of(front, instance_id), lambda status: status == "Running")


def has_ended(exchange: dict[str, Any]) -> bool:
    return any(f'"runtimeStatus":"{status}"' in exchange["answer"].get("body", "") for status in ENDED)


# -- scripts -------------------------------------------------------------------------------------------------
def verbs(front: Front, exchanges: Exchanges) -> Steps:
    for number, exchange in enumerate(exchanges):
        if number == 1:
            wait_until_ended(front, f"{front.run}a")
        yield request_of(exchange["ask"], front.host, front.run)


def starts(front: Front, exchanges: Exchanges) -> Steps:
    number = 0  # of the newest instance
    for exchange in exchanges:
        ask = exchange["ask"]
        if named := re.search(r"RUNs(\d+)", ask):
            number = int(named[1])
        nested = re.fullmatch(r"depth (\d+)", ask)
        number += bool(nested)
        instance_id = f"{front.run}s{number}"
        if nested:
            depth = int(nested[1])
            yield post(front, f"/orchestrators/quick/{instance_id}", b"[" * depth + b"]" * depth)
        elif ask == "the same id while it runs":
            wait_until_running(front, instance_id)
            yield post(front, f"/orchestrators/waits/{instance_id}")
        elif ask == "the same id after it has ended":
            yield post(front, f"/orchestrators/quick/{instance_id}", b"2")
        elif ask == "terminated" or ask.startswith("status after"):
            wait_until_ended(front, instance_id)
            query = "?showInput=false" if ask.endswith("showInput=false") else ""
            yield get(front, f"/instances/{instance_id}{query}")
        else:
            yield request_of(ask, front.host, front.run)


# What "start with …" and its like leave out: the id as it stands in the path.
ODD_IDS = {
    "blank at the end": "RUNa%20",
    "%": "RUN%",
    "%zz": "RUN%zz",
    "%FF": "RUN%FF",
    **{character: "RUN" + quote(character) for character in "ä☃😀"},
    "NFD": "RUN" + quote("a\u0308"),
    "@x@y": "@RUN@y",
    "@x": "@RUN",
    "x@y": "RUN@y",
    "%40": "%40RUN@y",
    "quote": "RUN'a",
    "dquote": 'RUN"a',
    "<>": "RUN<a>",
    "...": "RUN...",
    **{dots: dots for dots in (".", "..", "%2E%2E")},
    "{}": "RUN{0}",
    "100 characters": "RUN" + "x" * 93,
    "101 characters": "RUN" + "x" * 94,
    "300 characters": "RUN" + "y" * 293,
    "1100 characters": "RUN" + "z" * 1093,
    "UPPER": "RUNABC",
}


def ids(front: Front, exchanges: Exchanges) -> Steps:
    for exchange in exchanges:
        ask = exchange["ask"]
        named = re.fullmatch(r"(start with|status of|terminate|purge) (.+)", ask)
        if named is None:
            yield request_of(ask, front.host, front.run)
            wait_until_ended(front, f"{front.run}Case")
            continue
        verb, what = named.groups()
        instance_id = ODD_IDS.get(what, f"RUN{what}a").replace("RUN", front.run)
        path = f"/instances/{instance_id}"
        if verb == "start with":
            answer = yield post(front, f"/orchestrators/quick/{instance_id}")
            if answer["status"].endswith("202 Accepted"):
                wait_until_ended(front, instance_id)
        elif verb == "terminate":
            yield request("POST", f"{API}{path}/terminate", front.host)
        else:
            yield request("DELETE" if verb == "purge" else "GET", API + path, front.host)


# The requests behind asks that say in words how the event is sent: path, headers, body.
EVENTS: dict[str, tuple[str, list[tuple[str, str]], bytes]] = {
    "event as None": ("raiseEvent/go", [], b'"x"'),
    "event as application/json; charset=utf-16": (
        "raiseEvent/go",
        [("Content-Type", "application/json; charset=utf-16")],
        '"x"'.encode("utf-16"),
    ),
    "event in another case": ("raiseEvent/GO", JSON, b"1"),
    "RAISEEVENT": ("RAISEEVENT/go", JSON, b"1"),
    "event with odd name": ("raiseEvent/a%20b%2Fc", JSON, b"1"),
    "event with trailing slash": ("raiseEvent/go/", JSON, b"1"),
    "event to another hub": ("raiseEvent/go?taskHub=Other&connection=Storage", JSON, b"1"),
    "event to another connection": ("raiseEvent/go?connection=Nonsense", JSON, b"1"),
}


def event_of(ask: str) -> tuple[str, list[tuple[str, str]], bytes]:
    if ask in EVENTS:
        return EVENTS[ask]
    if nested := re.fullmatch(r"event of depth (\d+)", ask):
        return "raiseEvent/go", JSON, b"[" * int(nested[1]) + b"]" * int(nested[1])
    if ask.startswith("event as "):
        return "raiseEvent/go", [("Content-Type", ask.removeprefix("event as "))], b'"x"'
    return "raiseEvent/go", JSON, ast.literal_eval(ask.removeprefix("event ")).encode()


def events(front: Front, exchanges: Exchanges) -> Steps:
    number = 0
    instance_id = ""
    accepted = False

    def new() -> None:
        nonlocal number, instance_id
        instance_id = f"{front.run}e{number}"
        number += 1
        start(front, "waits", instance_id)
        wait_until_running(front, instance_id)

    start(front, "quick", f"{front.run}ended")
    wait_until_ended(front, f"{front.run}ended")
    for exchange in exchanges:
        ask = exchange["ask"]
        if ask.startswith("event") or ask == "RAISEEVENT":
            new()
            path, headers, body = event_of(ask)
            target = f"{API}/instances/{instance_id}/{path}"
            answer = yield request("POST", target, front.host, headers, body)
            accepted = answer["status"].endswith("202 Accepted")
        elif ask.startswith("status"):
            if accepted and has_ended(exchange):
                wait_until_ended(front, instance_id)
            yield get(front, f"/instances/{instance_id}")
        else:
            if f"RUNe{number}/" in ask:
                new()
            answer = yield request_of(ask, front.host, front.run)
            accepted = answer["status"].endswith("202 Accepted")
            if accepted and (state := STATES.get(ask.rpartition("/")[2].partition("?")[0])):
                until(lambda: status_of(front, instance_id), state.__eq__)


STATES = {"suspend": "Suspended", "resume": "Running"}


def statuses(front: Front, exchanges: Exchanges) -> Steps:
    for orchestrator, suffix, body in (
        ("quick", "q", b'{"a":1}'),
        ("fails", "f", b"1"),
        ("waits", "w", b"1"),
        ("chain", "c", b'"y"'),
    ):
        start(front, orchestrator, front.run + suffix, body)
    for suffix in "qfc":
        wait_until_ended(front, front.run + suffix)
    wait_until_running(front, f"{front.run}w")
    for exchange in exchanges:
        yield request_of(exchange["ask"], front.host, front.run)


def lists(front: Front, exchanges: Exchanges) -> Steps:
    for number in range(5):
        start(front, "quick", f"{front.run}l{number}", str(number).encode())
    for number in range(5):
        wait_until_ended(front, f"{front.run}l{number}")
    pages = f"{API}/instances?instanceIdPrefix={front.run}l&top=2"
    token: str | None = None
    count = 0
    for exchange in exchanges:
        ask = exchange["ask"]
        if ask.startswith("list with the token "):
            given = ast.literal_eval(ask.removeprefix("list with the token "))
            yield request("GET", pages, front.host, [("x-ms-continuation-token", given)])
        elif ask.startswith("page "):
            headers = [("x-ms-continuation-token", token)] if token else []
            answer = yield request("GET", pages, front.host, headers)
            token, count = dict(answer["headers"]).get("x-ms-continuation-token"), count + 1
        elif ask == "pages read":
            yield {"nothing": str(count)}
        elif "createdTimeFrom=DATE" in ask:  # two times, of which the recording keeps none
            times = "createdTimeFrom=2001-01-01T00:00:00Z&createdTimeTo=2002-01-01T00:00:00Z"
            yield get(front, f"/instances?instanceIdPrefix={front.run}l&{times}")
        else:
            yield request_of(ask, front.host, front.run)


SCRIPTS: dict[str, Script] = {
    "durable_verbs": verbs,
    "durable_start": starts,
    "durable_ids": ids,
    "durable_events": events,
    "durable_status": statuses,
    "durable_list": lists,
}
