"""The worked example: its parts, and that a statement delivered twice is booked once."""

from __future__ import annotations

from typing import Any

import pytest

from fan_out import reconcile, work
from fan_out.downstream import Bookings


def rows(**amounts: str) -> list[dict[str, str]]:
    return [{"invoice": invoice, "amount": amount} for invoice, amount in amounts.items()]


def test_differences_are_by_amount_and_not_by_how_it_is_written():
    statement, books = rows(A="1.50", B="2", C="3.00"), rows(A="1.5", B="2.01", D="9")
    assert work.differences(statement, books) == [
        {"invoice": "B", "paid": "2", "booked": "2.01"},
        {"invoice": "C", "paid": "3.00", "booked": None},
    ]


def test_a_key_is_booked_once_and_gets_its_receipt_again():
    bookings = Bookings(flaky=0)
    first = bookings.book("m/1", [{}, {}])
    assert first == {"receipt": "R-1", "differences": 2}
    assert bookings.book("m/1", []) == first
    assert bookings.book("m/2", [])["receipt"] == "R-2"
    assert len(bookings) == 2


def test_some_keys_are_refused_the_first_time_and_only_then():
    bookings = Bookings(flaky=3)
    refused = 0
    for number in range(100):
        try:
            bookings.book(f"m/{number}", [])
        except ConnectionError:
            refused += 1
            assert bookings.book(f"m/{number}", [])["receipt"]
    assert 10 < refused < 60 and len(bookings) == 100


async def deliver(entry: dict[str, Any]) -> dict[str, Any]:
    activity = reconcile.reconcile_statement.build().get_user_function()
    return await activity(entry=entry)


async def test_a_statement_that_is_delivered_twice_is_booked_once(monkeypatch):
    bookings = Bookings(flaky=0)
    monkeypatch.setattr(reconcile, "bookings", bookings)
    monkeypatch.setattr(reconcile, "SECONDS", 0)
    entry = {"item": "account-02.csv", "index": 1, "map_id": "m"}
    first = await deliver(entry)
    assert first["differences"]
    assert await deliver(entry) == first
    assert len(bookings) == 1
    assert (await deliver({**entry, "map_id": "another"}))["receipt"] != first["receipt"]


@pytest.mark.parametrize(
    ("item", "error"),
    [
        ("no-such.csv", "no statement 'no-such.csv'"),
        ("../recipe.py", "no statement 'recipe.py'"),
        ("..", "no statement"),
        (None, "no statement 'None'"),
    ],
)
async def test_what_is_no_statement_fails_with_a_sentence(monkeypatch, item, error):
    monkeypatch.setattr(reconcile, "SECONDS", 0)
    with pytest.raises(FileNotFoundError, match=error):
        await deliver({"item": item, "index": 0, "map_id": "m"})


async def test_a_statement_that_cannot_be_read_names_the_line(monkeypatch):
    monkeypatch.setattr(reconcile, "SECONDS", 0)
    with pytest.raises(ValueError, match="Line 5 has 1 columns"):
        await deliver({"item": "account-09.csv", "index": 8, "map_id": "m"})


def test_the_folder_is_listed_in_order():
    names = reconcile.list_statements.build().get_user_function()(nothing=None)
    assert names == [f"account-{number:02}.csv" for number in range(1, 13)]
