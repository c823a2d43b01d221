"""The objects of an app's classes in payloads, as people read them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from azure.functions import _durable_functions

from dfhost.printable import readable_payload


class Order:
    def __init__(self, id: str, line: object = None) -> None:
        self.id, self.line = id, line

    @staticmethod
    def to_json(order: Order) -> str:
        return dumped({"id": order.id, "line": order.line})


def dumped(value: Any, **layout: Any) -> str:
    return json.dumps(value, default=_durable_functions._serialize_custom_object, **layout)


class Line:
    def __init__(self, sku: str, line: object = None) -> None:
        self.sku, self.line = sku, line

    @staticmethod
    def to_json(line: Line) -> dict[str, Any]:
        return {"sku": line.sku, "line": line.line}


ONE = 'Order {"id": "o-1", "line": null}'
ODD = 'a "quoted\\ é\n'


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        (dumped(Order("o-1")), ONE),
        (dumped(Order("o-1"), separators=(",", ":")), ONE),
        (dumped(Order("o-1"), indent=2), ONE),
        (json.dumps(dumped(Order("o-1"))), ONE),
        (dumped({"orders": [Order("o-1"), 2]}), f'{{"orders": [{ONE}, 2]}}'),
        (dumped(Order("o-2", Order("o-1"))), f'Order {{"id": "o-2", "line": {ONE}}}'),
        (dumped(Order(ODD)), f'Order {{"id": {json.dumps(ODD, ensure_ascii=False)}, "line": null}}'),
        (dumped([Line("a", Line("b")), 1]), '[Line {"sku": "a", "line": Line {"sku": "b", "line": null}}, 1]'),
        (dumped(Line("a", Order("o-1"))), f'Line {{"sku": "a", "line": {ONE}}}'),
        ('{"__class__": "Celsius", "__module__": "m", "__data__": 21.5}', "Celsius 21.5"),
        ('{"__class__": 1}', '{"__class__": 1}'),
        ('"a text with __class__ in it"', '"a text with __class__ in it"'),
        ("not JSON", "not JSON"),
    ],
)  # fmt: skip
def test_objects_are_shown_by_their_class(payload: str, shown: str) -> None:
    assert readable_payload(payload) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("žluťoučký 🐎", '"žluťoučký 🐎"'),
        ("a\\u00e9", r'"a\\u00e9"'),  # a backslash and a u, which is no escape
        ("\x00 \x85 \u202e é", r'"\u0000 \u0085 \u202e é"'),
        ('é"', r'"é\""'),
    ],
)
def test_escaped_characters_are_shown_as_such(text: str, shown: str) -> None:
    assert readable_payload(json.dumps(text)) == shown


def test_half_of_a_surrogate_pair_is_left_out() -> None:
    payload = json.dumps("a 🐎é")
    assert [readable_payload(payload[:length]) for length in (3, 4, 8, 9, 10, 14, 15, 17, 21)] == [
        *['"a '] * 6,
        '"a 🐎',
        '"a 🐎',
        '"a 🐎é',
    ]


@pytest.mark.parametrize("value", [[Order("o-2", Order(ODD))], [Line("a", Line(ODD)), 1]])
def test_the_beginning_of_a_payload_is_shown_as_the_beginning(value: object) -> None:
    payload = dumped(value)
    whole = readable_payload(payload)
    for length in range(len(payload) + 1):
        shown = readable_payload(payload[:length])
        common = next(
            (n for n, pair in enumerate(zip(shown, whole, strict=False)) if len(set(pair)) > 1), len(shown)
        )
        # An object whose head is not complete stays as it is.
        rest = shown[common:]
        assert rest[:12] == '{"__class__"'[: len(rest)], shown
