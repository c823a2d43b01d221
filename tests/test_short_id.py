"""Generated ids and their short forms."""

from __future__ import annotations

import pytest

from dfhost.short_id import is_generated, short_child, short_id


@pytest.mark.parametrize(
    ("id", "short"),
    [
        ("e9156b5c062e404e8a8434c6f25fce37", "e9156b5c"),
        ("6b85898b-1baa-4f5a-80da-16b925d9b017:2", "6b85898b:2"),
        ("e9156b5c062e404e8a8434c6f25fce37:0", "e9156b5c:0"),
        ("e9156b5c062e404e8a8434c6f25fce37:90bb082e.3", "e9156b5c:90bb082e.3"),
        ("order-17", "order-17"),
        ("E9156B5C062E404E8A8434C6F25FCE37", "E9156B5C062E404E8A8434C6F25FCE37"),
        ("@counter@total", "@counter@total"),
    ],
)
def test_generated_ids_are_shortened_and_no_others(id: str, short: str) -> None:
    assert short_id(id) == short
    assert is_generated(id) is (short != id)


def test_a_short_form_of_a_child() -> None:
    assert short_child("6b85898b:2") == ("6b85898b", ":2")
    assert short_child("e9156b5c:90bb082e.3") == ("e9156b5c", ":90bb082e.3")
    assert short_child("6b85898b") is None and short_child("order-17:2") is None
