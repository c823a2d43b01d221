"""What a request's URL says: the path's segments and the query's parameters, read as the extension reads them.

The extension is .NET: a path is decoded twice (by ASP.NET, then by `WebUtility.UrlDecode`, where ``+`` is a
blank), parameter names ignore case, a repeated parameter is joined by commas, and a value that cannot be read
(`bool.TryParse` and its like) counts as absent. Answers nothing itself.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from urllib.parse import quote, quote_plus, unquote, unquote_plus

# DurableTask.Core's OrchestrationStatus, by number.
STATUSES = (
    "Running",
    "Completed",
    "ContinuedAsNew",
    "Failed",
    "Canceled",
    "Terminated",
    "Pending",
    "Suspended",
)

_INTEGER = re.compile(r"[+-]?\d+")
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_CLOCK = r"(?:[T ]+(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d+))?)?)?"
_ZONE = r"\s*(?P<zone>Z|GMT|[+-]\d\d:?\d\d)?"
_DATES = (
    re.compile(
        r"(?P<year>\d{1,4})[-/](?P<month>\d{1,2})(?:[-/](?P<day>\d{1,2}))?" + _CLOCK + _ZONE, re.IGNORECASE
    ),
    re.compile(r"(?P<month>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d{4})" + _CLOCK + _ZONE, re.IGNORECASE),
)
_MAIL_DATE = re.compile(r"[A-Za-z]{3}, \d{1,2} [A-Za-z]{3} \d{4} .+")


def decoded_once(path: str) -> str:
    """A raw path as ASP.NET hands it on: decoded but for ``%2F``."""
    if "%" not in path:
        return path
    return unquote(path.replace("%2F", "%252F").replace("%2f", "%252f"))


def segments(path: str) -> list[str]:
    """The route's parts, fully decoded; none if the path is empty or has an empty part in its middle.

    '/instances/a%2520b/raiseEvent/go/' -> ['instances', 'a b', 'raiseEvent', 'go']
    """
    once = decoded_once(path)
    parts = (unquote_plus(once) if "%" in once or "+" in once else once).strip("/").split("/")
    return parts if all(parts) else []


def as_uri(path: str) -> str:
    """The raw path as the extension repeats it in a Location header: only what must be encoded is."""
    once = re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", decoded_once(path))
    return quote(once, safe="!$&'()*+,;=:@/~%")


def url_encoded(text: str) -> str:
    """`text` as .NET's `WebUtility.UrlEncode` writes it, which the extension's links use."""
    return quote_plus(text, safe="!*()").replace("~", "%7E")


def moment(text: str) -> datetime | None:
    """A date, with or without time and zone (UTC if none), in UTC; None if it cannot be read.

    '2024-05-06T07:08:09.1Z', '2024-05-06', '05/06/2024 07:08', 'Mon, 06 May 2024 07:08:09 GMT'
    """
    text = text.strip()
    try:
        if _MAIL_DATE.fullmatch(text):
            return parsedate_to_datetime(text).astimezone(timezone.utc)
        match = next(filter(None, (form.fullmatch(text) for form in _DATES)), None)
        if match is None:
            return None
        part = match.groupdict()
        day = datetime(int(part["year"]), int(part["month"]), int(part["day"] or 1), tzinfo=timezone.utc)
        at = day.replace(
            hour=int(part["hour"] or 0),
            minute=int(part["minute"] or 0),
            second=int(part["second"] or 0),
            microsecond=int((part["fraction"] or "0").ljust(6, "0")[:6]),
        )
        zone = part["zone"] or "Z"
        if zone.upper() in ("Z", "GMT"):
            return at
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
        return at + offset if zone[0] == "-" else at - offset
    except (ValueError, OverflowError):
        return None


class Query:
    """The parameters behind the ``?``."""

    __slots__ = ("_values",)

    def __init__(self, raw: str) -> None:
        self._values: dict[str, str] = {}
        for pair in raw.lstrip("?").split("&"):
            name, equals, text = pair.partition("=")
            if equals:
                name, text = unquote_plus(name.strip()).lower(), unquote_plus(text.strip())
                known = self._values.get(name)
                self._values[name] = text if known is None else f"{known},{text}"

    def text(self, name: str) -> str | None:
        return self._values.get(name.lower()) if self._values else None

    def flag(self, name: str, default: bool) -> bool:
        text = (self.text(name) or "").strip().lower()
        return default if text not in ("true", "false") else text == "true"

    def number(self, name: str, default: int) -> int:
        """A 32-bit integer."""
        text = (self.text(name) or "").strip()
        if not _INTEGER.fullmatch(text) or len(text) > 12 or not -(2**31) <= int(text) < 2**31:
            return default
        return int(text)

    def seconds(self, name: str) -> float | None:
        text = (self.text(name) or "").strip()
        return float(text) if _DECIMAL.fullmatch(text) else None

    def moment(self, name: str) -> datetime | None:
        return moment(self.text(name) or "")

    def statuses(self) -> list[str]:
        """The runtime statuses asked for: by name, of which the case counts, or by number; others are ignored."""
        found = []
        for text in (self.text("runtimeStatus") or "").split(","):
            name = text.strip()
            if name in STATUSES:
                found.append(name)
            elif _INTEGER.fullmatch(name):
                number = int(name) if len(name) < 12 else -1
                found.append(STATUSES[number] if 0 <= number < len(STATUSES) else name)
        return found
