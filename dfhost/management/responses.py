"""The responses of the management API, and the one table of which error becomes which response.

The shapes are the Durable Task extension's: no body and no content type, a bare JSON value, ``{"Message"}``,
or the four keys of an exception. Knows nothing of routes. A Python traceback never leaves the host.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dfhost.errors import (
    HostError,
    IdTooLong,
    InstanceExists,
    InstanceNotFound,
    UnknownFunction,
    WrongState,
)
from dfhost.management.charsets import UnknownCharset
from dfhost.management.json_errors import InvalidJson
from dfhost.management.json_text import encode, utf8
from dfhost.runtime_status import FINAL_STATUSES

SOMETHING_WENT_WRONG = "Something went wrong while processing your request"

_log = logging.getLogger("dfhost.management")


@dataclass(frozen=True, slots=True)
class ManagementResponse:
    """An HTTP response; without a body it has no content type. `why`: for the console, where the body is silent."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    why: str = ""


class RequestRefused(Exception):
    """Raised by a handler that refuses a request with `response`."""

    def __init__(self, response: ManagementResponse) -> None:
        super().__init__(response.status)
        self.response = response


def json_response(status: int, text: str, **headers: str) -> ManagementResponse:
    """`text`: JSON. `headers`: with ``_`` for ``-`` in their names."""
    named = {"Content-Type": "application/json; charset=utf-8"}
    named.update((name.replace("_", "-"), value) for name, value in headers.items())
    return ManagementResponse(status, named, utf8(text))


def message_response(status: int, sentence: str) -> ManagementResponse:
    return json_response(status, encode({"Message": sentence}))


def failure_response(
    status: int, message: str, exception: str, kind: str, stack: str | None = None
) -> ManagementResponse:
    """`exception`: the exception's own message; `kind`: its .NET type."""
    body = {
        "Message": message,
        "ExceptionMessage": exception,
        "ExceptionType": kind,
        "StackTrace": stack,
    }
    return json_response(status, encode(body))


def storage_failure() -> ManagementResponse:
    """The response to what the storage behind the extension refuses."""
    sentence = "An error occurred while communicating with Azure Storage"
    kind = "DurableTask.AzureStorage.Storage.DurableTaskStorageException"
    return failure_response(500, SOMETHING_WENT_WRONG, sentence, kind)


def sentence_in(body: bytes) -> str:
    """The sentence in the body of a refusal, whichever of the shapes above it has."""
    text = body.decode(errors="replace").strip()
    try:
        value = json.loads(text)
    except ValueError:
        return text
    if not isinstance(value, dict):
        return str(value)
    return ": ".join(filter(None, (value.get("Message"), value.get("ExceptionMessage"))))


def error_response(error: Exception) -> ManagementResponse:
    """The response to a request whose handler raised `error`."""
    return next(_BY_ERROR[kind] for kind in type(error).__mro__ if kind in _BY_ERROR)(error)


def _wrong_state(error: WrongState) -> ManagementResponse:
    if error.status in FINAL_STATUSES:
        return ManagementResponse(410)
    return failure_response(500, SOMETHING_WENT_WRONG, str(error), "System.InvalidOperationException")


def _invalid_json(error: InvalidJson) -> ManagementResponse:
    stack = f"   at Newtonsoft.Json.JsonTextReader.{error.reader}\n   at dfhost"
    return failure_response(
        400, "Invalid JSON content", str(error), "Newtonsoft.Json.JsonReaderException", stack
    )


def _unknown_charset(error: UnknownCharset) -> ManagementResponse:
    return failure_response(500, SOMETHING_WENT_WRONG, str(error), error.kind)


def _host_error(error: HostError) -> ManagementResponse:
    return failure_response(500, SOMETHING_WENT_WRONG, str(error), f"dfhost.{type(error).__name__}")


def _unexpected(error: Exception) -> ManagementResponse:
    _log.error("a request to the management API failed", exc_info=error)
    name = type(error).__name__
    return failure_response(
        500, SOMETHING_WENT_WRONG, f"{name}: {error}" if str(error) else name, "System.Exception"
    )


_BY_ERROR: dict[type, Callable[[Any], ManagementResponse]] = {
    RequestRefused: lambda error: error.response,
    InstanceNotFound: lambda error: ManagementResponse(404),
    InstanceExists: lambda error: message_response(409, str(error)),
    IdTooLong: lambda error: storage_failure(),
    WrongState: _wrong_state,
    UnknownFunction: lambda error: message_response(400, str(error)),
    InvalidJson: _invalid_json,
    UnknownCharset: _unknown_charset,
    HostError: _host_error,
    Exception: _unexpected,
}
