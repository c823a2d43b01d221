"""JSON as people write it into settings files: with comments, and with a place for every complaint.

Azure reads host.json and local.settings.json with Newtonsoft.Json, which allows `//` and `/* */` comments
and a comma after the last member; so does this reader, and nothing beyond that. Unlike `json` it remembers
where each value stands, so that a wrong one can be shown. Knows nothing of what the files mean.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Path = tuple[str, ...]

_SPACE = re.compile(r"(?:\s|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_SCALAR = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?(?![\w.])|true\b|false\b|null\b")
_STRINGS = json.JSONDecoder()
_WORDS = {"true": True, "false": False, "null": None}


class JsonError(ValueError):
    """Not JSON: `str()` is the reason, `line` and `column` count from 1."""

    def __init__(self, reason: str, line: int, column: int) -> None:
        super().__init__(reason)
        self.line = line
        self.column = column


@dataclass(frozen=True)
class Document:
    """`value`: what `json.loads` would give; `places`: path -> (line, column), list indexes as texts."""

    value: Any
    places: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def place(self, path: Path) -> tuple[int, int]:
        """Where the value at `path` begins, or the nearest value around it."""
        while path not in self.places and path:
            path = path[:-1]
        return self.places.get(path, (1, 1))

    def leaves(self) -> Iterator[tuple[Path, Any]]:
        """Every value that has no members (empty objects and lists too) with its path, in the file's order.

        {"a": {"b": 1, "c": [2]}, "d": {}} -> (("a", "b"), 1), (("a", "c", "0"), 2), (("d",), {})
        """
        yield from _leaves((), self.value)


def parse(text: str) -> Document:
    """Read one JSON value. Raises JsonError."""
    parser = _Parser(text)
    try:
        return parser.document()
    except RecursionError:
        raise JsonError("this is nested too deeply", *parser.place()) from None


def _leaves(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict) and value:
        for name, member in value.items():
            yield from _leaves((*path, name), member)
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _leaves((*path, str(index)), item)
    else:
        yield path, value


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.places: dict[Path, tuple[int, int]] = {}

    def document(self) -> Document:
        self._skip()
        value = self._value(())
        self._skip()
        if self.at < len(self.text):
            raise self._error("the file goes on after the end of its JSON")
        return Document(value, self.places)

    def _value(self, path: Path) -> Any:
        self.places[path] = self.place()
        match self._peek():
            case "{":
                return dict(self._members(path))
            case "[":
                return list(self._items(path))
            case '"':
                return self._string()
        if found := _SCALAR.match(self.text, self.at):
            self.at = found.end()
            word = found[0]
            if word in _WORDS:
                return _WORDS[word]
            return float(word) if found[1] or found[2] else int(word)
        raise self._error("a value is missing" if self._peek() in ",]}" else "this is not a JSON value")

    def _members(self, path: Path) -> Iterator[tuple[str, Any]]:
        self._step("{")
        while self._peek() != "}":
            if self._peek() != '"':
                raise self._error('a name in double quotes or "}" is expected')
            name = self._string()
            self._skip()
            if self._peek() != ":":
                raise self._error(f'a colon is expected after "{name}"')
            self._step(":")
            yield name, self._value((*path, name))
            self._between("}")
        self.at += 1

    def _items(self, path: Path) -> Iterator[Any]:
        self._step("[")
        index = 0
        while self._peek() != "]":
            yield self._value((*path, str(index)))
            self._between("]")
            index += 1
        self.at += 1

    def _between(self, end: str) -> None:
        self._skip()
        if self._peek() == ",":
            self._step(",")
        elif self._peek() != end:
            raise self._error(f'a comma or "{end}" is missing before this')

    def _string(self) -> str:
        try:
            value, self.at = _STRINGS.raw_decode(self.text, self.at)
        except json.JSONDecodeError as error:
            self.at = error.pos
            reason = error.msg[:1].lower() + error.msg[1:]
            raise self._error(reason.removesuffix(" starting at").removesuffix(" at")) from None
        return str(value)

    def _step(self, character: str) -> None:
        assert self.text[self.at] == character
        self.at += 1
        self._skip()

    def _skip(self) -> None:
        found = _SPACE.match(self.text, self.at)
        assert found is not None  # it matches the empty text too
        self.at = found.end()
        if self.text.startswith("/*", self.at):
            raise self._error("this comment has no end")

    def _peek(self) -> str:
        if self.at >= len(self.text):
            raise self._error("the file ends too early" if self.text.strip() else "the file is empty")
        return self.text[self.at]

    def place(self) -> tuple[int, int]:
        """(line, column) of what is read next."""
        return self.text.count("\n", 0, self.at) + 1, self.at - self.text.rfind("\n", 0, self.at)

    def _error(self, reason: str) -> JsonError:
        return JsonError(reason, *self.place())
