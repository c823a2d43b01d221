"""Which of the app's functions takes a method and path, as the Functions host decides it. Pure.

The Functions host differs from ASP.NET Core in two points. It tries functions in the order of their *names*, and
the first match wins (FunctionMetadataManager, WebJobsRouter; functions-host#9876). A method that does not fit is
no match, so the response is 404 rather than 405. `route_templates` matches one path against one route.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Generic, TypeVar

from dfhost.http.route_templates import RouteTemplate, parse

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Route(Generic[T]):
    """One function's route. `template`: prefix included. `methods`: None for all. `target`: the function."""

    name: str
    template: str
    methods: frozenset[str] | None
    parsed: RouteTemplate
    target: T

    def takes(self, method: str) -> bool:
        return self.methods is None or method in self.methods


class RouteTable(Generic[T]):
    """Routes in the order of their names, in which they are tried."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix.strip("/")
        self.routes: list[Route[T]] = []
        self._search_cached = lru_cache(maxsize=256)(self._search)

    def add(self, name: str, template: str, methods: Iterable[str] | None, target: T) -> None:
        """`template`: without the prefix. `methods`: None for all; an empty list takes none.

        Raises InvalidRouteTemplate if the Functions host would refuse the template.
        """
        whole = f"{self.prefix}/{template}" if self.prefix else template
        taken = None if methods is None else frozenset(method.upper() for method in methods)
        route = Route(name, whole, taken, parse(whole), target)
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
        """Why `find` returns None, in words; None if a browser has asked by itself (/favicon.ico)."""
        tail = path[1:]
        if tail.lower().startswith(_ASKED_BY_BROWSERS):
            return None
        others = sorted(
            {
                each
                for route in self.routes
                if route.parsed.match(tail) is not None
                for each in route.methods or ()
            }
        )
        if others:
            return f"this route takes {' and '.join(others)} only"
        if self.prefix and not tail.lower().startswith(f"{self.prefix.lower()}/"):
            tail = f"{self.prefix}/{tail}"
            if found := self.find(method, f"/{tail}"):
                return f"did you mean /{found[0].template}?"
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
                overlap = earlier.methods is None or later.methods is None or earlier.methods & later.methods
                if overlap and sample is not None and earlier.parsed.match(sample) is not None:
                    if later.parsed.precedence <= earlier.parsed.precedence:
                        pairs.append((later, earlier))
                        break
        return pairs


#: The beginnings of paths that browsers and crawlers look for everywhere.
_ASKED_BY_BROWSERS = ("favicon.ico", "robots.txt", "apple-touch-icon", ".well-known/")


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
