"""Which of the app's functions takes a method and path, as the Functions host decides it. Pure.

The Functions host differs from ASP.NET Core in two points. It tries functions in the order of their *names*, and
the first match wins (FunctionMetadataManager, WebJobsRouter; functions-host#9876). A method that does not fit is
no match, so the response is 404 rather than 405. `route_templates` matches one path against one route.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Generic, TypeVar
from urllib.parse import unquote_to_bytes

from dfhost.http.route_templates import RouteTemplate, parse

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Route(Generic[T]):
    """One function's route. `template`: prefix included. `methods`: empty for all. `target`: the function."""

    name: str
    template: str
    methods: frozenset[str]
    parsed: RouteTemplate
    target: T

    def takes(self, method: str) -> bool:
        return not self.methods or method in self.methods


class RouteTable(Generic[T]):
    """Routes in the order of their names, in which they are tried."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix.strip("/")
        self.routes: list[Route[T]] = []
        self._search_cached = lru_cache(maxsize=256)(self._search)

    def add(self, name: str, template: str, methods: Iterable[str], target: T) -> None:
        """`template`: without the prefix. Raises InvalidRouteTemplate if the Functions host would refuse it."""
        whole = f"{self.prefix}/{template}" if self.prefix else template
        route = Route(name, whole, frozenset(method.upper() for method in methods), parse(whole), target)
        self.routes.append(route)
        self.routes.sort(key=lambda each: each.name.lower())
        self._search_cached.cache_clear()

    def find(self, method: str, path: str) -> tuple[Route[T], Mapping[str, str]] | None:
        """The first route by name that fits, and its route values. `path`: decoded, with its leading slash."""
        return self._search_cached(method, path)

    def _search(self, method: str, path: str) -> tuple[Route[T], Mapping[str, str]] | None:
        tail = path[1:]
        for route in self.routes:
            if route.takes(method) and (values := route.parsed.match(tail)) is not None:
                return route, values
        return None

    def why_not(self, method: str, path: str) -> str | None:
        """Why `find` returns None, in words; None if the request was hardly meant for the app (/favicon.ico)."""
        tail = path[1:]
        others = sorted(
            {each for route in self.routes if route.parsed.match(tail) is not None for each in route.methods}
        )
        if others:
            return f"this route takes {' and '.join(others)} only"
        if self.prefix and not tail.lower().startswith(f"{self.prefix.lower()}/"):
            found = self.find(method, f"/{self.prefix}{path}")
            return f"did you mean /{found[0].template}?" if found else None
        skip = len(self.prefix)  # all routes share the prefix, so it says nothing about similarity
        templates = {
            _filled(route.template, tail)[skip:].lower(): route.template for route in reversed(self.routes)
        }
        similar = get_close_matches(tail[skip:].lower(), templates, 1, 0.75)
        return f"did you mean /{templates[similar[0]]}?" if similar else "no function has this route"

    def shadowed(self) -> list[tuple[Route[T], Route[T]]]:
        """Pairs (shadowed, by): the first gets no request, though ASP.NET Core would prefer it to the second."""
        pairs = []
        for index, later in enumerate(self.routes):
            sample = _sample(later.parsed)
            for earlier in self.routes[:index]:
                overlap = not earlier.methods or not later.methods or earlier.methods & later.methods
                if overlap and sample is not None and earlier.parsed.match(sample) is not None:
                    if later.parsed.precedence <= earlier.parsed.precedence:
                        pairs.append((later, earlier))
                        break
        return pairs


def _filled(template: str, path: str) -> str:
    """The template with the path's segments in place of its parameters."""
    parts, values = template.split("/"), path.split("/")
    for index, value in enumerate(values[: len(parts)]):
        if "{" in parts[index]:
            parts[index] = value
    return "/".join(parts)


def _sample(template: RouteTemplate) -> str | None:
    """A path that the template matches; None if its constraints allow none of the guesses."""
    for filler in ("x", "1", "2000-01-01", "true", "00000000-0000-0000-0000-000000000000"):
        path = "/".join(
            "".join(part if isinstance(part, str) else filler for part in segment)
            for segment in template.segments
        )
        if template.match(path) is not None:
            return path
    return None


# -- paths ---------------------------------------------------------------------------------------------------
def decode_path(raw: str) -> str:
    """The path as routing sees it: percent-decoded once except for an encoded slash, dot segments resolved.

    ``/a%20b%2Fc/x/../d`` -> ``/a b%2Fc/d``. Bytes that are not UTF-8 stay encoded (Kestrel).
    """
    if "%" in raw:
        raw = "".join(
            piece if piece in ("%2F", "%2f") else _unquoted(piece) for piece in re.split("(%2[Ff])", raw)
        )
    return _without_dots(raw) if "/." in raw else raw


def _unquoted(text: str) -> str:
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        return text


def _without_dots(path: str) -> str:
    kept: list[str] = []
    segments: Sequence[str] = path.split("/")[1:]
    for index, segment in enumerate(segments):
        if segment == ".." and kept:
            kept.pop()
        elif segment not in (".", ".."):
            kept.append(segment)
            continue
        if index == len(segments) - 1:
            kept.append("")
    return "/" + "/".join(kept)
