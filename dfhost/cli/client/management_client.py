"""The client of the management API: a command's question goes out as a request, a refusal comes back as a sentence.

It speaks the Durable Task extension's public API, so it works with Azure and `func start`, too. What only dfhost
answers (`explain`, `timeline`) is None elsewhere. How a request travels is the business of the transport it is given.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, unquote_plus, urlencode

from dfhost.cli.asking import agreed
from dfhost.cli.client.file_transport import read_file
from dfhost.cli.client.host_address import HostAddress, find_host, status_url
from dfhost.cli.client.http_transport import Response, send
from dfhost.cli.exit_codes import MISTAKE, NOT_COMPLETED, NOT_FOUND, WRONG_STATE, NotDone
from dfhost.cli.local_times import local_time
from dfhost.cli.style import printable
from dfhost.errors import HostError

_API = "/runtime/webhooks/durabletask"
_PAGE = 500  # instances in one answer
#: What only dfhost is asked, each with a key by which its answer is known.
_OWN_ANSWERS = {"explain": "waitsFor", "timeline": "tasks", "rewindWarning": "rewindWarning"}

Json = dict[str, Any]


class Transport(Protocol):
    def __call__(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        wait: float = 0,
    ) -> Response: ...


class ManagementClient:
    """`place` names the host in sentences: "The host at http://localhost:7071".

    `reads_file`: no host answers, but a database file, which does not know which events are awaited. A `query` is
    sent without its empty texts.
    """

    def __init__(
        self, transport: Transport, place: str, address: HostAddress, reads_file: bool = False
    ) -> None:
        self.place = place
        self.reads_file = reads_file
        self.address = address
        self._transport = transport
        self._is_dfhost = True  # until it turns out that it is not

    # -- reading ---------------------------------------------------------------------------------------------
    def status(self, instance_id: str, **query: str) -> Json | None:
        """None if there is no such instance. `query`: showInput and the like, "true" or "false"."""
        response = self._ask("GET", f"instances/{_quoted(instance_id)}", query)
        if response.status == 404:
            return None
        self._check(response, 200, 202)
        return _object(response)

    def own_status(self, instance_id: str, question: str, **query: str) -> Json | None:
        """What dfhost alone answers to `question`, a key of `_OWN_ANSWERS`. NotDone if there is no such instance.

        None from another host, which is asked once.
        """
        if not self._is_dfhost:
            return None
        answer = self.status(instance_id, **{question: "true"}, **query)
        if answer is None:
            raise NotDone(
                NOT_FOUND, f"{self.place} has no instance '{instance_id}'. Is it on another host? See --url."
            )
        self._is_dfhost = _OWN_ANSWERS[question] in answer
        return answer if self._is_dfhost else None

    def awaited_events(self, instance_id: str) -> dict[str, list[str]] | None:
        """The names of the events that the instance waits for, and its children: by instance id.

        None from another host than dfhost. NotDone if there is no such instance.
        """
        answer = self.own_status(instance_id, "explain")
        return None if answer is None else dict(_awaited_events(answer))

    def instances(self, **query: str) -> Iterator[Json]:
        """Those that the query matches, ordered by id; reads page by page. Entities are among them."""
        return self._pages("instances", {"top": str(_PAGE), "showInput": "false", **query})

    def entities(self, name: str = "", **query: str) -> Iterator[Json]:
        path = f"entities/{_quoted(name)}" if name else "entities"
        return self._pages(path, {"top": str(_PAGE), **query})

    def entity_state(self, name: str, key: str) -> Any:
        """None if the entity has none."""
        response = self._ask("GET", f"entities/{_quoted(name)}/{_quoted(key or '$')}", {})  # $: the empty key
        if response.status == 404:
            return None
        self._check(response, 200)
        return response.json()

    def functions(self) -> list[Json] | None:
        """The app's functions as /admin lists them, None where that needs another key."""
        response = self._transport("GET", "/admin/functions", None, self._headers())
        if response.status != 200:
            return None
        listed = response.json()
        return listed if isinstance(listed, list) else None

    def app_folder(self) -> Path | None:
        """The folder whose app the host serves, None where nothing says it."""
        try:
            return Path((self.functions() or [])[0]["config"]["functionDirectory"]).resolve()
        except (IndexError, KeyError, TypeError):
            return None

    # -- steering --------------------------------------------------------------------------------------------
    def start(self, name: str, input: str | None, instance_id: str = "", version: str = "") -> Json:
        """The links of the new instance. `input`: JSON, which the orchestrator gets as from the SDK's `start_new`."""
        path = f"orchestrators/{_quoted(name)}" + (f"/{_quoted(instance_id)}" if instance_id else "")
        # `get_input` of the SDK decodes twice, because `start_new` encodes twice.
        body = None if input is None else json.dumps(input)
        return _object(self._done("POST", path, {"version": version}, body))

    def raise_event(self, instance_id: str, event: str, data: str) -> None:
        check_name(event)
        self._steer(instance_id, f"raiseEvent/{_quoted(event)}", {}, data)

    def act(self, instance_id: str, verb: str, reason: str | None) -> None:
        """`verb`: suspend, resume, terminate or rewind."""
        self._steer(instance_id, verb, {"reason": reason or ""}, None)

    def _steer(self, instance_id: str, verb: str, query: Mapping[str, str], body: str | None) -> None:
        response = self._ask("POST", f"instances/{_quoted(instance_id)}/{verb}", query, body)
        if response.status == 410 and (status := self.status(instance_id, showInput="false")) is not None:
            ended = f"{status['runtimeStatus']} since {local_time(status['lastUpdatedTime'])}"
            raise NotDone(
                WRONG_STATE,
                printable(f"{status['name']} {instance_id} has ended already: it is {ended}."),
            )
        self._check(response, 200, 202)

    def restart(self, instance_id: str, new_id: bool) -> Json:
        query = {"restartWithNewInstanceId": str(new_id).lower()}
        return _object(self._done("POST", f"instances/{_quoted(instance_id)}/restart", query))

    def purge(self, instance_id: str) -> int:
        return int(_object(self._done("DELETE", f"instances/{_quoted(instance_id)}", {}))["instancesDeleted"])

    def purge_where(self, **query: str) -> int:
        """How many were purged."""
        response = self._ask("DELETE", "instances", query)
        if response.status == 404:
            return 0
        self._check(response, 200)
        return int(_object(response)["instancesDeleted"])

    def signal(self, name: str, key: str, operation: str, input: str | None) -> None:
        """`input`: JSON, which reaches the entity as from the SDK's `signal_entity`."""
        check_name(key)
        body = None if input is None else json.dumps(input)
        self._done("POST", f"entities/{_quoted(name)}/{_quoted(key)}", {"op": operation}, body)

    def trigger(self, function: str, text: str, wait: int = 0) -> Json | None:
        """Run a function that has another trigger than HTTP. `text`: its message. Azure wants the master key.

        How the call has ended, with the key "succeeded", and "error" and "stack" of a failure. Empty if it goes on
        after `wait` seconds. None from another host than dfhost, which does not tell, and without `wait`.
        """
        body = json.dumps({"input": text}).encode()
        headers = self._headers() | ({"Prefer": f"wait={wait}"} if wait else {})
        response = self._transport("POST", f"/admin/functions/{_quoted(function)}", body, headers, wait)
        if response.status in (401, 403):
            raise NotDone(
                MISTAKE, f"{self.place} wants its master key for this. Give it with --key or in DFHOST_KEY."
            )
        if response.status == 404:
            raise NotDone(MISTAKE, f"{self.place} has no function '{function}'.")
        self._check(response, 200, 202)
        if "preference-applied" not in response.headers:
            return None
        return _object(response) if response.status == 200 else {}

    def queues(self, method: str, path: str = "", value: Any = None, top: int | None = None) -> Any:
        """What dfhost answers to a request about the app's storage queues, all of them or that of a `path`.

        NotDone from another host, which has none, and with the sentence of a refusal.
        """
        # A path is a name, or a name and what to do; the slash between them stays.
        target = f"/admin/queues/{quote(path)}".rstrip("/") + ("" if top is None else f"?top={top}")
        body = None if value is None else json.dumps(value).encode()
        response = self._transport(method, target, body, self._headers())
        if response.status in (401, 403, 404):
            raise NotDone(
                MISTAKE, f"{self.place} has no queues of its own: a storage account has them there."
            )
        self._check(response, 200, 201)
        return response.json()

    # -- requests --------------------------------------------------------------------------------------------
    def _pages(self, path: str, query: Mapping[str, str]) -> Iterator[Json]:
        token = ""
        while True:
            headers = {"x-ms-continuation-token": token} if token else {}
            response = self._ask("GET", path, query, None, headers)
            self._check(response, 200)
            yield from response.json()
            token = response.headers.get("x-ms-continuation-token") or ""
            if token in ("", "null"):
                return

    def _done(self, method: str, path: str, query: Mapping[str, str], body: str | None = None) -> Response:
        response = self._ask(method, path, query, body)
        self._check(response, 200, 202)
        return response

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        address = self.address
        every = {**query, "taskHub": address.task_hub, "connection": address.connection}
        parameters = urlencode({name: text for name, text in every.items() if text})
        target = f"{_API}/{path}" + (f"?{parameters}" if parameters else "")
        encoded = None if body is None else body.encode()
        return self._transport(method, target, encoded, {**self._headers(), **(headers or {})})

    def _headers(self) -> dict[str, str]:
        key = {"x-functions-key": self.address.key} if self.address.key else {}
        return {"Content-Type": "application/json", **key}

    def _check(self, response: Response, *expected: int) -> None:
        """NotDone, with the host's own sentence, for any other status."""
        if response.status in expected:
            return
        from dfhost.management.responses import sentence_in

        said = sentence_in(response.body)
        match response.status:
            case 400 if said:
                raise NotDone(MISTAKE, said)
            case 401 | 403:
                problem = "asks for a key" if response.status == 401 else "does not take this key here"
                raise NotDone(
                    MISTAKE,
                    f"{self.place} {problem}. Give the system key durabletask_extension with --key or in DFHOST_KEY.",
                )
            case 404:
                raise NotDone(
                    NOT_FOUND, said or f"{self.place} does not know this. Is it a durable host? See --url."
                )
            case 410:
                raise NotDone(WRONG_STATE, "The instance has ended already.")
            case 409 | 412:
                raise NotDone(WRONG_STATE, said)
            case 500 if b"InvalidOperationException" in response.body:
                raise NotDone(WRONG_STATE, said.partition(": ")[2] or said)
        raise NotDone(NOT_COMPLETED, f"{self.place} answered {response.status}: {said or 'nothing more'}")


