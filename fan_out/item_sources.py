"""Where a map's items can come from, if not from the request: named readers, run by an activity.

    {"source": "orders", "count": 2500}                  "order-1" … "order-2500"
    {"source": "lines", "path": "customers.csv"}         one object a row; `url` for a file or blob over http(s)
    {"source": "lines", "path": "events.json"}           a JSON array's elements, or one JSON value a line

`lines` reads only what lies under a place named in the app setting FAN_OUT_SOURCES: folders and URL prefixes,
separated by `;`. Nothing is permitted by default. Reading a URL takes a minute at most.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException
from queue import Empty, SimpleQueue
from typing import IO, Any
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

from fan_out.bodies import BadRequest, kind, no_constant

MOST_ITEMS = 100_000
MOST_BYTES = 64 * 1024 * 1024
SETTING = "FAN_OUT_SOURCES"
_SECONDS = 60
_FORMATS = {".csv": "csv", ".json": "json", ".jsonl": "json", ".ndjson": "json"}


@dataclass(frozen=True)
class Reader:
    """fields   of the request's body that are this reader's
    check    those fields as given → the parameters to read with; raises BadRequest
    read     the parameters → the items; runs in an activity, its exceptions are the map's failure
    """

    fields: tuple[str, ...]
    check: Callable[[dict[str, Any]], dict[str, Any]]
    read: Callable[[dict[str, Any]], list[Any]]


def _check_count(body: dict[str, Any]) -> dict[str, Any]:
    count = body.get("count")
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise BadRequest(f"'count' must be a whole number from 0 to {MOST_ITEMS:,}.", "count")
    if count > MOST_ITEMS:
        raise BadRequest(f"'count' is {count:,}; one map takes up to {MOST_ITEMS:,} items.", "count", 413)
    return {"count": count}


def _read_orders(given: dict[str, Any]) -> list[Any]:
    return [f"order-{number}" for number in range(1, given["count"] + 1)]


def _check_lines(body: dict[str, Any]) -> dict[str, Any]:
    named = [field for field in ("path", "url") if field in body]
    if len(named) != 1:
        raise BadRequest("Source 'lines' needs either 'path' or 'url'.", "path")
    field = named[0]
    location = body[field]
    if not isinstance(location, str):
        raise BadRequest(f"{field!r} must be a string, not {kind(location)}.", field)
    if not location:
        raise BadRequest(f"{field!r} is empty.", field)
    if field == "url" and (wrong := _unclear(location)):
        raise BadRequest(f"'url' {wrong}.", field)
    format = body.get("format") or _FORMATS.get(os.path.splitext(urlsplit_path(location))[1].lower())
    if format not in ("csv", "json"):
        raise BadRequest("'format' must be 'csv' or 'json'; the name's ending does not tell.", "format")
    if (permitted_url if field == "url" else permitted_path)(location) is None:
        raise BadRequest(f"{field!r} is not under any of the places that {SETTING} permits.", field)
    return {field: location, "format": format}


def _read_lines(given: dict[str, Any]) -> list[Any]:
    data = _fetch(given["url"]) if "url" in given else _load(given["path"])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"The file is not UTF-8: byte {error.start} is not.") from None
    items = csv_items(text) if given["format"] == "csv" else json_items(text)
    if len(items) > MOST_ITEMS:
        raise ValueError(f"The file holds {len(items):,} items; one map takes up to {MOST_ITEMS:,}.")
    return items


def csv_items(text: str) -> list[Any]:
    """One dict a row, keyed by the first row. Blank lines do not count. ValueError names the line of a row that has
    other columns."""
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    filled = filter(None, rows)  # without blank lines
    try:
        header, items = next(filled, []), []
        for row in filled:
            if len(row) != len(header):
                raise ValueError(f"Line {rows.line_num} has {len(row)} columns, the header {len(header)}.")
            items.append(dict(zip(header, row, strict=True)))
    except csv.Error as error:
        raise ValueError(f"Line {rows.line_num} is not CSV: {error}.") from None
    return items


def json_items(text: str) -> list[Any]:
    """The elements of an array, or one value a line. ValueError names the line that is not JSON."""
    wrong: Exception | None = None  # with the text as one array
    if text.lstrip().startswith("["):
        try:
            return list(_json_value(text))
        except (ValueError, RecursionError) as error:
            wrong = error
    items: list[Any] = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                items.append(_json_value(line))
            except (ValueError, RecursionError) as error:
                if wrong and not items:  # an array over several lines, not lines that are arrays
                    raise _not_json(wrong) from None
                raise _not_json(error, number) from None
    return items


def _not_json(error: Exception, line: int | None = None) -> ValueError:
    """`line`: of the one that was read, if it was not the whole array."""
    said = str(error)
    if isinstance(error, json.JSONDecodeError):
        line, said = line or error.lineno, f"{error.msg}, at column {error.colno}"
    return ValueError(f"{f'Line {line}' if line else 'The array'} is not JSON: {said}.")


def _json_value(text: str) -> Any:
    return json.loads(text, parse_constant=no_constant)


def permitted_path(path: str) -> str | None:
    """The real path, if it lies in a permitted folder; a relative one is looked for in each of them."""
    if "\0" in path or "://" in path:
        return None
    for root in [os.path.realpath(place) for place in _permitted() if "://" not in place]:
        try:
            real = os.path.realpath(os.path.join(root, path))
            if os.path.commonpath([root, real]) == root and real != root:
                return real
        except ValueError:  # a name that no file can have
            pass
    return None


def permitted_url(url: str) -> str | None:
    """The URL itself, if a permitted prefix covers it: same scheme, host and port, and a path below."""
    if _unclear(url):
        return None
    asked = urlsplit(url)
    for prefix in [place for place in _permitted() if not _unclear(place)]:
        given = urlsplit(prefix)
        below = given.path if given.path.endswith("/") else given.path + "/"
        if _origin(given) == _origin(asked) and (asked.path or "/").startswith(below):
            return url
    return None


def urlsplit_path(location: str) -> str:
    """The path of a URL without its query, or the location itself."""
    return location.partition("?")[0].partition("#")[0]


def _permitted() -> list[str]:
    return [place.strip() for place in os.environ.get(SETTING, "").split(";") if place.strip()]


def _unclear(url: str) -> str | None:
    """What is wrong with a URL that servers and parsers may read differently; None if all agree about it."""
    if not url.isascii():
        return "has characters that must be percent-encoded, as UTF-8: only ASCII is sent"
    if re.search(r"[\s\\\x00-\x1f\x7f]", url):
        return "has blanks, backslashes or control characters"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "is none: its host or port cannot be read"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "must begin with http:// or https:// and a host"
    if "@" in parts.netloc or parts.fragment:
        return "must have no user and no fragment"
    try:
        unquote_to_bytes(parts.path).decode()
    except UnicodeDecodeError:
        return "has a path that is not UTF-8"
    # Some servers take what follows a `;` off a segment, so that `..;x` climbs like `..`.
    if re.search(r"%(2e|2f|5c|25|3b)|(^|/)\.\.?(;[^/]*)?(/|$)", parts.path, re.IGNORECASE):
        return "has a path with '.' or '..', or with an encoded '.', '/', '\\', ';' or '%'"
    return None


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return parts.scheme, (parts.hostname or "").lower(), port


def _load(path: str) -> bytes:
    real = permitted_path(path)
    if real is None:
        raise PermissionError(f"{path} is not under any of the places that {SETTING} permits.")
    if os.path.exists(real) and not os.path.isfile(real):
        raise OSError(f"{path} is not a file.")  # opening a pipe would wait for its writer
    try:
        with open(real, "rb") as file:
            return _limited(file.read)
    except OSError as error:
        raise OSError(f"{path} cannot be read: {error.strerror}.") from None


def _fetch(url: str) -> bytes:
    if permitted_url(url) is None:
        raise PermissionError(f"The URL is not under any of the places that {SETTING} permits.")
    shown = urlsplit_path(url)  # a query may hold a signature
    too_slow = f"{shown} was not read to its end in {_SECONDS} seconds."
    answers: SimpleQueue[bytes | str] = SimpleQueue()

    def fetch() -> None:
        try:
            with urllib.request.build_opener(_NoRedirect).open(url, timeout=_SECONDS) as answer:
                answers.put(_limited(answer.read1, time.monotonic() + _SECONDS))
        except urllib.error.HTTPError as error:
            error.close()
            answers.put(f"{shown} answered {error.code} {error.reason}.")
        except TimeoutError:
            answers.put(too_slow)
        except (OSError, ValueError, HTTPException) as error:
            answers.put(f"{shown} cannot be read: {getattr(error, 'reason', error)}.")

    # A time-out of a socket begins anew with every byte, so a slow server is left to a thread of its own.
    threading.Thread(target=fetch, daemon=True).start()
    try:
        answer = answers.get(timeout=_SECONDS)
    except Empty:
        answer = too_slow
    if isinstance(answer, str):
        raise OSError(answer)
    return answer


def _limited(read: Callable[[int], bytes], until: float = math.inf) -> bytes:
    """All that there is to read. Raises ValueError if that is too much, TimeoutError if it goes on after `until`."""
    data = bytearray()
    while more := read(min(1 << 20, MOST_BYTES + 1 - len(data))):
        data += more
        if len(data) > MOST_BYTES:
            raise ValueError(f"the file is larger than {MOST_BYTES // 1024 // 1024} MB")
        if time.monotonic() > until:
            raise TimeoutError
    return bytes(data)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would lead to where nobody has permitted anything: it is answered as the error it is here."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        return None


READERS: dict[str, Reader] = {
    "orders": Reader(("count",), _check_count, _read_orders),
    "lines": Reader(("path", "url", "format"), _check_lines, _read_lines),
}
