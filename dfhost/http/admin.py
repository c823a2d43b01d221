"""``/admin``: the host's state, the app's functions, and a way to run one by hand.

Routes and shapes are the Functions host's, as far as a developer's machine needs them. As with Core Tools, no
keys are needed. One thing is dfhost's own: a client that sends ``Prefer: wait=N`` (RFC 7240) is told how the function
that it runs by hand has ended, if that takes N seconds at most.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Mapping
from typing import Any

from dfhost.background_tasks import BackgroundTasks
from dfhost.clock import Clock
from dfhost.did_you_mean import question
from dfhost.engine.failures import Failure, clean
from dfhost.host_log import HostLog
from dfhost.http.http_functions import HttpFunctions
from dfhost.idle_signal import nobody_waits
from dfhost.management.json_text import encode
from dfhost.management.request import RequestHandler
from dfhost.management.urls import WEBHOOKS_PATH
from dfhost.parse_json import parse_json
from dfhost.printable import shortened
from dfhost.runner.app_runner import AppRunner, FunctionCall, HttpReply, TriggerText
from dfhost.runner.functions import BLOB_FILE_PREFIX, JSON_TRIGGERS, AppInfo, FunctionInfo
from dfhost.runner.invoke import invoke_function
from dfhost.settings.app_files import script_name

_NOT_FOUND = HttpReply(404, [])
_SHOWN_BODY = 300  # characters
_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,6})\b", re.IGNORECASE)
_JSON_OR_XML = re.compile(r"^\s*(application|text)/([\w.-]+\+)?(json|xml)\s*(;|$)", re.IGNORECASE)


class Admin:
    def __init__(
        self,
        runner: AppRunner,
        http_functions: HttpFunctions,
        log: HostLog,
        clock: Clock,
        management: RequestHandler | None,
    ) -> None:
        """`management` starts orchestrators, as it does for any client."""
        self._runner = runner
        self._http_functions = http_functions
        self._log = log
        self._clock = clock
        self._management = management
        self._started = time.monotonic()
        self._calls = BackgroundTasks()
        self._had_no_input: set[str] = set()  # functions of which a note has said so
        self.on_end = nobody_waits  # see `IdleSignal.changed`

    @property
    def unfinished(self) -> int:
        """How many functions run by hand."""
        return len(self._calls)

    async def handle(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, origin: str
    ) -> HttpReply:
        """`path`: decoded, what follows ``/admin/``; its case does not count, nor that of the names of `headers`."""
        match method, *path.lower().rstrip("/").split("/"):
            case "GET", "host", "status":
                return _json(200, self._status())
            case "GET" | "POST", "host", "ping":
                return HttpReply(200, [("Cache-Control", "no-store,no-cache"), ("Pragma", "no-cache")])
            case "GET", "functions":
                return _json(200, [self._described(each, origin) for each in self._functions().values()])
            case "GET", "functions", name if function := self._functions().get(name):
                return _json(200, self._described(function, origin))
            case "GET", "functions", name, "status" if name in self._functions():
                return _json(200, {})
            case "POST", "functions", name:
                return await self._run(name, headers, body, origin)
        return _NOT_FOUND

    def why_not(self, path: str) -> str:
        """Why `handle` has found nothing at `path`, in words."""
        kind, name, *_ = [*path.split("/"), ""]
        functions = self._functions()
        if kind.lower() == "functions" and name and name.lower() not in functions:
            names = (function.name for function in functions.values())
            return f"the app has no function '{name}'. {question(name, names)}".rstrip()
        return "there is no such path, or it takes another method"

    @property
    def _app(self) -> AppInfo:
        return self._runner.app

    def _functions(self) -> dict[str, FunctionInfo]:
        """All that the app has, in the order of the real host."""
        app = self._app
        functions = sorted((*app.functions, *app.disabled, *app.excluded), key=lambda each: each.name.upper())
        return {function.name.lower(): function for function in functions}

    def _url(self, function: FunctionInfo) -> str | None:
        """The path of an HTTP function."""
        routes = self._http_functions.routes.routes
        return next((f"/{route.template}" for route in routes if route.name == function.name), None)

    def _status(self) -> dict[str, Any]:
        version = _version()
        return {
            "id": self._app.root.name,
            "state": "Running",
            "version": version,
            "versionDetails": f"dfhost {version}",
            "platformVersion": "",
            "instanceId": "",
            "computerName": "",
            "processUptime": round((time.monotonic() - self._started) * 1000),
            "functionAppContentEditingState": "Unknown",
        }

    def _described(self, function: FunctionInfo, origin: str) -> dict[str, Any]:
        """With the keys of the real host. Nothing is served under its links to files, and so here."""
        url = self._url(function)
        name, root, script = function.name, self._app.root, script_name()
        return {
            "name": name,
            "script_root_path_href": None,
            "script_href": f"{origin}/admin/vfs{root}/{script}",
            "config_href": None,
            "test_data_href": f"{origin}/admin/vfs{root}/testdata/{name}.dat",
            "href": f"{origin}/admin/functions/{name}",
            "invoke_url_template": origin + url if url else None,
            "language": "python",
            "config": {
                "name": name,
                "entryPoint": name,
                "scriptFile": script,
                "language": "python",
                "functionDirectory": str(root),
                "bindings": [dict(function.trigger), *map(dict, function.bindings)],
            },
            "files": None,
            "test_data": "",
            "isDisabled": function in self._app.disabled,
            "isDirect": False,
            "isProxy": False,
        }

    # -- running by hand -------------------------------------------------------------------------------------
    async def _run(self, name: str, headers: Mapping[str, str], body: bytes, origin: str) -> HttpReply:
        """202 once the call has started; the console shows how it ends, as with Core Tools. Or see `_end_of`."""
        if not _JSON_OR_XML.search(headers.get("Content-Type", "")):
            sentence = "Send the body as JSON, with the header Content-Type: application/json."
            return _json(415, {"Message": sentence})
        try:
            text, has_input = _input_text(body)
        except ValueError as error:
            return _refusal(str(error))
        function = self._app.get(name)
        if function is None:
            return _NOT_FOUND
        if function.kind == "http":
            url = self._url(function)
            how = f"call {origin}{url}" if url else "but no request can reach it"
            return _refusal(f"'{function.name}' is an HTTP function; {how}.")
        if function.kind == "orchestrator":
            return await self._start(function, text, origin)
        if function.kind == "entity":
            return _refusal(
                f"'{function.name}' is an entity function; signal one of its entities by "
                f"POST {origin}{WEBHOOKS_PATH}/entities/{function.durable_name}/KEY?op=OPERATION."
            )
        if function.trigger["type"] in JSON_TRIGGERS:
            try:
                parse_json(text)
            except ValueError as error:
                sentence = "its trigger takes JSON, which the input is not"
                return _refusal(f"'{function.name}' cannot be run: {sentence}: {error}.")
        if function.trigger["type"] == "blobTrigger" and text.startswith(BLOB_FILE_PREFIX):
            file = self._app.root / text.removeprefix(BLOB_FILE_PREFIX)
            if not file.is_file():
                return _refusal(f"'{function.name}' cannot be run: there is no file {file}.")
        if not has_input and function.kind != "timer":
            self._note_no_input(function.name, body)
        calling = FunctionCall(function.name, TriggerText(text))
        call = self._calls.start(invoke_function(self._runner, function, calling, self._log, self._clock))
        call.add_done_callback(lambda _: self.on_end())
        wait = _WAIT.search(headers.get("Prefer", ""))
        return await _end_of(call, int(wait[1])) if wait else HttpReply(202, [])

    def _note_no_input(self, name: str, body: bytes) -> None:
        """The real host runs the function all the same."""
        if name not in self._had_no_input:
            self._had_no_input.add(name)
            meant = json.dumps({"input": body.decode()}, ensure_ascii=False)
            self._log.note(
                f'POST /admin/functions/{name} had no "input" in its body, so {name} gets an empty message. '
                f"If the body is the message, send {shortened(meant, _SHOWN_BODY)}"
            )

    async def _start(self, function: FunctionInfo, text: str, origin: str) -> HttpReply:
        """Start an orchestrator; JSON is its input as it is, any other text as a string."""
        if self._management is None:
            return _refusal("There is no task hub here to start an orchestrator in.")
        try:
            parse_json(text)
        except ValueError:
            text = json.dumps(text) if text else ""
        path = f"orchestrators/{function.durable_name}"
        headers = {"Content-Type": "application/json"}
        response = await self._management("POST", path, "", headers, text.encode(), origin)
        return HttpReply(response.status, list(response.headers.items()), response.body)


async def _end_of(call: asyncio.Task[HttpReply | Failure | None], seconds: int) -> HttpReply:
    """200 and how the call has ended, after its retries; 202 if it goes on after `seconds`.

    The header ``Preference-Applied`` tells a client that this host waits: any other answers 202 at once.
    """
    applied = ("Preference-Applied", f"wait={seconds}")
    await asyncio.wait([call], timeout=seconds)
    if not call.done():
        return HttpReply(202, [applied])
    outcome = call.result()
    end: dict[str, Any] = {"succeeded": True}
    if isinstance(outcome, Failure):
        end = {"succeeded": False, "error": clean(outcome.text), "stack": clean(outcome.stack)}
    reply = _json(200, end)
    reply.headers.append(applied)
    return reply


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # not needed to start

    try:
        return version("dfhost")
    except PackageNotFoundError:  # run from a checkout that was not installed
        return "0"


def _input_text(body: bytes) -> tuple[str, bool]:
    """The text in ``{"input": …}``: a string, or a number or Boolean as text. False if there are only other keys.

    Raises ValueError with a sentence.
    """
    expected = 'The body must be a JSON object such as {"input": "text"}.'
    try:
        value = parse_json(body.decode())
    except ValueError as error:  # UnicodeDecodeError is one
        raise ValueError(f"{expected} It is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise ValueError(expected)
    has_input = not value or any(key.lower() == "input" for key in value)
    given = next((given for key, given in value.items() if key.lower() == "input"), None)
    if isinstance(given, dict | list):
        as_text = json.dumps({"input": json.dumps(given, ensure_ascii=False)}, ensure_ascii=False)
        raise ValueError(f"The input must be a string. Send its JSON as one: {as_text}.")
    if given is None:
        return "", has_input
    return given if isinstance(given, str) else json.dumps(given), True


def _json(status: int, value: Any) -> HttpReply:
    headers = [("Content-Type", "application/json; charset=utf-8")]
    return HttpReply(status, headers, encode(value).encode())


def _refusal(sentence: str) -> HttpReply:
    return _json(400, {"Message": sentence})
