"""Answers, and which refusal becomes which status and body: the one table of it.

The shapes are the Durable Task extension's: no body and no content type, a bare JSON value, ``{"Message"}``,
or the four keys of an exception. Knows nothing of routes. No Python traceback ever leaves through here.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dfhost.errors import HostError, InstanceExists, InstanceNotFound, UnknownFunction, WrongState
from dfhost.management.json_errors import InvalidJson
from dfhost.management.json_text import encode, utf8

SOMETHING_WENT_WRONG = "Something went wrong while processing your request"
ENDED = frozenset(("Completed", "Failed", "Terminated", "Canceled"))

_log = logging.getLogger("dfhost.management")


@dataclass(frozen=True, slots=True)
class ManagementResponse:
    """An HTTP answer; without a body it has no content type."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class RequestRefused(Exception):
    """A request is refused, and the handler knows how: `answer`."""

    def __init__(self, answer: ManagementResponse) -> None:
        super().__init__(answer.status)
        self.answer = answer


def json_response(status: int, text: str, **headers: str) -> ManagementResponse:
    """`text`: JSON; header names with ``_`` for ``-``."""
    named = {"Content-Type": "application/json; charset=utf-8"}
    named.update((name.replace("_", "-"), value) for name, value in headers.items())
    return ManagementResponse(status, named, utf8(text))


def message_response(status: int, sentence: str) -> ManagementResponse:
    return json_response(status, encode({"Message": sentence}))


def failure_response(
    status: int, sentence: str, exception: str, kind: str, stack: str | None = None
) -> ManagementResponse:
    """`exception`: its message; `kind`: its .NET type."""
    body = {
        "Message": sentence,
        "ExceptionMessage": exception,
        "ExceptionType": kind,
        "StackTrace": stack,
    }
    return json_response(status, encode(body))


def sentence_in(body: bytes) -> str:
    """What a refusal says, for people: the sentence in one of the shapes above, or the text that it is."""
    text = body.decode(errors="replace").strip()
    try:
        told = json.loads(text)
    except ValueError:
        return text
    if not isinstance(told, dict):
        return str(told)
    return ": ".join(filter(None, (told.get("Message"), told.get("ExceptionMessage"))))


def error_response(error: Exception) -> ManagementResponse:
    """What `error` becomes at the door."""
    return next(_REFUSALS[kind] for kind in type(error).__mro__ if kind in _REFUSALS)(error)


def _wrong_state(error: WrongState) -> ManagementResponse:
    if error.status in ENDED:
        return ManagementResponse(410)
    return failure_response(500, SOMETHING_WENT_WRONG, str(error), "System.InvalidOperationException")


def _not_json(error: InvalidJson) -> ManagementResponse:
    stack = f"   at Newtonsoft.Json.JsonTextReader.{error.reader}\n   at dfhost"
    return failure_response(
        400, "Invalid JSON content", str(error), "Newtonsoft.Json.JsonReaderException", stack
    )


def _host_error(error: HostError) -> ManagementResponse:
    return failure_response(500, SOMETHING_WENT_WRONG, str(error), f"dfhost.{type(error).__name__}")


def _unexpected(error: Exception) -> ManagementResponse:
    _log.error("a request to the management API failed", exc_info=error)
    name = type(error).__name__
    return failure_response(
        500, SOMETHING_WENT_WRONG, f"{name}: {error}" if str(error) else name, "System.Exception"
    )


_REFUSALS: dict[type, Callable[[Any], ManagementResponse]] = {
    RequestRefused: lambda error: error.answer,
    InstanceNotFound: lambda error: ManagementResponse(404),
    InstanceExists: lambda error: message_response(409, str(error)),
    WrongState: _wrong_state,
    UnknownFunction: lambda error: message_response(400, str(error)),
    InvalidJson: _not_json,
    HostError: _host_error,
    Exception: _unexpected,
}
