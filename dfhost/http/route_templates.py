"""ASP.NET route templates: ``items/{id:int}/{file}.{ext?}``, ``{*rest}``. Pure.

`parse` makes a `RouteTemplate`, and its `match` turns a path into route values. Sources in dotnet/aspnetcore:
RoutePatternParser, RouteParameterParser, RoutePatternMatcher. `route_constraints` checks the values.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from dfhost.http.route_constraints import Constraint, constraint


class InvalidRouteTemplate(ValueError):
    """The Functions host would not start with this template; `str()` says why."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """``{name:constraint=default}``, ``{name?}``, ``{*name}``."""

    name: str
    constraints: tuple[Constraint, ...] = ()
    default: str | None = None
    optional: bool = False
    catch_all: bool = False

    def allows(self, value: str | None) -> bool:
        if value is None:
            return self.optional or not self.constraints
        return all(check(value) for check in self.constraints)


Segment = tuple["str | Parameter", ...]  # literals are in lower case


@dataclass(frozen=True, slots=True)
class RouteTemplate:
    """A parsed template. ``parse("items/{id:int}/{*rest}")`` has three segments."""

    segments: tuple[Segment, ...]

    def match(self, path: str) -> dict[str, str] | None:
        """The route values for a decoded path without its leading slash; None if it does not fit.

        An absent optional parameter has no value. A trailing slash is ignored; an empty segment never matches.
        """
        values: dict[str, str] = {}
        parts = path.split("/")
        if not parts[-1]:
            parts.pop()
        for index, segment in enumerate(self.segments):
            head = segment[0]
            if index < len(parts) and not parts[index]:
                return None
            if len(segment) == 1 and isinstance(head, Parameter):
                if head.catch_all:
                    rest = path.split("/", index)[index] if index < len(parts) else head.default
                    return self._checked(values, head, rest)
                value = parts[index] if index < len(parts) else head.default
                if value is None and not head.optional:
                    return None
                if value is not None:
                    values[head.name] = value
            elif index >= len(parts):
                return None
            elif isinstance(head, str) and len(segment) == 1:
                if parts[index].lower() != head:
                    return None
            elif not _match_mixed(segment, parts[index], values):
                return None
        return self._checked(values) if len(parts) <= len(self.segments) else None

    def _checked(
        self, values: dict[str, str], last: Parameter | None = None, rest: str | None = None
    ) -> dict[str, str] | None:
        if last is not None and rest is not None:
            values[last.name] = rest
        fits = all(parameter.allows(values.get(parameter.name)) for parameter in self.parameters)
        return values if fits else None

    @property
    def parameters(self) -> Iterable[Parameter]:
        return (part for segment in self.segments for part in segment if isinstance(part, Parameter))

    @property
    def precedence(self) -> tuple[int, ...]:
        """ASP.NET Core's own order: literal, constrained or mixed, plain parameter, catch-all."""
        return tuple(_segment_precedence(segment) for segment in self.segments)


def _segment_precedence(segment: Segment) -> int:
    head = segment[0]
    if len(segment) > 1:
        return 2
    if isinstance(head, str):
        return 1
    return (5 if head.catch_all else 3) - bool(head.constraints)


def _match_mixed(segment: Segment, text: str, values: dict[str, str]) -> bool:
    """Match ``{file}.{ext?}`` and the like from the right, each literal at its last possible place."""
    last = segment[-1]
    if _match_parts(segment, text, values):
        return True
    if not (isinstance(last, Parameter) and last.optional):
        return False
    separator = segment[-2]
    return not text.lower().endswith(str(separator)) and _match_parts(segment[:-2], text, values)


def _match_parts(parts: Segment, text: str, values: dict[str, str]) -> bool:
    folded = text.lower()
    found: dict[str, str] = {}
    pending: Parameter | None = None
    end = len(text)  # text[end:] is matched already
    for index in range(len(parts) - 1, -1, -1):
        part = parts[index]
        if isinstance(part, Parameter):
            pending = part
            continue
        # A parameter takes at least one character.
        at = folded.rfind(part, 0, end - 1 if pending else end)
        if at < 0 or (index == len(parts) - 1 and at + len(part) != len(text)):
            return False
        if pending:
            found[pending.name], pending = text[at + len(part) : end], None
        end = at
    if pending:
        found[pending.name], end = text[:end], 0
    if end != 0 or not all(found.values()):
        return False
    values.update(found)
    return True


# -- parsing -------------------------------------------------------------------------------------------------
# A parameter or a run of literal text; braces are doubled to stand for themselves.
_PART = re.compile(r"\{((?:[^{}]|\{\{|\}\})+)\}(?!\})|((?:[^{}]|\{\{|\}\})+)")
_MAX_SEGMENTS = 28  # RoutePrecedence refuses more


