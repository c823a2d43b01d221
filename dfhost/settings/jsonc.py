"""Settings files: JSON with comments, in which every error has a line and a column.

Azure reads host.json and local.settings.json with Newtonsoft.Json, which allows `//` and `/* */` comments and a
comma after the last member. This parser allows the same unless it is told to be strict. Unlike `json` it keeps the
place of every value, so that an error can name it. Knows nothing of what the files mean.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dfhost.errors import SettingsError

KeyPath = tuple[str, ...]

_SPACE = re.compile(r"(?:\s|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_SCALAR = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?(?![\w.])|true\b|false\b|null\b")
_LONGEST_NUMBER = 1000  # characters; Python's own limit is 4,300 digits
_STRINGS = json.JSONDecoder()
_BYTE_ORDER_MARK = "\ufeff"
_REFUSED_BY_SDK = "Azure's host accepts it, but azure-functions-durable cannot read the file then"
_LITERALS = {"true": True, "false": False, "null": None}


class JsonError(ValueError):
    """Not JSON: `str()` is the reason, `line` and `column` count from 1."""

    def __init__(self, reason: str, line: int, column: int) -> None:
        super().__init__(reason)
        self.line = line
        self.column = column


@dataclass(frozen=True)
class Document:
    """`value`: as from `json.loads`. `places`: key path -> (line, column); list indexes are strings."""

    value: Any
    places: dict[KeyPath, tuple[int, int]] = field(default_factory=dict)

    def place(self, path: KeyPath) -> tuple[int, int]:
        """Where the value at `path` begins, or else the nearest value around it."""
        while path not in self.places and path:
            path = path[:-1]
        return self.places.get(path, (1, 1))

    def leaves(self) -> Iterator[tuple[KeyPath, Any]]:
        """Every scalar, empty object and empty list with its path, in the file's order.

        {"a": {"b": 1, "c": [2]}, "d": {}} -> (("a", "b"), 1), (("a", "c", "0"), 2), (("d",), {})
        """
        yield from _leaves((), self.value)


def read_document(file: Path, *, strict: bool = False) -> Document | None:
    """The JSON of a settings file, None if there is no such file. SettingsError. `strict`: see `parse`."""
    try:
        text = file.read_text(encoding="utf-8")
        if not strict:  # Visual Studio and PowerShell write a byte order mark
            text = text.removeprefix(_BYTE_ORDER_MARK)
        document = parse(text, strict=strict)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{file} is not UTF-8 text.") from None
    except JsonError as error:
        where = f"{file}, line {error.line}, column {error.column}"
        raise SettingsError(f"{where}: not valid JSON: {error}.") from None
    if not isinstance(document.value, dict):
        raise SettingsError(f"{file}, line 1: the file has to hold one JSON object in braces.")
    return document


def parse(text: str, *, strict: bool = False) -> Document:
    """Read one JSON value. Raises JsonError, if `strict` also for what only Newtonsoft.Json accepts."""
    parser = _Parser(text, strict)
    try:
        return parser.document()
    except RecursionError:
        raise JsonError("this is nested too deeply", *parser.place()) from None


def _leaves(path: KeyPath, value: Any) -> Iterator[tuple[KeyPath, Any]]:
    if isinstance(value, dict) and value:
        for name, member in value.items():
            yield from _leaves((*path, name), member)
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _leaves((*path, str(index)), item)
    else:
        yield path, value


class _Parser:
    def __init__(self, text: str, strict: bool) -> None:
        self._text = text
        self._strict = strict
        self._offset = 0
        self._places: dict[KeyPath, tuple[int, int]] = {}

    def document(self) -> Document:
        if self._text.startswith(_BYTE_ORDER_MARK):
            raise self._refused("a byte order mark")
        self._skip()
        value = self._value(())
        self._skip()
        if self._offset < len(self._text):
            raise self._error("there is more text after the end of the JSON")
        return Document(value, self._places)

    def _value(self, path: KeyPath) -> Any:
        self._places[path] = self.place()
        match self._peek():
            case "{":
                return dict(self._members(path))
            case "[":
                return list(self._items(path))
            case '"':
                return self._string()
        if found := _SCALAR.match(self._text, self._offset):
            word = found[0]
            if len(word) > _LONGEST_NUMBER:
                raise self._error("this number has too many digits")
            self._offset = found.end()
            if word in _LITERALS:
                return _LITERALS[word]
            return float(word) if found[1] or found[2] else int(word)
        raise self._error("a value is missing" if self._peek() in ",]}" else "this is not a JSON value")

    def _members(self, path: KeyPath) -> Iterator[tuple[str, Any]]:
        self._take("{")
        while self._peek() != "}":
            if self._peek() != '"':
                raise self._error('a name in double quotes or "}" is expected')
            name = self._string()
            self._skip()
            if self._peek() != ":":
                raise self._error(f'a colon is expected after "{name}"')
            self._take(":")
            yield name, self._value((*path, name))
            self._skip_separator("}")
        self._offset += 1

    def _items(self, path: KeyPath) -> Iterator[Any]:
        self._take("[")
        index = 0
        while self._peek() != "]":
            yield self._value((*path, str(index)))
            self._skip_separator("]")
            index += 1
        self._offset += 1

    def _skip_separator(self, end: str) -> None:
        self._skip()
        if self._peek() == ",":
            comma = self._offset
            self._take(",")
            if self._strict and self._peek() == end:
                self._offset = comma
                raise self._refused("a trailing comma")
        elif self._peek() != end:
            raise self._error(f'a comma or "{end}" is missing before this')

    def _string(self) -> str:
        try:
            value, self._offset = _STRINGS.raw_decode(self._text, self._offset)
        except json.JSONDecodeError as error:
            self._offset = error.pos
            reason = error.msg[:1].lower() + error.msg[1:]
            raise self._error(reason.removesuffix(" starting at").removesuffix(" at")) from None
        return str(value)

    def _take(self, character: str) -> None:
        assert self._text[self._offset] == character
        self._offset += 1
        self._skip()

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self._offset)
        assert found is not None  # it matches the empty text too
        if self._strict and (comment := found[0].find("/")) >= 0:
            self._offset += comment
            raise self._refused("a comment")
        self._offset = found.end()
        if self._text.startswith("/*", self._offset):
            raise self._error("this comment has no end")

    def _peek(self) -> str:
        if self._offset >= len(self._text):
            raise self._error("the file ends too early" if self._text.strip() else "the file is empty")
        return self._text[self._offset]

    def place(self) -> tuple[int, int]:
        """(line, column) of the next character."""
        return self._text.count("\n", 0, self._offset) + 1, self._offset - self._text.rfind(
            "\n", 0, self._offset
        )

    def _refused(self, what: str) -> JsonError:
        return self._error(f"{what}; {_REFUSED_BY_SDK}")

    def _error(self, reason: str) -> JsonError:
        return JsonError(reason, *self.place())
