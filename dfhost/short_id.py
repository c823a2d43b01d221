"""The short form of generated instance ids, which the console shows and every command takes.

An id without a name of its own is 32 hexadecimal digits; a child's is the execution id of its parent, with or without
dashes, and a number: 6b85898b-1baa-4f5a-80da-16b925d9b017:2 becomes 6b85898b:2. A part of a map has the map's id and
another ending: e9156b5c062e404e8a8434c6f25fce37:90bb082e.3 becomes e9156b5c:90bb082e.3.
"""

from __future__ import annotations

import re

LENGTH = 8
_GENERATED = re.compile(r"([0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(:[0-9a-f.]+)?")
_SHORT_CHILD = re.compile(r"([0-9a-f]{4}[0-9a-f-]*)(:[0-9a-f.]+)")


def is_generated(instance_id: str) -> bool:
    return _GENERATED.fullmatch(instance_id) is not None


def short_id(instance_id: str, length: int = LENGTH) -> str:
    """The beginning of a generated id, with its number if it is a child's; any other id as it is."""
    found = _GENERATED.fullmatch(instance_id)
    return found[1][:length] + (found[2] or "") if found else instance_id


def short_child(text: str) -> tuple[str, str] | None:
    """The beginning and the end of a child's id, if that is what `text` stands for: "6b85898b:2"."""
    found = _SHORT_CHILD.fullmatch(text)
    return (found[1], found[2]) if found else None
