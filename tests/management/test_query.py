"""Paths and queries, read as .NET reads them."""

from datetime import datetime, timezone

import pytest

from dfhost.management.query import Query, parse_date_time
from dfhost.management.routes import ROUTES, Handler, find_route
from dfhost.management.urls import location_path, path_segments, url_encoded


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/instances/a", ["instances", "a"]),
        ("instances/a/", ["instances", "a"]),
        ("/instances/a%20b", ["instances", "a b"]),
        ("/instances/a+b", ["instances", "a b"]),
        ("/instances/a%2Bb", ["instances", "a b"]),
        ("/instances/a%2520b", ["instances", "a b"]),
        ("/instances/100%25", ["instances", "100%"]),
        ("/instances/%C3%A9%E2%98%83", ["instances", "é☃"]),
        ("/instances/a%2Fb", ["instances", "a", "b"]),
        ("/instances/a%23%3F%5C", ["instances", "a#?\\"]),
        ("/instances//a", []),
        ("/", []),
        ("", []),
    ],
)
def test_a_path_is_decoded_twice(path: str, route: list[str]) -> None:
    assert path_segments(path) == route


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("instances/%40cell%40k", "instances/@cell@k"),
        ("instances/a%20b%25", "instances/a%20b%25"),
        ("instances/a%2520b", "instances/a%20b"),
        ("instances/é", "instances/%C3%A9"),
        ("instances/a%2Fb", "instances/a%2Fb"),
    ],
)
def test_a_location_repeats_the_path_and_encodes_only_what_must_be(path: str, uri: str) -> None:
    assert location_path(path) == uri


@pytest.mark.parametrize(("methods", "path", "handler"), ROUTES)
def test_every_route_of_the_table_is_reached(methods: str, path: str, handler: Handler) -> None:
    parameters = [segment for segment in path.split("/") if segment.startswith("{")]
    for method in methods.split():
        for sent in (path, path.upper(), path.lower()):
            found = find_route(method, sent.split("/"))
            assert found is not None
            assert (found[0], [value.lower() for value in found[1]]) == (
                handler,
                [p.lower() for p in parameters],
            )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", "instances/a"),
        ("GET", "instances/a/terminate"),
        ("POST", "instances/a/raiseEvent"),
        ("POST", "instances/a/nonsense"),
        ("POST", "orchestrators"),
        ("GET", "entities/a/b/c"),
        ("HEAD", "makePrimary"),
    ],
)
def test_what_is_not_in_the_table_has_no_route(method: str, path: str) -> None:
    assert find_route(method, path.split("/")) is None


def test_links_encode_ids_as_net_does() -> None:
    assert url_encoded("a b/é~(x)@") == "a+b%2F%C3%A9%7E(x)%40"


def test_parameters_ignore_case_and_join_repetitions() -> None:
    query = Query("?REASON=a&reason=b&x=%20y+z&bare&taskHub=")

    assert query.text("reason") == "a,b"
    assert query.text("X") == " y z"
    assert query.text("taskhub") == ""
    assert query.text("bare") is None


@pytest.mark.parametrize(
    ("raw", "flag"),
    [
        ("f=true", True),
        ("f=TRUE", True),
        ("F=%20true%20", True),
        ("f=yes", None),
        ("f=1", None),
        ("f=false&f=true", None),
        ("f=", None),
        ("f=False", False),
    ],
)
def test_a_flag_that_cannot_be_read_is_absent(raw: str, flag: bool | None) -> None:
    for default in (True, False):
        assert Query(raw).flag("f", default) is (default if flag is None else flag)


@pytest.mark.parametrize(
    ("raw", "number"),
    [("top=5", 5), ("top=-1", -1), ("top= 7 ", 7), ("top=many", 100), ("top=99999999999999", 100), ("", 100)],
)
def test_a_number_that_cannot_be_read_is_absent(raw: str, number: int) -> None:
    assert Query(raw).number("top", 100) == number


@pytest.mark.parametrize(
    ("raw", "statuses"),
    [
        ("Completed,Failed", ["Completed", "Failed"]),
        ("Completed,%20Failed", ["Completed", "Failed"]),
        ("Completed&runtimeStatus=Failed", ["Completed", "Failed"]),
        ("completed", []),
        ("Nope,Failed", ["Failed"]),
        ("1", ["Completed"]),
        ("99", ["99"]),
        ("", []),
    ],
)
def test_statuses_are_named_exactly_or_by_number(raw: str, statuses: list[str]) -> None:
    assert Query(f"runtimeStatus={raw}").statuses() == statuses


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2024-05-06T07:08:09Z", (2024, 5, 6, 7, 8, 9)),
        ("2024-05-06T07:08:09.1234567Z", (2024, 5, 6, 7, 8, 9, 123456)),
        ("2024-05-06 07:08", (2024, 5, 6, 7, 8)),
        ("2024-05-06T07:08:09+02:00", (2024, 5, 6, 5, 8, 9)),
        ("2024-05-06T00:00:00-0130", (2024, 5, 6, 1, 30)),
        ("2024-05-06", (2024, 5, 6)),
        ("01/02/2020", (2020, 1, 2)),
        ("Mon, 06 May 2024 07:08:09 GMT", (2024, 5, 6, 7, 8, 9)),
        ("1-01-01T00:00:00.000000Z", (1, 1, 1)),  # what strftime makes of datetime.min
        ("2024-99-99", None),
        ("yesterday", None),
        ("2024-05-06T00:00:00 02:00", None),  # a + that was not encoded
        ("0001-01-01T00:00:00+02:00", None),
        ("", None),
    ],
)
def test_dates_are_read_in_the_forms_that_net_reads(text: str, at: tuple[int, ...] | None) -> None:
    assert parse_date_time(text) == (datetime(*at, tzinfo=timezone.utc) if at else None)  # type: ignore[misc, arg-type]
