"""Outputs and custom statuses as texts: compact JSON, in which NaN and the infinities are strings (recorded)."""

from __future__ import annotations

import json
from typing import Any

CUSTOM_STATUS_LIMIT_KB = 16
NESTING_LIMIT = 800  # levels: Python reads some more, but not with much on its stack


def compact(value: Any) -> str | None:
    """JSON text without blanks; None for None, which the extension stores as no text."""
    return None if value is None else json.dumps(value, separators=(",", ":"))


def is_nested_too_deeply(value: Any) -> bool:
    """Whether lists and objects are in each other more than `NESTING_LIMIT` levels deep."""
    level = [value]
    for _ in range(NESTING_LIMIT + 1):
        level = [each for each in level if isinstance(each, (dict, list))]
        if not level:
            return False
        level = [part for each in level for part in (each.values() if isinstance(each, dict) else each)]
    return True


def loads(text: str) -> Any:
    """`json.loads`, but NaN and the infinities become strings."""
    return json.loads(text, parse_constant=str)


def custom_status_problem(value: Any) -> str | None:
    """The extension's sentence if the status is too large; it counts whole KB of UTF-16 (recorded)."""
    # 4,096 ASCII characters, escapes included, are 8 KB of UTF-16 at most.
    if value is None or len(text := compact(value) or "") < 4096:
        return None
    characters = json.dumps(value, ensure_ascii=False, separators=(",", ":")) if "\\u" in text else text
    size = len(characters.encode("utf-16-le", "surrogatepass")) // 1024
    if size <= CUSTOM_STATUS_LIMIT_KB:
        return None
    return (
        f"The UTF-16 size of the JSON-serialized payload must not exceed {CUSTOM_STATUS_LIMIT_KB} KB. "
        f"The current payload size is {size:,} KB."
    )
