"""The activity behind `context.call_http`, as the extension's BuiltIn::HttpActivity does it.

It sends one request. Any status is a result, a 202 included: from Python the extension does not poll (recorded).
A request that cannot be sent fails with the texts of .NET's HttpClient, which apps may have learned to read.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any, NoReturn
from urllib.parse import urlsplit

_TIMEOUT_SECONDS = 240  # the extension's client
_CONTENT_HEADERS = ("content-type", "content-length")  # .NET keeps these apart from the response's headers

#: What `call_http` is. Tests put their own in its place, which may ask which instance a request comes from.
CallHttp = Callable[[str, str], Coroutine[Any, Any, str]]


class CallHttpError(Exception):
    """`reason` and `details` are those of the TaskFailed."""

    def __init__(self, reason: str, details: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.details = details


async def call_http(request_text: str, instance_id: str = "") -> str:
    """`{"method", "uri", "content", "headers", "tokenSource"?}` -> `{"statusCode", "headers", "content"}`.

    Raises CallHttpError.
    """
    import aiohttp  # here, since an app without call_http need not wait for the import

    request = json.loads(request_text)
    _check(request)
    content = request.get("content")
    data = None if content is None else str(content).encode()
    headers = _request_headers(request, has_content=data is not None)
    try:
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS),
            skip_auto_headers=("Content-Type", "Accept"),
        ) as session:
            async with session.request(
                request["method"].upper(), request["uri"], data=data, headers=headers
            ) as response:
                body = await response.text(errors="replace")
                return json.dumps(
                    {
                        "statusCode": response.status,
                        "headers": _response_headers(response.headers),
                        "content": body,
                    },
                    separators=(",", ":"),
                    ensure_ascii=False,
                )
    except asyncio.TimeoutError:
        limit = f"HttpClient.Timeout of {_TIMEOUT_SECONDS} seconds"
        sentence = f"The request was canceled due to the configured {limit} elapsing."
        raise CallHttpError(
            sentence, _exception("System.Threading.Tasks.TaskCanceledException", sentence)
        ) from None
    except (aiohttp.ClientError, ValueError) as error:
        sentence = _transport_sentence(error, request["uri"])
        fields = {"HttpRequestError": _http_request_error(error), "StatusCode": None}
        details = _exception("System.Net.Http.HttpRequestException", sentence, fields)
        raise CallHttpError(sentence, details) from None


def _check(request: dict[str, Any]) -> None:
    """Raises CallHttpError for a request that cannot be sent."""
    for field in ("method", "uri"):
        if not isinstance(request.get(field), str):
            _refuse(f"The {field} of a request must be a text, not {request.get(field)!r}.")
    if not isinstance(request.get("headers") or {}, dict):
        _refuse(f"The headers of a request must be a mapping, not {request['headers']!r}.")
    parts = urlsplit(request["uri"])
    if not parts.scheme or not parts.netloc:
        _refuse(
            "An invalid request URI was provided. Either the request URI must be an absolute URI or BaseAddress "
            "must be set."
        )
    if parts.scheme.lower() not in ("http", "https"):
        _refuse(f"The '{parts.scheme}' scheme is not supported.", "System.NotSupportedException")
    if request.get("tokenSource"):
        raise CallHttpError(
            "ManagedIdentityCredential authentication unavailable: no managed identity endpoint here.",
            "A tokenSource needs a managed identity, which this machine does not have.",
        )


def _refuse(sentence: str, kind: str = "System.InvalidOperationException") -> NoReturn:
    raise CallHttpError(sentence, f"Unhandled exception while executing task: {kind}: {sentence}")


def _request_headers(request: dict[str, Any], has_content: bool) -> dict[str, str]:
    headers = {str(name): str(value) for name, value in (request.get("headers") or {}).items()}
    given = {name.lower() for name in headers}
    if has_content and "content-type" not in given:
        headers["Content-Type"] = "text/plain"
    if "user-agent" not in given:
        headers["User-Agent"] = "dfhost"
    return headers


def _response_headers(headers: Any) -> dict[str, str | list[str]]:
    result: dict[str, str | list[str]] = {}
    for name in dict.fromkeys(headers):
        if name.lower() in _CONTENT_HEADERS:
            continue
        values = headers.getall(name)
        # .NET splits this header into its products.
        if name.lower() == "server" and len(values) == 1:
            values = values[0].split()
        result[name] = values[0] if len(values) == 1 else list(values)
    return result


def _transport_sentence(error: Exception, uri: str) -> str:
    parts = urlsplit(uri)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    cause = getattr(error, "os_error", None) or error.__cause__ or error
    if isinstance(cause, ConnectionRefusedError):
        return f"Connection refused ({parts.hostname}:{port})"
    strerror = getattr(cause, "strerror", None)
    return f"{strerror or error} ({parts.hostname}:{port})"


def _http_request_error(error: Exception) -> int:
    """.NET's HttpRequestError: what the request failed at."""
    import aiohttp

    if isinstance(error, aiohttp.ClientSSLError):
        return 3  # SecureConnectionError
    if isinstance(error, aiohttp.ClientConnectorError):
        return 1 if isinstance(error.os_error, socket.gaierror) else 2  # NameResolutionError, ConnectionError
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return 10  # ResponseEnded
    return 0  # Unknown


def _exception(kind: str, message: str, fields: Mapping[str, object] = MappingProxyType({})) -> str:
    return json.dumps(
        {
            "$type": f"{kind}, System.Net.Http",
            **fields,
            "Message": message,
            "Data": {"$type": "System.Collections.ListDictionaryInternal, System.Private.CoreLib"},
            "InnerException": None,
            "HelpLink": None,
            "Source": "dfhost",
            "HResult": -2147467259,
            "StackTrace": "   at dfhost",
        },
        separators=(",", ":"),
        ensure_ascii=False,
    )