@lru_cache(maxsize=1024)  # a test run starts one host after the other with the same routes
def parse(template: str) -> RouteTemplate:
    """Parse a whole template, route prefix included. Raises InvalidRouteTemplate."""
    text = template.removeprefix("~/").removeprefix("/")
    if "//" in text or text.startswith("/"):
        raise InvalidRouteTemplate("'/' must not appear twice in a row")
    segments = [_segment(each) for each in _split(text.removesuffix("/"))]
    if len(segments) > _MAX_SEGMENTS:
        raise InvalidRouteTemplate(f"it has more than {_MAX_SEGMENTS} segments")
    found = RouteTemplate(tuple(segments))
    seen: set[str] = set()
    parameters = list(found.parameters)
    for parameter in parameters:
        if parameter.name.lower() in seen:
            raise InvalidRouteTemplate(f"the parameter '{parameter.name}' appears twice")
        seen.add(parameter.name.lower())
        if parameter.catch_all and parameter is not parameters[-1]:
            raise InvalidRouteTemplate(f"the catch-all '{parameter.name}' must come last")
    if any(_is_catch_all(segment) for segment in segments[:-1]):
        raise InvalidRouteTemplate("a catch-all must come last")
    return found


def _is_catch_all(segment: Segment) -> bool:
    return isinstance(segment[0], Parameter) and segment[0].catch_all


def _split(text: str) -> list[str]:
    """Split at slashes outside braces; a regex constraint may contain one."""
    segments, depth, start = [], 0, 0
    for index, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if character == "/" and depth == 0:
            segments.append(text[start:index])
            start = index + 1
    return [*segments, text[start:]] if text else []


def _segment(text: str) -> Segment:
    parts: list[str | Parameter] = []
    at = 0
    while at < len(text):
        found = _PART.match(text, at)
        if found is None:
            raise InvalidRouteTemplate(f"the braces in '{text}' do not pair up")
        at = found.end()
        inside, literal = found.groups()
        if inside is not None:
            parts.append(_parameter(inside.replace("{{", "{").replace("}}", "}")))
        elif "?" in literal:
            raise InvalidRouteTemplate(f"'{literal}' contains a question mark")
        else:
            parts.append(literal.replace("{{", "{").replace("}}", "}").lower())
    for before, after in pairwise(parts):
        if isinstance(before, Parameter) and isinstance(after, Parameter):
            raise InvalidRouteTemplate(
                f"in '{text}' two parameters follow each other without text between them"
            )
        if isinstance(after, Parameter) and after.optional and before != ".":
            raise InvalidRouteTemplate(
                f"in '{text}' only a period may precede the optional parameter '{after.name}'"
            )
    for part in parts:
        if isinstance(part, Parameter) and len(parts) > 1:
            if part.catch_all or (part.optional and part is not parts[-1]):
                raise InvalidRouteTemplate(
                    f"in '{text}' the parameter '{part.name}' must stand alone or at the end"
                )
    return tuple(parts)


def _parameter(text: str) -> Parameter:
    """``id:int:min(1)=5``; see RouteParameterParser."""
    stars = len(text) - len(text.removeprefix("*").removeprefix("*"))
    body = text[stars:]
    optional = body.endswith("?")
    body = body.removesuffix("?")
    if optional and stars:
        raise InvalidRouteTemplate("a catch-all cannot be optional")
    # A name may begin with a delimiter, but not contain one.
    name = re.match(r".[^:=]*", body, re.DOTALL)
    if name is None or re.search(r"[/{}?*]", name[0]):
        raise InvalidRouteTemplate(f"'{{{text}}}' does not name a parameter properly")
    constraints, default = _constraints(body[name.end() :])
    if optional and default is not None:
        raise InvalidRouteTemplate(f"the parameter '{name[0]}' is optional and has a default")
    try:
        checks = tuple(constraint(each) for each in constraints)
    except ValueError as error:
        raise InvalidRouteTemplate(str(error)) from None
    return Parameter(name[0], checks, default, optional, bool(stars))


def _constraints(text: str) -> tuple[list[str], str | None]:
    """``:int:regex(^a:b$)=5`` -> (["int", "regex(^a:b$)"], "5"); brackets hide colons and equal signs."""
    found: list[str] = []
    while text.startswith(":"):
        one = re.match(r":([^:=(]*(?:\((?:[^)]|\)(?![:=]|$))*\))?)", text, re.DOTALL)
        assert one is not None  # the name may be empty, so this matches any colon
        if one[1]:
            found.append(one[1])
        text = text[one.end() :]
        if text and text[0] not in ":=":
            raise InvalidRouteTemplate(f"the constraint '{one[1]}{text}' lacks a closing bracket")
    return found, text[1:] if text.startswith("=") else None