def open_client(options: argparse.Namespace, *ids: str) -> tuple[ManagementClient, list[str]]:
    """The client that the options ask for, and the ids; of a status URL its host and its id."""
    address, plain = None, []
    for text in ids:
        found = status_url(text)
        if found is not None and address not in (None, found[0]):
            raise HostError("These status URLs are of several hosts. Give those of one host.")
        address, text = found or (address, text)
        plain.append(text)
    if file := getattr(options, "db", None):
        return file_client(file), plain
    if address is None:
        address = find_host(options)
    client = ManagementClient(partial(send, address), f"The host at {address.url}", address)
    if address.is_guess:
        _name_guess(client, options)
    return client, plain


def _name_guess(client: ManagementClient, options: argparse.Namespace) -> None:
    """Say whose host this is, unless it serves this folder. What changes something there is asked about first.

    NotDone if the answer is no, or if nobody can be asked.
    """
    url, folder, here = client.address.url, client.app_folder(), Path().resolve()
    if folder in (here, *here.parents):
        return
    runs = printable(f", which runs {folder}" if folder else "")
    named = f"This folder has no host, so this is the one at {url}{runs}."
    if "db" in options or getattr(options, "dry_run", False) or getattr(options, "yes", False):
        print(named, file=sys.stderr)
        return
    if not agreed(f"{named} Go on?", f"{named} Nothing was done: add --url {url} if you mean that host."):
        raise NotDone(MISTAKE, "Nothing was done.")


