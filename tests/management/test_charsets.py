"""The charset of a body: the encodings of .NET, its byte order marks, and its words for the rest."""

from __future__ import annotations

import codecs

import pytest

from dfhost.management.charsets import UnknownCharset, decode

JSON = "application/json"


@pytest.mark.parametrize(
    ("charset", "codec"),
    [
        ("utf-8", "utf-8"),
        ('"utf-8"', "utf-8"),
        ("UTF-8", "utf-8"),
        ("utf-16", "utf-16-le"),
        ("utf-16BE", "utf-16-be"),
        ("utf-32", "utf-32-le"),
        ("us-ascii", "ascii"),
        ("iso-8859-1", "latin-1"),
    ],
)
def test_the_charsets_that_dotnet_knows(charset: str, codec: str) -> None:
    text = '"x"' if codec == "ascii" else '"xü"'
    assert decode(text.encode(codec), f"{JSON}; charset={charset}") == text


@pytest.mark.parametrize(
    "codec", ["utf-8-sig", "utf-16", "utf-32"], ids=["a mark of UTF-8", "one of UTF-16", "one of UTF-32"]
)
def test_without_a_charset_a_byte_order_mark_decides(codec: str) -> None:
    assert decode('"xü"'.encode(codec), JSON) == '"xü"'


def test_the_mark_of_the_named_charset_is_taken_away() -> None:
    assert decode(codecs.BOM_UTF8 + b"1", f"{JSON};charset=utf-8") == "1"
    assert decode('"x"'.encode("utf-16"), f"{JSON};charset=utf-16") == '"x"'


def test_of_two_charsets_the_first_counts() -> None:
    assert decode(b'"\xe4"', f"{JSON}; charset=iso-8859-1; charset=nonsense") == '"ä"'


def test_bad_bytes_are_replaced() -> None:
    assert decode(b'"\xff"', JSON) == '"\ufffd"'


@pytest.mark.parametrize(
    "charset", ["nonsense", "punycode", "rot13", "zip", "utf_8_sig", "cp1252", "idna", "utf8"]
)
def test_no_other_name_is_a_charset(charset: str) -> None:
    with pytest.raises(
        UnknownCharset, match="The character set provided in ContentType is invalid"
    ) as caught:
        decode(b"x" * 100_000, f"{JSON}; charset={charset}")
    assert caught.value.kind == "System.InvalidOperationException"


def test_utf_7_is_disabled() -> None:
    with pytest.raises(UnknownCharset, match="Support for UTF-7 is disabled") as caught:
        decode(b"1", f"{JSON}; charset=utf-7")
    assert caught.value.kind == "System.NotSupportedException"
    assert decode(b"", f"{JSON}; charset=utf-7") == "", "an empty body is not looked at"
