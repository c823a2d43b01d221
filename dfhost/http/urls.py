"""Paths and queries as the Functions host reads them, and `req.url` as .NET writes it. Pure.

Sources: Kestrel's UrlDecoder, ASP.NET Core's QueryHelpers and PathString, .NET's Uri; checked against recordings.
"""

from __future__ import annotations

import re
from urllib.parse import quote

_ESCAPES = re.compile("(?:%[0-9A-Fa-f]{2})+")
_PLAIN = re.compile(r"[\w\-.~!$&'()*+,;=:@/]*", re.ASCII)  # nothing in it to encode or decode
_PATH_SAFE = "!$&'()*+,;=:@/~"
_QUERY_SAFE = _PATH_SAFE + "?[]"
_LONE_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def percent_decoded(text: str) -> str:
    """`text` without its percent escapes; those that are not UTF-8 stay as they are written.

    '%C3%A4%2' -> 'ä%2', '%E4%C3%A4' -> '%E4ä'
    """
    return _ESCAPES.sub(_decoded_run, text) if "%" in text else text


def _decoded_run(match: re.Match[str]) -> str:
    run = match[0]
    data = bytes.fromhex(run.replace("%", ""))
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        good, bad = data[: error.start], run[3 * error.start : 3 * error.end]
        return good.decode() + bad + _ESCAPES.sub(_decoded_run, run[3 * error.end :])


def decode_path(raw: str) -> str:
    """The path as routing sees it: percent-decoded once except for an encoded slash, dot segments resolved.

    ``/a%20b%2Fc/x/../d`` -> ``/a b%2Fc/d``. Bytes that are not UTF-8 stay encoded.
    """
    raw = resolved_path(raw)
    if "%" not in raw:
        return raw
    return "".join(
        piece if piece in ("%2F", "%2f") else percent_decoded(piece) for piece in re.split("(%2[Ff])", raw)
    )


def resolved_path(raw: str) -> str:
    """The raw path without dot segments, which may be written as ``%2E``; other escapes stay."""
    if "/." not in raw and "/%2" not in raw:
        return raw
    kept: list[str] = []
    segments = raw.split("/")[1:]
    for index, segment in enumerate(segments, 1):
        match segment.replace("%2E", ".").replace("%2e", "."):
            case "..":
                del kept[-1:]
            case ".":
                pass
            case _:
                kept.append(segment)
                continue
        if index == len(segments):
            kept.append("")
    return "/" + "/".join(kept)


def canonical_url(origin: str, path: str, query: str) -> str:
    """`req.url`: `path` as `decode_path` returns it, `query` raw, without its question mark."""
    if not _PLAIN.fullmatch(path):
        path = _canonical(path, _PATH_SAFE)
    if not query:
        return origin + path
    if not _PLAIN.fullmatch(query):
        query = _canonical(query, _QUERY_SAFE)
    return f"{origin}{path}?{query}"


def _canonical(text: str, safe: str) -> str:
    """No escapes of what needs none, and everything escaped that a URL cannot hold."""
    text = _LONE_PERCENT.sub("%25", text)
    text = quote(text, safe=safe + "%", errors="surrogateescape")
    return _ESCAPES.sub(lambda run: re.sub("%..", _canonical_escape, run[0]), text)


def _canonical_escape(match: re.Match[str]) -> str:
    byte = int(match[0][1:], 16)
    if byte >= 0x80:
        return match[0].upper()
    return chr(byte) if byte in _UNRESERVED else match[0]


def query_values(query: str) -> dict[str, str]:
    """`req.params`: values of a repeated name joined by commas, names as last spelled, without empty values.

    'a=1&A=2&b=&c' -> {'A': '1,2'}
    """
    values: dict[str, str] = {}
    spelled: dict[str, str] = {}
    for pair in query.split("&") if query else ():
        name, _, value = pair.replace("+", " ").partition("=")
        name = percent_decoded(name)
        lower = name.lower()
        spelled[lower] = name
        if value:
            values[lower] = ",".join(filter(None, (values.get(lower), percent_decoded(value))))
    return {spelled[lower]: value for lower, value in values.items()}
