"""What is wrong with a text that is not JSON, in the extension's words.

The extension reads bodies with Newtonsoft.Json's `JsonTextReader`, and clients see its sentences. Python's `json`
reads them here; its grammar is stricter, so only the sentences are the same.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[{}\[\],]|[^\s{}\[\],:"]+')
_NAME = re.compile(r"[\w$]*")
_PLAIN = re.compile(r"[^.\s'\"\[\]()]+")
_IN_STRING = "ReadStringIntoBuffer(Char quote)"


class InvalidJson(ValueError):
    """The text is not JSON; `str()` says what is wrong, and where.

    `reader`: Newtonsoft's method that refuses it, which the extension names in its stack trace. `cut_short`:
    "object" or "array" if the text ends within one, else None.
    """

    def __init__(self, sentence: str, reader: str, text: str, at: int, cut_short: str | None = None) -> None:
        line = text.count("\n", 0, at) + 1 if at else 0
        column = at - (text.rfind("\n", 0, at) + 1)
        self.place = f"Path '{_path(text[:at])}', line {line}, position {column}."
        super().__init__(f"{sentence} {self.place}")
        self.reader = reader
        self.cut_short = cut_short


def newtonsoft_error(msg: str, text: str, at: int) -> InvalidJson:
    """Newtonsoft's error for Python's `json.JSONDecodeError(msg, text, at)`."""
    char = text[at : at + 1]
    if msg.startswith("Unterminated string"):
        sentence, reader, at = 'Unterminated string. Expected delimiter: ".', _IN_STRING, len(text)
    elif not text.strip():
        sentence, reader = "Error reading JToken from JsonReader.", "ReadAndMoveToContent()"
    elif not char:
        kind = "object" if text.lstrip()[0] == "{" else "array"
        sentence = f"Unexpected end of content while loading J{kind.title()}."
        return InvalidJson(sentence, "ReadAndMoveToContent()", text, at, cut_short=kind)
    elif msg.startswith("Expecting value"):
        sentence, reader = f"Unexpected character encountered while parsing value: {char}.", "ParseValue()"
    elif msg.startswith("Extra data"):
        sentence = f"Additional text encountered after finished reading JSON content: {char}."
        reader = "Read()"
    elif msg.startswith("Expecting property name"):
        if _end_of_name(text, at) == len(text):
            sentence, at = "Unexpected end while parsing unquoted property name.", len(text)
        else:
            sentence = f"Invalid property identifier character: {char}."
        reader = "ParseUnquotedProperty()"
    elif msg.startswith("Expecting ':'"):
        sentence = f"Invalid character after parsing property name. Expected ':' but got: {char}."
        reader = "ParseProperty()"
    elif "escape" in msg:
        at = text.rfind("\\", 0, at + 1)
        sentence = f"Bad JSON escape sequence: {text[at : at + 2]}."
        reader = _IN_STRING
    elif msg.startswith("Invalid control character"):
        sentence = f"Control character {ord(char):#06x} in a string: it must be escaped."
        reader = _IN_STRING
    else:
        sentence = f"After parsing a value an unexpected character was encountered: {char}."
        reader = "ParsePostValue(Boolean ignoreComments)"
    return InvalidJson(sentence, reader, text, at)


def _end_of_name(text: str, at: int) -> int:
    match = _NAME.match(text, at)
    return match.end() if match and match[0] else -1


def _path(prefix: str) -> str:
    """The path to the value at which `prefix` ends: 'items[2].name'."""
    steps: list[str | int | None] = []  # per open container: a list's index, an object's last name or None
    name_follows = False  # the next string is a name
    for match in _TOKEN.finditer(prefix):
        token = match[0]
        top_is_list = bool(steps) and isinstance(steps[-1], int)
        if token in ("}", "]"):
            del steps[-1:]
            name_follows = False
        elif token == ",":
            name_follows = bool(steps) and not top_is_list
        elif name_follows and token[0] == '"':
            steps[-1] = token.strip('"')
            name_follows = False
        else:
            if top_is_list:
                steps[-1] += 1  # type: ignore[operator]
            if token in ("{", "["):
                steps.append(None if token == "{" else -1)
                name_follows = token == "{"
    path = ""
    for step in steps:
        if isinstance(step, int):
            path += f"[{step}]" if step >= 0 else ""
        elif step is not None and _PLAIN.fullmatch(step):
            path += f".{step}" if path else step
        elif step is not None:
            path += f"['{step}']"
    return path
