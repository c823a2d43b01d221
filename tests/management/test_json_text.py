"""JSON bodies as text: what is accepted, the sentence for what is not, and that numbers stay exact."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfhost.management.json_errors import InvalidJson
from dfhost.management.json_text import checked, compact, embedded, utf8

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def complaint(text: str) -> str:
    with pytest.raises(InvalidJson) as caught:
        checked(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        # recorded
        ("{bad", "Unexpected end while parsing unquoted property name. Path '', line 1, position 4."),
        ("{oops", "Unexpected end while parsing unquoted property name. Path '', line 1, position 5."),
        ("hello", "Unexpected character encountered while parsing value: h. Path '', line 0, position 0."),
        (
            '{"a":1}{"b":2}',
            "Additional text encountered after finished reading JSON content: {. Path '', line 1, position 7.",
        ),
        # Newtonsoft's words for the rest
        ("", "Error reading JToken from JsonReader. Path '', line 0, position 0."),
        ("+1", "Unexpected character encountered while parsing value: +. Path '', line 0, position 0."),
        ('{"a":', "Unexpected end of content while loading JObject. Path 'a', line 1, position 5."),
        ("[1,", "Unexpected end of content while loading JArray. Path '[0]', line 1, position 3."),
        ('{"a":"x', "Unterminated string. Expected delimiter: \". Path 'a', line 1, position 7."),
        (
            '{"a" 1}',
            "Invalid character after parsing property name. Expected ':' but got: 1. Path 'a', line 1, position 5.",
        ),
        (
            '{\n "a": [1, {"b c": 2 3}]}',
            "After parsing a value an unexpected character was encountered: 3. Path 'a[1]['b c']', line 2, "
            "position 20.",
        ),
        ('["\\q"]', "Bad JSON escape sequence: \\q. Path '[0]', line 1, position 2."),
        ('["\\u12x4"]', "Bad JSON escape sequence: \\u. Path '[0]', line 1, position 2."),
    ],
)
def test_text_that_is_not_json_is_refused_with_the_extensions_sentence(text: str, words: str) -> None:
    assert complaint(text) == words


@pytest.mark.parametrize(
    "text",
    ["NaN", "[Infinity]", '{"NaN": -Infinity}', "{'a':1}", "/*c*/1", "1 2", "[1,]", "007", "0x10", '"\n"'],
)
def test_json_that_only_newtonsoft_reads_is_refused(text: str) -> None:
    assert "line" in complaint(text)


@pytest.mark.parametrize("depth", [65, 128, 100_000])
@pytest.mark.parametrize("closed", [True, False])
def test_nesting_ends_at_64(depth: int, closed: bool) -> None:
    text = "[" * depth + ("]" * depth if closed else "")
    path = "[0]" * 64
    assert (
        complaint(text)
        == f"The reader's MaxDepth of 64 has been exceeded. Path '{path}', line 1, position 65."
    )


def test_nesting_is_counted_outside_of_strings() -> None:
    for text in ("[" * 64 + "]" * 64, json.dumps(["[" * 100, "{" * 100]), json.dumps([[]] * 100)):
        assert checked(text) == text
    assert "MaxDepth" in complaint('{"a":' * 65 + "1" + "}" * 65)
    assert "MaxDepth" not in complaint("[x" + "[" * 100), "what comes first is named"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ('{"a":1,"b":1.0,"a":2}', '{"a":2,"b":1.0}'),
        ('[{"x":{"a":1,"a":"ü"}}]', '[{"x":{"a":"ü"}}]'),
        ("1e400", '"Infinity"'),
        ('{"a":[-1e400,1e300]}', '{"a":["-Infinity",1e+300]}'),
        ('{"a":1e400,"b":' + "7" * 5000 + "}", '{"a":"Infinity","b":"' + "7" * 5000 + '"}'),
    ],
)
def test_what_the_extension_reads_otherwise(text: str, read: str) -> None:
    assert checked(text) == read


def test_numbers_keep_their_digits() -> None:
    text = ' { "a" : [ 1.0, 1e300, -0.0, 1180591620717411303424, 0.10 ], "b":"x y" } '

    assert checked(text) == text

    assert compact(text) == '{"a":[1.0,1e300,-0.0,1180591620717411303424,0.10],"b":"x y"}'
    assert checked("7" * 10_000)  # far beyond what int() reads


def test_strings_are_written_as_the_extension_writes_them() -> None:
    assert compact('"\\u00fc \\u2028 \\/ \\ud83d\\ude00 \\n \\u001f"') == '"ü \\u2028 / 😀 \\n \\u001f"'
    assert compact('"half \\ud800 pair"') == '"half \ufffd pair"'


@given(VALUES, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_compacting_changes_the_text_alone(value: object, indent: int | str | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)

    assert checked(text) == text
    tidy = compact(text)

    assert json.loads(tidy) == value
    assert utf8(tidy).decode() == tidy
    assert compact(tidy) == tidy


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        (None, "null"),
        ("", '""'),
        ("  ", '""'),
        ("5", "5"),
        (' {"a": 1.50} ', '{"a": 1.50}'),
        ("enough", '"enough"'),
        ("2024-05-06T07:08:09Z", '"2024-05-06T07:08:09Z"'),
        ("NaN", '"NaN"'),
        ("5 apples", '"5 apples"'),
        ('["\\ud83d\\ude00\\u00e4", 1.50]', '["😀ä",1.50]'),
        ('"\\ud800"', '"\ufffd"'),
        ("true", "true"),
    ],
)
def test_a_stored_text_is_shown_as_the_value_it_stands_for(stored: str | None, shown: str) -> None:
    assert embedded(stored) == shown
