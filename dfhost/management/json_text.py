"""JSON as text: checked, compacted and embedded without converting its numbers.

What users post and what the store holds passes through as text, so that ``1.0``, ``1e300`` and ``2**70`` keep
their digits. Knows nothing of requests; `json_errors` words the errors.
"""

from __future__ import annotations

import json
import re
from math import isinf
from typing import Any, NoReturn

from dfhost.management.json_errors import InvalidJson, newtonsoft_error

#: Compact JSON of a value, non-ASCII characters as they are.
encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

MAX_DEPTH = 64  # of nested lists and objects that Newtonsoft's reader takes

_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_STRING_OR_SPACE = re.compile(rf"{_STRING}|\s+")
_STRING_OR_CONSTANT = re.compile(rf"{_STRING}|(NaN|-?Infinity)")
_STRING_OR_BRACKET = re.compile(rf"{_STRING}|[\[\]{{}}]")
_REENCODED = re.compile(r"[\\\x85\u2028\u2029\ud800-\udfff]")  # a string with one of these is encoded anew
_COMPACTABLE = (
    *" \t\n\r",
    *"\\\x85\u2028\u2029",
)  # what `compact` may have to change, and half a surrogate pair


def checked(text: str) -> str:
    """A body that must be one JSON value, with or without blanks around it. Raises `InvalidJson`.

    Returns `text`, unless the extension reads something else in it: of two equal keys the last one, and the text
    "Infinity" for a number that is too large for a double.
    """
    too_deep = _too_deep(text)
    try:
        _BODY.decode(text)
    except json.JSONDecodeError as error:
        if too_deep is None or error.pos < too_deep:
            raise newtonsoft_error(error.msg, text, error.pos) from None
    except _InvalidConstant:
        at = next(match.start(1) for match in _STRING_OR_CONSTANT.finditer(text) if match[1])
        raise newtonsoft_error("Expecting value", text, at) from None
    except _ReadOtherwise:
        return encode(_READ_OTHERWISE.decode(text))
    except RecursionError:
        pass
    if too_deep is not None:
        sentence = f"The reader's MaxDepth of {MAX_DEPTH} has been exceeded."
        raise InvalidJson(sentence, "Push(JsonContainerType value)", text, too_deep + 1)
    return text


def compact(text: str) -> str:
    """The JSON `text` without blanks between its tokens and without needless escapes; numbers untouched.

    ' {"a" : 1.0, "b": "\\u00fc"} ' -> '{"a":1.0,"b":"ü"}'
    """
    # One search for each character is 50 times as fast as a regular expression: 50 MB take it 10 ms.
    if not any(character in text for character in _COMPACTABLE) and _is_unicode(text):
        return text
    return _STRING_OR_SPACE.sub(_compact_token, text)


def embedded(text: str | None) -> str:
    """A stored text as JSON: JSON as it is, any other text as a string.

    None -> null, '{"a":1}' -> {"a":1}, '5' -> 5, 'enough' -> "enough", '  ' -> "", '"\\u00fc"' -> "ü"
    """
    if text is None:
        return "null"
    text = text.strip()
    if not text:
        return '""'
    try:
        _STRICT.decode(text)
    except (ValueError, RecursionError):
        return encode(text)
    return compact(text) if "\\" in text else text


def value(text: str | None) -> Any:
    """`embedded` as a Python value."""
    if text is None:
        return None
    text = text.strip()
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite) if text else ""
    except (ValueError, RecursionError):  # not JSON, or a number of more digits than Python reads
        return text


def utf8(text: str) -> bytes:
    """`text` as bytes; half a surrogate pair, which UTF-8 cannot encode, becomes U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _without_surrogates(text).encode()


def _is_unicode(text: str) -> bool:
    """Whether there is no half of a surrogate pair in it."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _too_deep(text: str) -> int | None:
    """Where in `text` a list or object is nested deeper than Newtonsoft's reader goes, else None."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return None
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        token = match[0]
        if token in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                return match.start()
        elif token in "]}":
            depth -= 1
    return None


class _InvalidConstant(ValueError):
    pass


class _ReadOtherwise(Exception):
    """The text is JSON, but its value is not what the text says."""


def _refuse(_name: str) -> NoReturn:
    raise _InvalidConstant  # NaN and Infinity, which Python reads by default


def _refuse_twins(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) != len(pairs):
        raise _ReadOtherwise


def _refuse_infinite(number: str) -> None:
    if isinf(float(number)):
        raise _ReadOtherwise


def _finite(number: str) -> float | str:
    read = float(number)
    return read if not isinf(read) else "Infinity" if read > 0 else "-Infinity"


def _whole(number: str) -> int | str:
    try:
        return int(number)
    except ValueError:  # more digits than Python reads
        return number


# Only the grammar counts, so numbers are not converted.
_STRICT = json.JSONDecoder(parse_constant=_refuse, parse_int=str, parse_float=str)
_BODY = json.JSONDecoder(
    parse_constant=_refuse, parse_int=str, parse_float=_refuse_infinite, object_pairs_hook=_refuse_twins
)
_READ_OTHERWISE = json.JSONDecoder(parse_constant=_refuse, parse_int=_whole, parse_float=_finite)


def _compact_token(match: re.Match[str]) -> str:
    token = match[0]
    if token[0] != '"':
        return ""
    if not _REENCODED.search(token):
        return token
    encoded = encode(_without_surrogates(json.loads(token)))
    # Newtonsoft escapes these three, since JavaScript takes them for the end of a line.
    return encoded.replace("\x85", "\\u0085").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _without_surrogates(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
