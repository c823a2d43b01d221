"""What is wrong with a text that is not JSON, in the extension's words.

There Newtonsoft.Json's `JsonTextReader` reads the bodies, and clients see its sentences; the grammar here is
stricter (that of `json`), the sentences are the same.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[{}\[\],]|[^\s{}\[\],:"]+')
_NAME = re.compile(r"[\w$]*")
_PLAIN = re.compile(r"[^.\s'\"\[\]()]+")
_IN_STRING = "ReadStringIntoBuffer(Char quote)"


class InvalidJson(ValueError):
    """The text is not JSON: `str()` says what was met, and where.

    `reader` is the method of Newtonsoft's that refuses it, which the extension names in its stack trace;
    `cut_short` is "object" or "array" if the text ends within one, else None.
    """

    def __init__(
        self, newtonsoft_error: str, reader: str, text: str, at: int, cut_short: str | None = None
    ) -> None:
        line = text.count("\n", 0, at) + 1 if at else 0
        column = at - (text.rfind("\n", 0, at) + 1)
        self.place = f"Path '{_path(text[:at])}', line {line}, position {column}."
        super().__init__(f"{newtonsoft_error} {self.place}")
        self.reader = reader
        self.cut_short = cut_short


def newtonsoft_error(msg: str, text: str, at: int) -> InvalidJson:
    """What Newtonsoft says where Python says `msg` of the character at `at` (json.JSONDecodeError)."""
    found = text[at : at + 1]
    if msg.startswith("Unterminated string"):
        words, reader, at = 'Unterminated string. Expected delimiter: ".', _IN_STRING, len(text)
    elif not text.strip():
        words, reader = "Error reading JToken from JsonReader.", "ReadAndMoveToContent()"
    elif not found:
        kind = "object" if text.lstrip()[0] == "{" else "array"
        words = f"Unexpected end of content while loading J{kind.title()}."
        return InvalidJson(words, "ReadAndMoveToContent()", text, at, cut_short=kind)
    elif msg.startswith("Expecting value"):
        words, reader = f"Unexpected character encountered while parsing value: {found}.", "ParseValue()"
    elif msg.startswith("Extra data"):
        words = f"Additional text encountered after finished reading JSON content: {found}."
        reader = "Read()"
    elif msg.startswith("Expecting property name"):
        if _end_of_name(text, at) == len(text):
            words, at = "Unexpected end while parsing unquoted property name.", len(text)
        else:
            words = f"Invalid property identifier character: {found}."
        reader = "ParseUnquotedProperty()"
    elif msg.startswith("Expecting ':'"):
        words = f"Invalid character after parsing property name. Expected ':' but got: {found}."
        reader = "ParseProperty()"
    elif "escape" in msg:
        at = text.rfind("\\", 0, at + 1)
        words = f"Bad JSON escape sequence: {text[at : at + 2]}."
        reader = _IN_STRING
    elif msg.startswith("Invalid control character"):
        words = f"Control character {ord(found):#06x} in a string: it must be escaped."
        reader = _IN_STRING
    else:
        words = f"After parsing a value an unexpected character was encountered: {found}."
        reader = "ParsePostValue(Boolean ignoreComments)"
    return InvalidJson(words, reader, text, at)


def _end_of_name(text: str, at: int) -> int:
    match = _NAME.match(text, at)
    return match.end() if match and match[0] else -1


def _path(prefix: str) -> str:
    """Where in the value a reader stands that has read `prefix`: 'items[2].name'."""
    steps: list[str | int | None] = []  # per open container: a list's index, an object's last name or None
    names = False  # the next string is a name
    for match in _TOKEN.finditer(prefix):
        token = match[0]
        top_is_list = bool(steps) and isinstance(steps[-1], int)
        if token in ("}", "]"):
            del steps[-1:]
            names = False
        elif token == ",":
            names = bool(steps) and not top_is_list
        elif names and token[0] == '"':
            steps[-1] = token.strip('"')
            names = False
        else:
            if top_is_list:
                steps[-1] += 1  # type: ignore[operator]
            if token in ("{", "["):
                steps.append(None if token == "{" else -1)
                names = token == "{"
    path = ""
    for step in steps:
        if isinstance(step, int):
            path += f"[{step}]" if step >= 0 else ""
        elif step is not None and _PLAIN.fullmatch(step):
            path += f".{step}" if path else step
        elif step is not None:
            path += f"['{step}']"
    return path
