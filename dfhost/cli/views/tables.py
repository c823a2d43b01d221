"""Tables at the terminal, and how moments look in them."""

from __future__ import annotations

import shutil
import sys
import unicodedata
from collections.abc import Sequence
from datetime import datetime

from dfhost.cli.style import STATUS_LOOKS, Style, printable
from dfhost.durations import duration, time_left
from dfhost.timestamps import parse_timestamp


def table_lines(
    head: Sequence[str], rows: Sequence[Sequence[str]], style: Style, width: int | None = None
) -> list[str]:
    """Aligned columns; the last one is cut at `width` columns (default: the terminal's; a pipe has no end)."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(_columns, column)) for column in zip(head, *rows, strict=True)]
    width = width or (shutil.get_terminal_size().columns if sys.stdout.isatty() else 0)
    lines = []
    for number, row in enumerate([list(head), *rows]):
        cells = [cell + " " * (size - _columns(cell)) for cell, size in zip(row[:-1], widths, strict=False)]
        room = width - sum(widths[:-1]) - 2 * len(cells) if width else 0
        last = row[-1] if not width or len(row[-1]) <= room else row[-1][: max(1, room - 1)] + "…"
        cells = [style(cell, "dim" if number == 0 else STATUS_LOOKS.get(cell.rstrip(), "")) for cell in cells]
        lines.append("  ".join([*cells, style(last, "dim") if number == 0 else last]).rstrip())
    return lines


def _columns(text: str) -> int:
    """How wide it is on a terminal, where Chinese characters and emoji take two columns."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def ago(text: str, now: datetime) -> str:
    """How long ago: "12 s ago", "3 min ago"; after a day the local date."""
    at = parse_timestamp(text)
    seconds = round((now - at).total_seconds())
    if seconds >= 86400:
        return at.astimezone().strftime("%Y-%m-%d %H:%M")
    for size, unit in ((3600, "h"), (60, "min"), (1, "s")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return "now"


def due(text: str, now: datetime) -> str:
    """ "due in 5 min", "due now"."""
    return f"due {time_left((parse_timestamp(text) - now).total_seconds())}"


def took(start: str, end: str) -> str:
    """Between two times, of which those of a status have whole seconds: then 1 s is anything up to 2 s."""
    seconds = (parse_timestamp(end) - parse_timestamp(start)).total_seconds()
    if "." in end:
        return duration(seconds)
    return f"<{int(seconds) + 1} s" if seconds < 2 else duration(seconds).replace(".0 s", " s")
