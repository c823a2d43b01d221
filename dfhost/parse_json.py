"""Reads JSON that somebody else has written. The management API has its own rules: `management.json_text`."""

from __future__ import annotations

import json
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """The value. Raises ValueError for anything else, also for JSON that is nested deeper than Python reads."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
