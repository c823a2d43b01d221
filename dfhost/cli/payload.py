"""Bodies on the command line: JSON as it is typed, `@FILE`, or `@-` for stdin."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from dfhost.errors import HostError


def read_bytes(option: str, text: str) -> bytes:
    """The bytes that `text`, the value of `option`, stands for. HostError if the file cannot be read."""
    if not text.startswith("@"):
        return text.encode(errors="surrogateescape")
    try:
        return sys.stdin.buffer.read() if text == "@-" else Path(text[1:]).read_bytes()
    except OSError as error:
        raise HostError(f"{option} {text}: {error.strerror}.") from None


def read_json(option: str, text: str | None, advice: str = "") -> str | None:
    """The JSON text that `text` stands for, None for None. HostError if it is not JSON."""
    if text is None:
        return None
    body = read_bytes(option, text)
    check_json(option, body, advice)
    return body.decode()


def check_json(option: str, body: bytes, advice: str = "") -> None:
    try:
        json.loads(body)
    except ValueError as error:
        raise HostError(
            f"{option} is not JSON ({error}). Quote it for the shell. {advice}".rstrip()
        ) from None
