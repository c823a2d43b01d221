"""Which messages the Functions host makes of what a function has written to a queue."""

from __future__ import annotations

import pytest
from azure.functions.meta import Datum

from dfhost.app.outputs import OutputFailed, messages_of


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("", [""]),
        ("plain", ["plain"]),
        (" padded ", [" padded "]),
        ("7", ["7"]),
        ("null", ["null"]),
        ('"quoted"', ['"quoted"']),
        ("{", ["{"]),
        ("[", ["["]),
        ("[1}", ["[1}"]),
        ("{} and more", ["{} and more"]),
        ("[info] started", ["[info] started"]),
        ("{}", ["{}"]),
        ("[]", []),
        ("[[]]", ["[]"]),
        ("\n {} \t", ["{}"]),
        ('{"b":1,"a":[]}', ['{\n  "b": 1,\n  "a": []\n}']),
        ('{"a":{"b":[1,{}]}}', ['{\n  "a": {\n    "b": [\n      1,\n      {}\n    ]\n  }\n}']),
        ('["a", "b"]', ["a", "b"]),
        ('["[1]", "{}"]', ["[1]", "{}"]),
        ('[{"a":1}, [1]]', ['{\n  "a": 1\n}', "[\n  1\n]"]),
        ("[1, -2, 12345678901234567890123]", ["1", "-2", "12345678901234567890123"]),
        ("[true, false, null]", ["True", "False", ""]),
        ("[1.5, -0.25, 1e-3, 1e-7]", ["1.5", "-0.25", "0.001", "1E-07"]),
        ("[1.0, -2.0, 1e3, 1e300]", ["1", "-2", "1000", "1E+300"]),
        ('{"text":"\\u00e9 \\ud83d\\ude00"}', ['{\n  "text": "é 😀"\n}']),
    ],
)
def test_the_messages_of_a_text(text: str, messages: list[str]) -> None:
    assert messages_of(Datum(text, "string")) == messages
    assert messages_of(Datum(text, "json")) == messages


@pytest.mark.parametrize(
    ("datum", "messages"),
    [
        (Datum({"id": 1}, "dict"), ['{\n  "id": 1\n}']),
        (Datum(["a", 2], "list"), ["a", "2"]),
        (Datum(7, "int"), ["7"]),
    ],
)
def test_the_messages_of_a_value_where_a_text_was_announced(datum: Datum, messages: list[str]) -> None:
    assert messages_of(datum) == messages


@pytest.mark.parametrize(
    "text", ["{hello}", "[warning]", '{"a": }', '["a" "b"]', "[1] or [2]", "{" * 5_000 + "}" * 5_000]
)
def test_what_looks_like_json_and_is_not_fails(text: str) -> None:
    with pytest.raises(OutputFailed, match="looks like JSON and is not") as failed:
        messages_of(Datum(text, "string"))
    assert text[:100] in str(failed.value)
    assert len(str(failed.value)) < 600


@pytest.mark.parametrize(
    ("data", "messages"), [(b"", [""]), ("[1, é]".encode(), ["[1, é]"]), (b"[1, 2]", ["[1, 2]"])]
)
def test_bytes_are_one_message_as_they_are(data: bytes, messages: list[str]) -> None:
    assert messages_of(Datum(data, "bytes")) == messages


def test_bytes_that_are_no_text_fail() -> None:
    with pytest.raises(OutputFailed, match="these bytes are not UTF-8"):
        messages_of(Datum(b"\xff\xfe", "bytes"))
