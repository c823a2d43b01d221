"""The short form of generated instance ids: every command takes it, and it tells the instances of a day apart."""

from __future__ import annotations

import re

LENGTH = 8
_GENERATED = re.compile("[0-9a-f]{32}")


def is_generated(instance_id: str) -> bool:
    return _GENERATED.fullmatch(instance_id) is not None


def short_id(instance_id: str) -> str:
    """The beginning of a generated id; any other id as it is."""
    return instance_id[:LENGTH] if is_generated(instance_id) else instance_id
