"""A request's query parameters, read as the extension reads them. Pure.

The extension is .NET: parameter names ignore case, and commas join the values of a repeated parameter. A value
that `bool.TryParse` and its like cannot read counts as absent.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from urllib.parse import unquote_plus

from dfhost.runtime_status import RUNTIME_STATUSES

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


def parse_date_time(text: str) -> datetime | None:
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
    """The parameters behind the ``?``. Each reader takes a name and ignores its case."""

    __slots__ = ("_values",)

    def __init__(self, raw: str) -> None:
        self._values: dict[str, str] = {}
        for pair in raw.lstrip("?").split("&"):
            name, equals, text = pair.partition("=")
            if equals:
                name, text = unquote_plus(name.strip()).lower(), unquote_plus(text.strip())
                earlier = self._values.get(name)
                self._values[name] = text if earlier is None else f"{earlier},{text}"

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

    def date_time(self, name: str) -> datetime | None:
        return parse_date_time(self.text(name) or "")

    def statuses(self) -> list[str]:
        """The values of `runtimeStatus`: names in their exact case, or numbers. Unknown names are left out."""
        found = []
        for name in self._status_names():
            if name in RUNTIME_STATUSES:
                found.append(name)
            elif _INTEGER.fullmatch(name):
                number = int(name) if len(name) < 12 else -1
                found.append(RUNTIME_STATUSES[number] if 0 <= number < len(RUNTIME_STATUSES) else name)
        return found

    def unknown_statuses(self) -> list[str]:
        """The values of `runtimeStatus` that `statuses` leaves out."""
        return [
            name
            for name in self._status_names()
            if name and name not in RUNTIME_STATUSES and not _INTEGER.fullmatch(name)
        ]

    def _status_names(self) -> list[str]:
        return [name.strip() for name in (self.text("runtimeStatus") or "").split(",")]
