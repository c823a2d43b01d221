"""Converts HTTP requests and replies between plain values and azure-functions' types. Pure.

Follows azure-functions-host (GrpcMessageConversionExtensions, HttpBinding, RawScriptResult): what the worker gets for
a request, and what a client gets for the worker's answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from http.cookies import SimpleCookie
from math import isfinite
from typing import Any
from urllib.parse import quote

from azure.functions.meta import Datum

from dfhost.app.functions import Function, InvocationResult
from dfhost.runner.app_runner import HttpReply, HttpRequest

_TEXT = "text/plain; charset=utf-8"


def request_datum(request: HttpRequest) -> Datum:
    """The request as the worker gets it.

    Header names are in lower case. Values of a repeated name are joined by commas, and empty ones are left out.
    """
    joined: dict[str, str] = {}
    for name, value in request.headers:
        name = name.lower()
        joined[name] = ",".join(filter(None, (joined[name], value))) if name in joined else value
    return Datum(
        {
            "method": Datum(request.method, "string"),
            "url": Datum(request.url, "string"),
            "headers": _strings(joined),
            "query": _strings(request.query),
            "params": _strings(request.params),
            "body": Datum(request.body, "bytes"),
        },
        "http",
    )


def _strings(values: Mapping[str, str]) -> dict[str, Datum]:
    return {name: Datum(value, "string") for name, value in values.items()}


def http_reply(function: Function, result: InvocationResult) -> HttpReply:
    """The reply in the call's http output binding; 204 if there is none (Functions docs)."""
    try:
        return _reply(_http_output(function, result))
    except UnicodeEncodeError:
        return HttpReply(500, [], problem="text that is not Unicode: half a surrogate pair")


def _http_output(function: Function, result: InvocationResult) -> Datum | None:
    returns = function.signature.returns
    if returns is not None and returns.type == "http":
        return result.returned
    for parameter, typed in function.signature.outputs.items():
        if typed.type == "http":
            return result.outputs.get(parameter)
    return None


def _reply(datum: Datum | None) -> HttpReply:
    if datum is None:
        return HttpReply(204, [])
    if datum.type == "http":
        return _response_reply(datum.value)
    return _text_reply(datum.value if isinstance(datum.value, str) else json.dumps(datum.value))


def _response_reply(response: Mapping[str, Any]) -> HttpReply:
    # Of names that differ in case, the host keeps the first.
    first = {name.lower(): (name, datum.value) for name, datum in reversed(response["headers"].items())}
    headers = list(reversed(first.values()))
    for cookie in response.get("cookies") or ():
        headers.extend(("Set-Cookie", text) for text in _set_cookies(cookie))
    try:
        status = int(response["status_code"].value)
    except ValueError:  # as the Functions host does
        status = 200
    return HttpReply(status, headers, response["body"].value)


def _set_cookies(cookie: SimpleCookie) -> Iterable[str]:
    """One header value for each cookie, as ASP.NET Core writes it: escaped, always with domain and path."""
    for name, morsel in cookie.items():
        parts = [f"{quote(name, safe='')}={quote(morsel.value, safe='')}"]
        parts += [f"{key}={morsel[key]}" for key in ("expires", "max-age") if morsel[key]]
        parts += [f"domain={morsel['domain']}", f"path={morsel['path']}"]
        if morsel["secure"]:
            parts.append("secure")
        if morsel["samesite"]:
            parts.append(f"samesite={morsel['samesite'].lower()}")
        if morsel["httponly"]:
            parts.append("httponly")
        yield "; ".join(parts)


# -- a returned text -----------------------------------------------------------------------------------------
def _text_reply(text: str) -> HttpReply:
    """For a returned `str`, which the host reads as JSON if it can: then it sends the value as .NET prints it."""
    try:
        return _json_reply(text)
    except RecursionError:  # nested too deeply to be read or printed
        return _value_reply(200, text)


def _json_reply(text: str) -> HttpReply:
    try:
        value = json.loads(text) if text.strip() else None
    except ValueError:
        return _value_reply(200, text)
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
    return HttpReply(status, [("content-type", _TEXT)], _printed(value).encode())


def _printed(value: object) -> str:
    """A JSON value as .NET prints it: objects and lists indented, a string as it is, null as nothing.

    {"a": 1} -> '{\\n  "a": 1\\n}', True -> 'True', 1.0 -> '1'
    """
    if value is None or isinstance(value, (str, bool)):
        return str(value if value is not None else "")
    if isinstance(value, float):
        return _number(value).removesuffix(".0")
    return _indented(value, "\n")


def _indented(value: object, line_break: str) -> str:
    if isinstance(value, dict) and value:
        inner = line_break + "  "
        pairs = (f"{_quoted(key)}: {_indented(each, inner)}" for key, each in value.items())
        return "{" + ",".join(inner + pair for pair in pairs) + line_break + "}"
    if isinstance(value, list) and value:
        inner = line_break + "  "
        return "[" + ",".join(inner + _indented(each, inner) for each in value) + line_break + "]"
    if isinstance(value, float):
        return _number(value) if isfinite(value) else f'"{_number(value)}"'
    return _quoted(value)


_quoted = json.JSONEncoder(ensure_ascii=False).encode


def _number(value: float) -> str:
    """The number as Newtonsoft writes it: 1.0 -> 1.0, 1e15 -> 1E+15, 1e-05 -> 1E-05, Infinity and NaN by name."""
    if not isfinite(value):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    if 1e15 <= abs(value) < 1e16:  # Python writes these out
        mantissa, _, exponent = f"{Decimal(repr(value)).normalize():E}".partition("E")
        return f"{mantissa}E{exponent}"
    return repr(value).replace("e", "E")