def file_client(file: Path) -> ManagementClient:
    """Reads a database file in place of a host."""
    return ManagementClient(partial(read_file, file), f"The file {file}", HostAddress(""), True)


def orchestrations(instances: Iterable[Json]) -> Iterator[Json]:
    """Without the entities, which every list of instances contains."""
    return (each for each in instances if not str(each["instanceId"]).startswith("@"))


def _awaited_events(explained: Json) -> Iterator[tuple[str, list[str]]]:
    waits = explained["waitsFor"]
    yield explained["instanceId"], [str(wait["name"]) for wait in waits if wait["kind"] == "event"]
    for wait in waits:
        if "explanation" in wait:
            yield from _awaited_events(wait["explanation"])


def check_name(text: str) -> None:
    """NotDone if no host can read an id, an event or an entity's key of this name in the path of a request.

    Hosts decode a path twice before they cut it at each slash.
    """
    decoded = unquote_plus(text)
    problem = "contains a '/'" if "/" in decoded else "is a step in a path" if decoded in (".", "..") else ""
    if problem:
        raise NotDone(
            MISTAKE, f"'{printable(text)}' {problem}, so no request can name it, neither here nor on Azure."
        )


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _object(response: Response) -> Json:
    answer = response.json()
    if not isinstance(answer, dict):
        raise HostError("The answer is not what a durable host answers.")
    return answer
