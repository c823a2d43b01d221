"""What a function has written to its output bindings: messages for queues, which the host keeps; others are shown.

The Functions host sends outputs after the function has returned, and before the call counts as ended. If they cannot
be sent, the call fails.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from azure.functions.meta import Datum

from dfhost.app.bindings import TypedBinding
from dfhost.host_log import CallLog
from dfhost.parse_json import parse_json
from dfhost.printable import shortened
from dfhost.runner.app_runner import PutMessages

_SHOWN = 200  # characters


class OutputFailed(Exception):
    """What the function has written cannot be sent."""


class Written(NamedTuple):
    """What a call of `function` has written to its output bindings, and these, by their names."""

    function: str
    bindings: Mapping[str, TypedBinding]
    data: Mapping[str, Datum]


class Outputs:
    """Sends the outputs of all functions of an app, once it is connected to a host."""

    def __init__(self, log: CallLog | None) -> None:
        self._log = log
        self._put: PutMessages | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def connect(self, put_messages: PutMessages) -> None:
        """To be called on the loop on which `put_messages` is to run."""
        self._put, self._loop = put_messages, asyncio.get_running_loop()

    async def send(self, written: Written) -> None:
        """On any loop. Raises OutputFailed."""
        for messages in self._messages(written):
            if asyncio.get_running_loop() is self._loop:
                problem = await self._putting(*messages)
            else:
                problem = await asyncio.wrap_future(self._put_soon(*messages))
            _check(problem)

    def send_blocking(self, written: Written) -> None:
        """As `send`, from a thread that has no loop."""
        for messages in self._messages(written):
            _check(self._put_soon(*messages).result())

    def _put_soon(self, queue: str, texts: list[str]) -> Any:
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(self._putting(queue, texts), self._loop)

    async def _putting(self, queue: str, texts: list[str]) -> str:
        assert self._put is not None
        return await self._put(queue, texts)

    def _messages(self, written: Written) -> list[tuple[str, list[str]]]:
        """Those for queues, by queue. What belongs to another service is only shown."""
        found = []
        for name, datum in written.data.items():
            binding = written.bindings[name]
            if binding.type == "http" or datum.value is None:
                continue
            if binding.type == "queue":
                found.append((str(binding.binding.get("queueName", "")), messages_of(datum)))
            elif self._log is not None:
                self._log.note(
                    f"{written.function}: dfhost does not send its {binding.type} output: {_shown(datum)}"
                )
        return found


def messages_of(datum: Datum) -> list[str]:
    """The texts that the Functions host puts into a queue for this output. Raises OutputFailed.

    Text that looks like JSON is read as JSON there: each element of an array becomes a message, and an object is
    written anew, indented (FunctionBinding.ReadAsEnumerable, and Newtonsoft's JToken.ToString).
    """
    if datum.type == "bytes":
        try:
            return [datum.value.decode()]
        except UnicodeDecodeError:
            raise OutputFailed(
                "dfhost keeps queue messages as text, and these bytes are not UTF-8. A queue function in Python "
                "could not read them on Azure either."
            ) from None
    # Of a parameter that is annotated as str the worker takes these, too, and sends them as JSON.
    text = json.dumps(datum.value) if datum.type in ("dict", "list") else str(datum.value)
    if (text.strip()[:1], text.strip()[-1:]) not in (("{", "}"), ("[", "]")):
        return [text]
    try:
        value = parse_json(text)
    except ValueError as error:
        raise OutputFailed(
            f"The message looks like JSON and is not: {error}. The Functions host reads such a text as JSON, and "
            f"fails or changes it. Write json.dumps(…), or another text. The message: {_shown(datum)}"
        ) from None
    return list(map(_as_text, value)) if isinstance(value, list) else [_as_text(value)]


def _as_text(value: Any) -> str:
    """As Newtonsoft's JToken.ToString has it."""
    if isinstance(value, (dict, list)):
        return json.dumps(value, indent=2, ensure_ascii=False)
    if isinstance(value, float):
        return str(value).removesuffix(".0").replace("e", "E")
    return "" if value is None else str(value)


def _check(problem: str) -> None:
    if problem:
        raise OutputFailed(problem)


def _shown(datum: Datum) -> str:
    return shortened(datum.value if isinstance(datum.value, str) else repr(datum.value), _SHOWN)
