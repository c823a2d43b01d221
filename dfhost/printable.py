"""Other people's texts as they can be shown: without what steers a terminal, legible, and not too long. Pure."""

from __future__ import annotations

import json
import re

# What steers a terminal or makes a line look like another one: C0 and C1 controls, line and paragraph separators,
# marks and overrides of the writing direction, halves of surrogate pairs.
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def printable(text: str) -> str:
    """`text` with control characters as escapes: "a\\x1b[2J", "two\\nlines". For texts that clients choose."""
    if text.isprintable():
        return text
    return CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def printable_lines(text: str) -> str:
    """Likewise, but lines stay lines and tabs stay tabs."""
    if text.isprintable():
        return text
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


_ERROR = 300  # characters; more is a page of somebody's


def error_in_a_line(error: str) -> str:
    """All its lines in one: the first of "1 validation error for Order\n  id ...", for example, says nothing."""
    return shortened(" ".join(error.split()), _ERROR)


# As azure-functions writes an object that has a `to_json` method; what that returns follows, often JSON as a text.
_OBJECT = re.compile(r'\{\s*"__class__":\s*"([^"\\]*)",\s*"__module__":\s*"[^"\\]*",\s*"__data__":\s*(?=\S)')
_OBJECT_END = re.compile(r"\s*\}")
# A backslash as such, a run of escapes, or what is left of one where the text was cut.
_ESCAPES = re.compile(r"\\\\|(?:\\u[0-9a-fA-F]{4})+(?:\\(?:u[0-9a-fA-F]{0,3})?$)?|\\(?:u[0-9a-fA-F]{0,3})?$")
_ESCAPE_LENGTH = len(r"\u00e9")


def readable_payload(text: str) -> str:
    """JSON, or the beginning of it, with its characters as such, and the app's objects as ``Order {"id": 1}``.

    They are stored as ``{"__class__": "Order", "__module__": "orders", "__data__": "{\\"id\\": 1}"}``, or with the
    data as an object. The SDK writes every character beyond ASCII as an escape.
    """
    if "\\u" in text or text.endswith("\\"):
        text = _ESCAPES.sub(_characters, text)
    if "__class__" not in text:
        return text
    if text.startswith('"') and '\\"__class__' in text:  # the SDK's client sends JSON in JSON
        text, _ = _string(text, 0)
    parts: list[str] = []
    at = 0
    while found := _OBJECT.search(text, at):
        data, end = (_string if text[found.end()] == '"' else _value)(text, found.end())
        parts += text[at : found.start()], found[1], " ", readable_payload(data)
        closing = _OBJECT_END.match(text, end)
        at = closing.end() if closing else end
    return "".join((*parts, text[at:]))


def _characters(escapes: re.Match[str]) -> str:
    """The characters that the escapes stand for; the escapes if one is ASCII, say a quote, or cannot be shown."""
    text = escapes[0]
    if text == "\\\\":
        return text
    text = text[: len(text) // _ESCAPE_LENGTH * _ESCAPE_LENGTH]
    characters: str = json.loads(f'"{text}"')
    if escapes.end() == len(escapes.string) and "\ud800" <= characters[-1:] <= "\udbff":
        characters = characters[:-1]  # the other half of the surrogate pair was cut off
    return characters if characters.isprintable() and min(characters, default="é") > "\x7f" else text


def _string(text: str, at: int) -> tuple[str, int]:
    """The JSON string that begins there, and its end; as much of it as there is, if it has been cut."""
    try:
        value, end = json.JSONDecoder().raw_decode(text, at)
        return str(value), end
    except ValueError:
        pass
    for missing in range(_ESCAPE_LENGTH):  # the cut may be within an escape
        try:
            return str(json.loads(text[at : len(text) - missing] + '"')), len(text)
        except ValueError:
            continue
    return text[at:], len(text)


def _value(text: str, at: int) -> tuple[str, int]:
    """Likewise of a JSON value that is no string: its text."""
    try:
        _, end = json.JSONDecoder().raw_decode(text, at)
    except ValueError:
        end = len(text)
    return text[at:end], end


def shortened(text: str, longest: int) -> str:
    """The text itself, or as much of it as fits into `longest` characters with an ellipsis."""
    return text if len(text) <= longest else text[: longest - 1] + "…"
