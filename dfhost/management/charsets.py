"""Which text a body is: its charset, read as .NET's `HttpContent` reads it.

.NET knows the encodings below and no others; Python's own codecs, some of which are slow or no text at all, are
never asked by a name that a client sends.
"""

from __future__ import annotations

import codecs
import re

# Names of .NET's encodings, in lower case -> Python's codec, and the byte order mark that it takes away.
_UTF_8, _UTF_16, _UTF_32 = (
    ("utf-8", codecs.BOM_UTF8),
    ("utf-16-le", codecs.BOM_UTF16_LE),
    ("utf-32-le", codecs.BOM_UTF32_LE),
)
_UTF_16_BE, _UTF_32_BE = ("utf-16-be", codecs.BOM_UTF16_BE), ("utf-32-be", codecs.BOM_UTF32_BE)
_ASCII, _LATIN_1 = ("ascii", b""), ("latin-1", b"")
_ENCODINGS = {
    **dict.fromkeys(("utf-8", "unicode-1-1-utf-8", "unicode-2-0-utf-8"), _UTF_8),
    **dict.fromkeys(("utf-16", "utf-16le", "unicode", "ucs-2", "iso-10646-ucs-2"), _UTF_16),
    **dict.fromkeys(("utf-16be", "unicodefffe"), _UTF_16_BE),
    **dict.fromkeys(("utf-32", "utf-32le"), _UTF_32),
    "utf-32be": _UTF_32_BE,
    **dict.fromkeys(("us-ascii", "ascii", "us", "iso646-us"), _ASCII),
    **dict.fromkeys(("iso-8859-1", "iso8859-1", "iso_8859-1", "latin1", "l1"), _LATIN_1),
}
_UTF_7 = frozenset(("utf-7", "unicode-1-1-utf-7", "unicode-2-0-utf-7"))
_DETECTED = (_UTF_8, _UTF_32, _UTF_16, _UTF_16_BE)  # by their marks, in .NET's order
_CHARSET = re.compile(r";\s*charset\s*=\s*(\"[^\"]*\"|[^;\s]*)", re.IGNORECASE)


class UnknownCharset(ValueError):
    """The body cannot be read. `str()` is .NET's sentence, `kind` its exception."""

    def __init__(self, sentence: str, kind: str) -> None:
        super().__init__(sentence)
        self.kind = kind


def decode(body: bytes, content_type: str) -> str:
    """The text of `body`; bad bytes become U+FFFD. Without a charset a byte order mark decides, else it is UTF-8.

    Of two charsets in `content_type` the first counts. Raises UnknownCharset.
    """
    if not body:
        return ""
    found = _CHARSET.search(content_type)
    name = found[1].strip("\"'").lower() if found else ""
    if name:
        codec, mark = _encoding(name)
    else:
        codec, mark = next((each for each in _DETECTED if body.startswith(each[1])), _UTF_8)
    return body.removeprefix(mark).decode(codec, "replace")


def _encoding(name: str) -> tuple[str, bytes]:
    if name in _UTF_7:
        raise UnknownCharset(
            "Support for UTF-7 is disabled. See https://aka.ms/dotnet-warnings/SYSLIB0001 for more information.",
            "System.NotSupportedException",
        )
    if name not in _ENCODINGS:
        raise UnknownCharset(
            "The character set provided in ContentType is invalid. Cannot read content as string using an invalid "
            "character set.",
            "System.InvalidOperationException",
        )
    return _ENCODINGS[name]
