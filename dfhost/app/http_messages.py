"""Converts HTTP requests and replies between plain values and azure-functions' types. Pure.

Follows azure-functions-host (GrpcMessageConversionExtensions, HttpBinding, RawScriptResult): what the worker gets for
a request, and what a client gets for the worker's answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, quote

from azure.functions.meta import Datum

from dfhost.app.functions import Function, InvocationResult

_TEXT = "text/plain; charset=utf-8"
_JSON = "application/json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class HttpReply:
    """The response to a client. `headers` are in order, and names may repeat."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""


def request_datum(
    method: str,
    url: str,
    headers: Iterable[tuple[str, str]],
    query: str,
    route_params: Mapping[str, str],
    body: bytes,
) -> Datum:
    """The request as the worker gets it. `query`: the raw query string without its question mark.

    Header names are in lower case, names of query parameters as first written. Values of a repeated name are joined
    by commas, empty query values are dropped.
    """
    return Datum(
        {
            "method": Datum(method, "string"),
            "url": Datum(url, "string"),
            "headers": _strings(_joined((name.lower(), value) for name, value in headers)),
            "query": _strings(_query(query)),
            "params": _strings(route_params),
            "body": Datum(body, "bytes"),
        },
        "http",
    )


def _query(query: str) -> dict[str, str]:
    if not query:
        return {}
    pairs = parse_qsl(query, keep_blank_values=True)
    first_spelling: dict[str, str] = {}
    joined = _joined((first_spelling.setdefault(name.lower(), name), value) for name, value in pairs)
    return {name: value for name, value in joined.items() if value}


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _strings(values: Mapping[str, str]) -> dict[str, Datum]:
    return {name: Datum(value, "string") for name, value in values.items()}


def http_reply(function: Function, result: InvocationResult) -> HttpReply:
    """The reply in the call's http output binding; 204 if there is none (Functions docs)."""
    returns = function.signature.returns
    if returns is not None and returns.type == "http":
        return _reply(result.returned)
    for parameter, typed in function.signature.outputs.items():
        if typed.type == "http":
            return _reply(result.outputs.get(parameter))
    return HttpReply(204, [])


def _reply(datum: Datum | None) -> HttpReply:
    if datum is None:
        return HttpReply(204, [])
    if datum.type == "http":
        return _response_reply(datum.value)
    return _text_reply(datum.value if isinstance(datum.value, str) else json.dumps(datum.value))


def _response_reply(response: Mapping[str, Any]) -> HttpReply:
    headers = [(name, datum.value) for name, datum in response["headers"].items()]
    for cookie in response.get("cookies") or ():
        headers.extend(("Set-Cookie", text) for text in _set_cookies(cookie))
    try:
        status = int(response["status_code"].value)
    except ValueError:  # as the Functions host does
        status = 200
    return HttpReply(status, headers, response["body"].value)


def _set_cookies(cookie: SimpleCookie) -> Iterable[str]:
    """One header value for each cookie, as ASP.NET Core writes it: escaped, and always with a path."""
    for name, morsel in cookie.items():
        parts = [f"{quote(name, safe='')}={quote(morsel.value, safe='')}"]
        for key in ("expires", "max-age", "domain"):
            if morsel[key]:
                parts.append(f"{key}={morsel[key]}")
        parts.append(f"path={morsel['path'] or '/'}")
        if morsel["secure"]:
            parts.append("secure")
        if morsel["samesite"]:
            parts.append(f"samesite={morsel['samesite'].lower()}")
        if morsel["httponly"]:
            parts.append("httponly")
        yield "; ".join(parts)


def _text_reply(text: str) -> HttpReply:
    """For a returned `str`, which the host reads as JSON if it can, and sends as text otherwise."""
    try:
        value = json.loads(text) if text.strip() else None
    except ValueError:
        return HttpReply(200, [("content-type", _TEXT)], text.encode())
    if value is None:
        return HttpReply(204, [])
    if isinstance(value, dict) and (reply := _object_reply(value)):
        return reply
    return _value_reply(200, value)


def _object_reply(value: Mapping[str, object]) -> HttpReply | None:
    """For an object with a `body`, which is a whole response: body, headers, status or statusCode."""
    keys = {key.lower(): key for key in value}
    if "body" not in keys:
        return None
    status = value.get(keys.get("statuscode", keys.get("status", "")), 200)
    if isinstance(status, str) and status.strip().isdecimal():
        status = int(status)
    if isinstance(status, bool) or not isinstance(status, int):
        status = 200
    reply = _value_reply(status, value[keys["body"]])
    headers = value.get(keys.get("headers", ""))
    given = [(name, str(text)) for name, text in headers.items()] if isinstance(headers, dict) else []
    names = {name.lower() for name, _ in given}
    return HttpReply(status, given + [h for h in reply.headers if h[0] not in names], reply.body)


def _value_reply(status: int, value: object) -> HttpReply:
    if value is None:
        return HttpReply(204 if status == 200 else status, [])
    if isinstance(value, str):
        return HttpReply(status, [("content-type", _TEXT)], value.encode())
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return HttpReply(status, [("content-type", _JSON)], body)
