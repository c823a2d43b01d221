"""Bodies on the command line: JSON as it is typed, `@FILE`, or `@-` for stdin."""

from __future__ import annotations

import sys
from pathlib import Path

from dfhost.cli.style import printable
from dfhost.errors import HostError
from dfhost.parse_json import parse_json
from dfhost.timeline.sentences import brief

_SHOWN = 60  # characters of a text that is no JSON


def read_bytes(option: str, text: str) -> bytes:
    """The bytes that `text`, the value of `option`, stands for. HostError if the file cannot be read."""
    if not text.startswith("@"):
        return text.encode(errors="surrogateescape")
    try:
        return sys.stdin.buffer.read() if text == "@-" else Path(text[1:]).read_bytes()
    except OSError as error:
        raise HostError(f"{option} {text}: {error.strerror}.") from None


def read_json(option: str, text: str | None) -> str | None:
    """The JSON text that `text` stands for, None for None. HostError if it is not JSON."""
    if text is None:
        return None
    body = read_bytes(option, text)
    check_json(option, text, body)
    return body.decode()


def check_json(option: str, text: str, body: bytes, advice: str = "") -> None:
    """HostError if `body`, for which `text` stands, is not JSON."""
    try:
        parse_json(body)
    except ValueError as error:
        raise HostError(f"{option} {_not_json(text, error)} {advice}".rstrip()) from None


def _not_json(text: str, error: ValueError) -> str:
    shown = printable(brief(text, _SHOWN))
    if not text.strip():
        return "is empty, which is not JSON. Nothing is written null."
    if text.startswith("@"):
        return f"{shown} is not JSON: {error}."
    if text[0] in "{[\"'" or "'" in shown:  # most likely a shell has taken the quotes
        return f"{shown} is not JSON: {error}. Put JSON in single quotes for the shell."
    return f"'{shown}' is not JSON; a text is written '\"{shown}\"'."
