"""Instances with their sub-orchestrations below them. Pure; a status says by `parentInstanceId` what called it.

Hosts with an extension before 3.19 do not say that: there nothing has sub-orchestrations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

Json = dict[str, Any]


def with_children(listed: Sequence[Json], known: Iterable[Json]) -> list[Json]:
    """`listed`, below each those of `known` that it has called, below these what they have called, and so on.

    The children of one instance are in the order of `known`. Nothing is there twice.
    """
    children: dict[str, list[Json]] = {}
    for each in known:
        children.setdefault(each.get("parentInstanceId") or "", []).append(each)
    shown = {each["instanceId"] for each in _walk(listed, children)}
    tops = [each for each in listed if each.get("parentInstanceId") not in shown]
    # Ids are used again: each of two instances may have called the other. Then neither is among `tops`.
    return list(_walk([*tops, *listed], children))


def depths(rows: Iterable[Json]) -> list[int]:
    """How many of the rows before each one are above it; `rows` as `with_children` has ordered them."""
    found: dict[str, int] = {}
    for row in rows:
        found[row["instanceId"]] = found.get(row.get("parentInstanceId") or "", -1) + 1
    return list(found.values())


def _walk(tops: Sequence[Json], children: dict[str, list[Json]]) -> Iterator[Json]:
    """Each of `tops` and what is below it, the first time that it is met."""
    seen: set[str] = set()
    ahead = list(reversed(tops))
    while ahead:
        each = ahead.pop()
        if each["instanceId"] not in seen:
            seen.add(each["instanceId"])
            yield each
            ahead += reversed(children.get(each["instanceId"], ()))
